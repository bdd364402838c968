//! `loadgen fanout`: one channel whose every message goes to many sessions: a group's to all devices of its members, a large
//! channel's to those that have it open, which all do here.
//!
//! Owns the phases. All members are of one worker, so that a message is timed from when it was due to each of them.

use anyhow::ensure;
use schema::limits::GROUP_MEMBERS_MAX;

use super::target::{SETTLE_MAX, Target, Told};
use crate::cli::FanoutArgs;
use crate::crowd::protocol::Order;
use crate::report::Report;
use crate::status::Status;

/// The phase.
pub(crate) const FANOUT: &str = "fanout";

pub(crate) fn run(args: &FanoutArgs) -> anyhow::Result<Report> {
    ensure!(
        args.large || args.members <= GROUP_MEMBERS_MAX,
        "--members {}: a group has {GROUP_MEMBERS_MAX} at most; --large makes a large channel of more",
        args.members
    );
    let each = args.members * args.target.devices;
    let sessions = each * args.channels.get();
    let target = Target::prepare(&args.target, sessions)?;
    let rooms = if args.large {
        target.large_rooms(0..sessions, args.members)?
    } else {
        target.rooms(0..sessions, args.members)?
    };
    let (mut fleet, opening) = target.talkers_in(&rooms, sessions, args.members)?;
    let mut recording = target.record(&mut [&mut fleet])?;
    fleet.rate(args.rate, |per_second| Order::Talk { per_second })?;
    recording.phase(&mut [&mut fleet], FANOUT, args.seconds, |_| false)?;
    fleet.order(&Order::Talk { per_second: 0.0 })?;
    let status = recording.drain(&mut [&mut fleet], SETTLE_MAX, Status::is_settled)?;
    let kind = if args.large { "large channels" } else { "groups" };
    let does = format!("{} messages a second to {each} sessions each, in {} {kind}", args.rate, args.channels);
    let told = Told { command: "fanout", sessions, opening, does, status, may_lose: false };
    let report = target.report(recording, &[&fleet], told)?;
    fleet.end();
    Ok(report)
}
