//! `loadgen churn`: sessions that go without a word and come back, so many a second, while messages are written.
//!
//! Owns the phases. A session that comes back resumes by its cursor, so that it has to get what it missed.

use super::Outcome;
use super::target::{SETTLE_MAX, Stretch, Target, TargetReport, follow};
use crate::cli::ChurnArgs;
use crate::crowd::protocol::{Order, Status};

pub(crate) fn run(args: &ChurnArgs) -> anyhow::Result<Outcome> {
    let sessions = args.sessions.get();
    let target = Target::prepare(&args.target, sessions)?;
    let (mut fleet, opening) = target.talkers(sessions, 2, args.rate)?;
    fleet.rate(args.churn, |per_second| Order::Churn { per_second })?;
    let stretch = Stretch::begin(&mut fleet)?;
    follow(&mut fleet, "churn", args.seconds, |_| false)?;
    let phases = vec![stretch.end("churn", &mut fleet)?];
    fleet.order(&Order::Churn { per_second: 0.0 })?;
    fleet.order(&Order::Talk { per_second: 0.0 })?;
    let all = u64::from(sessions);
    let status =
        follow(&mut fleet, "settling", SETTLE_MAX, |stands: &Status| stands.is_settled() && stands.connected == all)?;
    let report = TargetReport {
        command: "churn",
        url: args.target.url.join(", "),
        sessions,
        workers: fleet.len(),
        opening_seconds: opening.as_secs_f64(),
        load: format!("{} sessions a second go and come back, {} messages a second", args.churn, args.rate),
        phases,
        status,
        may_lose: false,
        interrupted: target.interrupt.requested(),
    };
    fleet.end();
    Ok(report.outcome())
}
