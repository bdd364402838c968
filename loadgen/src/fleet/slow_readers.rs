//! `loadgen slow-readers`: some sessions of each channel read slowly, and the others must not feel it.
//!
//! Owns the phases: the same load before and after some have slowed down. In the end they read as the others do, so that what
//! waited for them comes.

use super::target::{SETTLE_MAX, Target, Told};
use crate::cli::SlowReadersArgs;
use crate::crowd::protocol::Order;
use crate::report::Report;
use crate::status::Status;

/// The phases.
pub(crate) const ALL_READ: &str = "all read";
pub(crate) const SOME_SLOW: &str = "some read slowly";
pub(crate) const WHAT_WAITED: &str = "what waited";
/// What reads as fast as there is something.
const UNBOUNDED: u64 = 1 << 30;

pub(crate) fn run(args: &SlowReadersArgs) -> anyhow::Result<Report> {
    let sessions = args.sessions.get().next_multiple_of(args.members * args.target.devices);
    let target = Target::prepare(&args.target, sessions)?;
    let (mut fleet, opening) = target.talkers(sessions, args.members)?;
    let mut recording = target.record(&mut [&mut fleet])?;
    fleet.rate(args.rate, |per_second| Order::Talk { per_second })?;
    recording.phase(&mut [&mut fleet], ALL_READ, args.seconds, |_| false)?;
    fleet.order(&Order::Slow { percent: args.slow, bytes_per_second: args.reads })?;
    recording.phase(&mut [&mut fleet], SOME_SLOW, args.seconds, |_| false)?;
    fleet.order(&Order::Talk { per_second: 0.0 })?;
    fleet.order(&Order::Slow { percent: args.slow, bytes_per_second: UNBOUNDED })?;
    let all = u64::from(sessions);
    let is_over = |stands: &Status| stands.is_settled() && stands.connected == all;
    let status = recording.phase(&mut [&mut fleet], WHAT_WAITED, SETTLE_MAX, is_over)?;
    let does =
        format!("{} messages a second; {} % of sessions read {} bytes a second", args.rate, args.slow, args.reads);
    let told = Told { command: "slow-readers", sessions, opening, does, status, may_lose: false };
    let report = target.report(recording, &[&fleet], told)?;
    fleet.end();
    Ok(report)
}
