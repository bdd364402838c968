//! `loadgen chat --scenario FILE`: what many people do, in shares and in stages.
//!
//! Owns the run: channels of both kinds, sessions, one stage after the other. What is in the file is `file`'s, what sessions
//! do the workers'.

mod file;

use anyhow::{Context as _, ensure};

use self::file::{Arrivals, Scenario};
use crate::cli::{ChatArgs, TargetArgs};
use crate::crowd::protocol::{Order, Status};
use crate::fleet::Outcome;
use crate::fleet::target::{SETTLE_MAX, Stretch, Target, TargetReport, follow};

pub(crate) fn run(args: &ChatArgs) -> anyhow::Result<Outcome> {
    let path = args.scenario.as_deref().context("a scenario was named")?;
    let scenario = Scenario::read(path)?;
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
    let (mut phases, sum) = (Vec::new(), scenario.mix.shares().iter().sum::<f64>());
    let mix = scenario.mix.shares().map(|share| share / sum);
    for (number, (stage, from)) in scenario.staged().enumerate() {
        let poisson = scenario.arrivals == Arrivals::Poisson;
        let stretch = Stretch::begin(&mut fleet)?;
        let (to, seconds) = (stage.rate, stage.seconds);
        fleet.rate(1.0, |share| Order::Act { mix, from: from * share, to: to * share, seconds, poisson })?;
        let name = if stage.name.is_empty() { format!("stage {}", number + 1) } else { stage.name.clone() };
        follow(&mut fleet, &name, std::time::Duration::from_secs_f64(seconds), |_| false)?;
        phases.push(stretch.end(&format!("{name}, {from} to {to} a second"), &mut fleet)?);
        if prepared.interrupt.requested() {
            break;
        }
    }
    fleet.order(&Order::Act { mix, from: 0.0, to: 0.0, seconds: 0.0, poisson: false })?;
    let all = u64::from(sessions);
    let status =
        follow(&mut fleet, "settling", SETTLE_MAX, |stands: &Status| stands.is_settled() && stands.connected == all)?;
    let report = TargetReport {
        command: "chat",
        url: target.url.join(", "),
        sessions,
        workers: fleet.len(),
        opening_seconds: opening.as_secs_f64(),
        load: format!("scenario {}", path.display()),
        phases,
        status,
        may_lose: false,
        interrupted: prepared.interrupt.requested(),
    };
    fleet.end();
    Ok(report.outcome())
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
        json: common.outputs.json,
    })
}
