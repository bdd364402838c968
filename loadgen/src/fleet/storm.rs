//! `loadgen storm`: sessions that come all at once, and what those who are there feel of it.
//!
//! Owns the two crowds: some who talk, quietly first and then meanwhile, and many who are not there yet.

use std::cell::Cell;
use std::time::Instant;

use super::target::{OPENING_MAX, SETTLE_MAX, Target, Told, follow};
use crate::cli::StormArgs;
use crate::crowd::protocol::Order;
use crate::report::Report;
use crate::status::Status;

/// The phases.
pub(crate) const QUIET: &str = "quiet";
pub(crate) const STORM: &str = "storm";

pub(crate) fn run(args: &StormArgs) -> anyhow::Result<Report> {
    let unit = 2 * args.target.devices;
    let others = args.others.get().next_multiple_of(unit);
    let (sessions, coming) = (others + args.sessions.get(), args.sessions.get());
    let target = Target::prepare(&args.target, sessions)?;
    let rooms = target.rooms(0..others, 2)?;
    let mut talkers = target.fleet(0..others, 2, &rooms, 0)?;
    let opening = target.open(&mut talkers, others)?;
    let mut crowd = target.fleet(others..sessions, 1, &[], talkers.len() as u32)?;
    // Processes take time to start, which is no part of the storm.
    follow(&mut crowd, "starting", SETTLE_MAX, |_| true)?;
    let mut recording = target.record(&mut [&mut talkers, &mut crowd])?;
    talkers.rate(args.rate, |per_second| Order::Talk { per_second })?;
    recording.phase(&mut [&mut talkers, &mut crowd], QUIET, args.seconds, |_| false)?;

    let (began, came) = (Instant::now(), Cell::new(None));
    crowd.open(coming)?;
    let is_over = |stands: &Status| {
        if came.get().is_none() && stands.connected == u64::from(sessions) {
            came.set(Some(began.elapsed()));
        }
        came.get().is_some() && began.elapsed() >= args.seconds
    };
    let most = OPENING_MAX.max(args.seconds);
    let stands = recording.phase(&mut [&mut talkers, &mut crowd], STORM, most, is_over)?;
    talkers.order(&Order::Talk { per_second: 0.0 })?;
    let status = recording.drain(&mut [&mut talkers, &mut crowd], SETTLE_MAX, Status::is_settled)?;
    let all_came = match came.get() {
        Some(length) => format!("all of which were there after {:.2} s", length.as_secs_f64()),
        None => format!("of which {} were there in the end", stands.connected.saturating_sub(u64::from(others))),
    };
    let does = format!("{coming} sessions at once, {all_came}; {others} write {} a second", args.rate);
    let told = Told { command: "storm", sessions, opening, does, status, may_lose: true };
    let report = target.report(recording, &[&talkers, &crowd], told)?;
    crowd.end();
    talkers.end();
    Ok(report)
}
