//! `loadgen fanout`: one channel whose every message goes to many sessions.
//!
//! Owns the phases. All members are of one worker, so that a message is timed from when it was due to each of them.

use super::target::{SETTLE_MAX, Target, Told};
use crate::cli::FanoutArgs;
use crate::crowd::protocol::{Order, Status};
use crate::report::Report;

/// The phase.
pub(crate) const FANOUT: &str = "fanout";

pub(crate) fn run(args: &FanoutArgs) -> anyhow::Result<Report> {
    let each = args.members * args.target.devices;
    let sessions = each * args.channels.get();
    let target = Target::prepare(&args.target, sessions)?;
    let (mut fleet, opening) = target.talkers(sessions, args.members)?;
    let mut recording = target.record(&mut [&mut fleet])?;
    fleet.rate(args.rate, |per_second| Order::Talk { per_second })?;
    recording.phase(&mut [&mut fleet], FANOUT, args.seconds, |_| false)?;
    fleet.order(&Order::Talk { per_second: 0.0 })?;
    let status = recording.drain(&mut [&mut fleet], SETTLE_MAX, Status::is_settled)?;
    let does = format!("{} messages a second to {each} sessions each, in {} channels", args.rate, args.channels);
    let told = Told { command: "fanout", sessions, opening, does, status, may_lose: false };
    let report = target.report(recording, &[&fleet], told)?;
    fleet.end();
    Ok(report)
}
