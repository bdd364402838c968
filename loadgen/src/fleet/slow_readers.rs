//! `loadgen slow-readers`: some sessions of each channel read slowly, and the others must not feel it.
//!
//! Owns the phases: the same load before and after some have slowed down. In the end they read as the others do, so that what
//! waited for them comes.

use super::Outcome;
use super::target::{SETTLE_MAX, Stretch, Target, TargetReport, follow};
use crate::cli::SlowReadersArgs;
use crate::crowd::protocol::{Order, Status};

/// What reads as fast as there is something.
const UNBOUNDED: u64 = 1 << 30;

pub(crate) fn run(args: &SlowReadersArgs) -> anyhow::Result<Outcome> {
    let sessions = args.sessions.get().next_multiple_of(args.members * args.target.devices);
    let target = Target::prepare(&args.target, sessions)?;
    let (mut fleet, opening) = target.talkers(sessions, args.members, args.rate)?;
    let before = Stretch::begin(&mut fleet)?;
    follow(&mut fleet, "all read", args.seconds, |_| false)?;
    let mut phases = vec![before.end("all read", &mut fleet)?];
    fleet.order(&Order::Slow { percent: args.slow, bytes_per_second: args.reads })?;
    let slow = Stretch::begin(&mut fleet)?;
    follow(&mut fleet, "some read slowly", args.seconds, |_| false)?;
    phases.push(slow.end("some read slowly", &mut fleet)?);
    fleet.order(&Order::Talk { per_second: 0.0 })?;
    fleet.order(&Order::Slow { percent: args.slow, bytes_per_second: UNBOUNDED })?;
    let rest = Stretch::begin(&mut fleet)?;
    let all = u64::from(sessions);
    let status =
        follow(&mut fleet, "settling", SETTLE_MAX, |stands: &Status| stands.is_settled() && stands.connected == all)?;
    phases.push(rest.end("what waited", &mut fleet)?);
    let report = TargetReport {
        command: "slow-readers",
        url: args.target.url.join(", "),
        sessions,
        workers: fleet.len(),
        opening_seconds: opening.as_secs_f64(),
        load: format!(
            "{} messages a second; {} % of sessions read {} bytes a second",
            args.rate, args.slow, args.reads
        ),
        phases,
        status,
        may_lose: false,
        interrupted: target.interrupt.requested(),
    };
    fleet.end();
    Ok(report.outcome())
}
