//! `loadgen chat --scenario FILE`: what many people do, in shares and in stages.
//!
//! Owns the run: channels of both kinds, sessions, one stage after the other. What is in the file is `file`'s, what sessions
//! do the workers'.

mod file;

use std::time::Duration;

use anyhow::{Context as _, ensure};

use self::file::Arrivals;
pub(crate) use self::file::Scenario;
use crate::cli::{ChatArgs, TargetArgs};
use crate::crowd::protocol::Order;
use crate::fleet::target::{SETTLE_MAX, Target, Told};
use crate::report::Report;
use crate::status::Status;

pub(crate) fn run(args: &ChatArgs, scenario: &Scenario) -> anyhow::Result<Report> {
    let target = target_of(args)?;
    let members = scenario.group_members;
    let sessions = args.common.connections.get();
    // Whole groups of whole pairs.
    let unit = members.next_multiple_of(2);
    ensure!(
        sessions.is_multiple_of(unit),
        "--connections {sessions} does not divide into groups of {members} accounts, of which two each have a direct channel; \
         {} or {} would",
        sessions / unit * unit,
        (sessions / unit + 1) * unit
    );
    let prepared = Target::prepare(&target, sessions)?;
    let mut rooms = Vec::new();
    if scenario.mix.direct + scenario.mix.presence > 0.0 {
        rooms.extend(prepared.rooms(0..sessions, 2)?);
    }
    if scenario.mix.group > 0.0 {
        rooms.extend(prepared.groups(0..sessions, members, unit)?);
    }
    let mut fleet = prepared.fleet(0..sessions, unit, &rooms, 0)?;
    let opening = prepared.open(&mut fleet, sessions)?;
    let mut recording = prepared.record(&mut [&mut fleet])?;
    let sum = scenario.mix.shares().iter().sum::<f64>();
    let mix = scenario.mix.shares().map(|share| share / sum);
    for (stage, name, from) in scenario.staged() {
        let poisson = scenario.arrivals == Arrivals::Poisson;
        let (to, seconds) = (stage.rate, stage.seconds);
        fleet.rate(1.0, |share| Order::Act { mix, from: from * share, to: to * share, seconds, poisson })?;
        recording.phase(&mut [&mut fleet], &name, Duration::from_secs_f64(seconds), |_| false)?;
        if prepared.interrupt.requested() {
            break;
        }
    }
    fleet.order(&Order::Act { mix, from: 0.0, to: 0.0, seconds: 0.0, poisson: false })?;
    let all = u64::from(sessions);
    let is_over = |stands: &Status| stands.is_settled() && stands.connected == all;
    let status = recording.drain(&mut [&mut fleet], SETTLE_MAX, is_over)?;
    let stages: Vec<_> =
        scenario.staged().map(|(stage, name, from)| format!("{name} {from} to {} a second", stage.rate)).collect();
    let does = format!("scenario {}: {}", scenario.path.display(), stages.join(", "));
    let told = Told { command: "chat", sessions, opening, does, status, may_lose: false };
    let report = prepared.report(recording, &[&fleet], told)?;
    fleet.end();
    Ok(report)
}

/// The same flags, as workers have them.
fn target_of(args: &ChatArgs) -> anyhow::Result<TargetArgs> {
    let (common, sessions) = (&args.common, &args.common.sessions);
    let remedy = "--scenario needs --token-key and --users: `rookery store accounts` makes accounts";
    Ok(TargetArgs {
        url: common.url.clone(),
        api: sessions.api.clone(),
        token_key: sessions.token_key.clone().context(remedy)?,
        users: sessions.users.clone().context(remedy)?,
        devices: 1,
        encoding: sessions.encoding,
        size: args.size,
        opening: common.opening,
        workers: args.workers,
        pid: common.pid,
        report: common.report.clone(),
    })
}
