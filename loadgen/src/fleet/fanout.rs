//! `loadgen fanout`: one channel whose every message goes to many sessions.
//!
//! Owns the phases. All members are of one worker, so that a message is timed from when it was due to each of them.

use super::Outcome;
use super::target::{SETTLE_MAX, Stretch, Target, TargetReport, follow};
use crate::cli::FanoutArgs;
use crate::crowd::protocol::{Order, Status};

pub(crate) fn run(args: &FanoutArgs) -> anyhow::Result<Outcome> {
    let each = args.members * args.target.devices;
    let sessions = each * args.channels.get();
    let target = Target::prepare(&args.target, sessions)?;
    let (mut fleet, opening) = target.talkers(sessions, args.members, args.rate)?;
    let stretch = Stretch::begin(&mut fleet)?;
    follow(&mut fleet, "fanout", args.seconds, |_| false)?;
    let phases = vec![stretch.end("fanout", &mut fleet)?];
    fleet.order(&Order::Talk { per_second: 0.0 })?;
    let status = follow(&mut fleet, "settling", SETTLE_MAX, Status::is_settled)?;
    let report = TargetReport {
        command: "fanout",
        url: args.target.url.join(", "),
        sessions,
        workers: fleet.len(),
        opening_seconds: opening.as_secs_f64(),
        load: format!("{} messages a second to {each} sessions each, in {} channels", args.rate, args.channels),
        phases,
        status,
        may_lose: false,
        interrupted: target.interrupt.requested(),
    };
    fleet.end();
    Ok(report.outcome())
}
