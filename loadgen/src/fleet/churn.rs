//! `loadgen churn`: sessions that go without a word and come back, so many a second, while messages are written.
//!
//! Owns the phases. A session that comes back resumes by its cursor, so that it has to get what it missed.

use super::target::{SETTLE_MAX, Target, Told};
use crate::cli::ChurnArgs;
use crate::crowd::protocol::Order;
use crate::report::Report;
use crate::status::Status;

/// The phase.
pub(crate) const CHURN: &str = "churn";

pub(crate) fn run(args: &ChurnArgs) -> anyhow::Result<Report> {
    let sessions = args.sessions.get();
    let target = Target::prepare(&args.target, sessions)?;
    let (mut fleet, opening) = target.talkers(sessions, 2)?;
    let mut recording = target.record(&mut [&mut fleet])?;
    fleet.rate(args.rate, |per_second| Order::Talk { per_second })?;
    fleet.rate(args.churn, |per_second| Order::Churn { per_second })?;
    recording.phase(&mut [&mut fleet], CHURN, args.seconds, |_| false)?;
    fleet.order(&Order::Churn { per_second: 0.0 })?;
    fleet.order(&Order::Talk { per_second: 0.0 })?;
    let all = u64::from(sessions);
    let is_over = |stands: &Status| stands.is_settled() && stands.connected == all;
    let status = recording.drain(&mut [&mut fleet], SETTLE_MAX, is_over)?;
    let does = format!("{} sessions a second go and come back, {} messages a second", args.churn, args.rate);
    let told = Told { command: "churn", sessions, opening, does, status, may_lose: false };
    let report = target.report(recording, &[&fleet], told)?;
    fleet.end();
    Ok(report)
}
