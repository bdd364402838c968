//! `loadgen storm`: sessions that come all at once, and what those who are there feel of it.
//!
//! Owns the two crowds: some who talk, quietly first and then meanwhile, and many who are not there yet.

use std::time::Duration;

use super::Outcome;
use super::target::{OPENING_MAX, SETTLE_MAX, Stretch, Target, TargetReport, follow};
use crate::cli::StormArgs;
use crate::crowd::protocol::{Order, Status};

pub(crate) fn run(args: &StormArgs) -> anyhow::Result<Outcome> {
    let unit = 2 * args.target.devices;
    let others = args.others.get().next_multiple_of(unit);
    let (all, coming) = (others + args.sessions.get(), args.sessions.get());
    let target = Target::prepare(&args.target, all)?;
    let rooms = target.rooms(0..others, 2)?;
    let mut talkers = target.fleet(0..others, 2, &rooms, 0)?;
    let opening = target.open(&mut talkers, others)?;
    let mut crowd = target.fleet(others..all, 1, &[], talkers.len() as u32)?;
    // Processes take time to start, which is no part of the storm.
    follow(&mut crowd, "starting", SETTLE_MAX, |_| true)?;
    talkers.rate(args.rate, |per_second| Order::Talk { per_second })?;
    let quiet = Stretch::begin(&mut talkers)?;
    follow(&mut talkers, "quiet", args.seconds, |_| false)?;
    let mut phases = vec![quiet.end("quiet", &mut talkers)?];

    let (storm, comes) = (Stretch::begin(&mut talkers)?, Stretch::begin(&mut crowd)?);
    crowd.open(coming)?;
    let stands = follow(&mut crowd, "storm", OPENING_MAX, |stands| stands.connected == u64::from(coming))?;
    phases.push(comes.end("those who come", &mut crowd)?);
    let left = args.seconds.saturating_sub(Duration::from_secs_f64(phases[1].seconds));
    follow(&mut talkers, "storm", left, |_| false)?;
    phases.push(storm.end("those who are there", &mut talkers)?);
    talkers.order(&Order::Talk { per_second: 0.0 })?;
    let mut status = follow(&mut talkers, "settling", SETTLE_MAX, Status::is_settled)?;
    status.add(&crowd.stands());
    let report = TargetReport {
        command: "storm",
        url: args.target.url.join(", "),
        sessions: all,
        workers: talkers.len() + crowd.len(),
        opening_seconds: opening.as_secs_f64(),
        load: format!(
            "{coming} sessions at once, of which {} came; {others} write {} a second",
            stands.connected, args.rate
        ),
        phases,
        status,
        may_lose: true,
        interrupted: target.interrupt.requested(),
    };
    crowd.end();
    talkers.end();
    Ok(report.outcome())
}
