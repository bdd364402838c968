//! Outline of the report that a command will give: every number it will have, and none of them measured.
//!
//! Owns which parts each command's report has, so that a condition is refused before a run and not behind it.

use std::collections::BTreeMap;

use crate::cli::{FeedArgs, FleetCommand, Measurement, ReportArgs, TargetArgs};
use crate::crowd::protocol::{PRESENCE, SEARCH, SLOW_ACK, SLOW_DELIVERY};
use crate::feed;
use crate::fleet::{churn, fanout, slow_readers, storm};
use crate::million;
use crate::process::{Memory, Sample};
use crate::report::{
    Burst, ChatBeside, ChatReport, CrossReport, CrowdReport, FeedReport, HistoryReport, KillReport, Latencies,
    MillionReport, Phase, PresenceReport, ReconnectReport, Report, Watch,
};

/// Names of latencies that are timed.
type Timed<'a> = &'a [&'static str];

/// What one process measures. Latencies have one measured value each, since those without one are no metric.
pub(crate) fn of(command: &Measurement) -> Report {
    let (latencies, report): (&[&'static str], Report) = match command {
        Measurement::Echo(args) => (&["echo"], Report { size_bytes: Some(args.size), ..Report::default() }),
        Measurement::Idle(_) => (&[], Report::default()),
        Measurement::Chat(args) => {
            let report = Report { size_bytes: Some(args.size), chat: Some(ChatReport::default()), ..Report::default() };
            if args.reconnects() {
                let history = Some(HistoryReport::default());
                let reconnection = Some(ReconnectReport { history, ..ReconnectReport::default() });
                (&["ack", "back", "delivery"], Report { reconnection, ..report })
            } else {
                (&["ack", "delivery"], report)
            }
        }
        Measurement::CatchUp(_) => (&["catch-up", "connect"], Report::default()),
        Measurement::Presence(_) => {
            (&["offline", "online"], Report { presence: Some(PresenceReport::default()), ..Report::default() })
        }
    };
    let memory = memory(command.common().pid);
    Report { latencies_us: measured(latencies), memory, starved_percent: Some(0.0), ..report }
}

/// What workers measure, and what is asked of it; none of what makes no report.
pub(crate) fn of_fleet(command: &FleetCommand) -> Option<(Report, &ReportArgs)> {
    let at = |args: &TargetArgs, phases: &[(&str, Timed<'_>)]| crowd(args.pid.is_some(), memory(args.pid), phases);
    let (report, args) = match command {
        FleetCommand::Million(args) => {
            let mut phases: Vec<(&str, Timed<'_>)> = vec![(million::OPENING, &["in"]), (million::QUIET, &[])];
            phases.extend([(million::TALK, TALKED), (million::PROBES, TALKED)]);
            phases.extend(args.watch.map(|_| (million::WATCHING, NOTHING)));
            let watch = args.watch.map(|_| Watch::default());
            let million = Some(MillionReport { watch, ..MillionReport::default() });
            (Report { million, ..crowd(true, None, &phases) }, &args.report)
        }
        FleetCommand::Storm(args) => {
            let phases: [(&str, Timed<'_>); 2] = [(storm::QUIET, TALKED), (storm::STORM, &["ack", "delivery", "in"])];
            (at(&args.target, &phases), &args.target.report)
        }
        FleetCommand::Churn(args) => {
            (at(&args.target, &[(churn::CHURN, &["ack", "back", "delivery"])]), &args.target.report)
        }
        FleetCommand::Fanout(args) => (at(&args.target, &[(fanout::FANOUT, TALKED)]), &args.target.report),
        FleetCommand::SlowReaders(args) => {
            let slow: Timed<'_> = &["ack", "delivery", SLOW_ACK, SLOW_DELIVERY];
            let phases =
                [(slow_readers::ALL_READ, TALKED), (slow_readers::SOME_SLOW, slow), (slow_readers::WHAT_WAITED, slow)];
            (at(&args.target, &phases), &args.target.report)
        }
        FleetCommand::Worker | FleetCommand::Child { .. } => return None,
    };
    Some((report, args))
}

/// What a scenario of these stages measures.
pub(crate) fn of_scenario(stages: &[String], pid: Option<u32>) -> Report {
    let timed: Timed<'_> = &["ack", "back", "delivery", PRESENCE, SEARCH];
    let phases: Vec<_> = stages.iter().map(|name| (name.as_str(), timed)).collect();
    crowd(pid.is_some(), memory(pid), &phases)
}

/// What `feed` measures.
pub(crate) fn of_feed(args: &FeedArgs) -> Report {
    let feed = FeedReport {
        burst: (args.kills == 0 && args.stars > 0).then(Burst::default),
        kills: (args.kills > 0).then(KillReport::default),
        crossing: args.cross.then(CrossReport::default),
        chat: args.chat.map(|_| ChatBeside::default()),
        ..FeedReport::default()
    };
    Report { latencies_us: measured(&feed::timed(args)), feed: Some(feed), ..Report::default() }
}

const TALKED: Timed<'static> = &["ack", "delivery"];
const NOTHING: Timed<'static> = &[];

fn crowd(has_server: bool, memory: Option<Memory>, phases: &[(&str, Timed<'_>)]) -> Report {
    let all: Vec<&'static str> = phases.iter().flat_map(|(_, timed)| *timed).copied().collect();
    let phase = |(name, timed): &(&str, Timed<'_>)| Phase {
        name: (*name).to_owned(),
        latencies_us: measured(timed),
        server_cpu_percent: has_server.then_some(0.0),
        server_us_per_delivery: has_server.then_some(0.0),
        ..Phase::default()
    };
    let phases = phases.iter().map(phase).collect();
    let crowd = Some(CrowdReport { phases, ..CrowdReport::default() });
    Report { latencies_us: measured(&all), memory, size_bytes: Some(0), crowd, ..Report::default() }
}

fn measured(names: &[&'static str]) -> BTreeMap<&'static str, Latencies> {
    let mut one = Latencies::new();
    one.record(0);
    names.iter().map(|&name| (name, one.clone())).collect()
}

fn memory(pid: Option<u32>) -> Option<Memory> {
    let sample = Sample { connections: 0, resident_bytes: 0 };
    pid.map(|pid| Memory { pid, base: sample, all: sample, bytes_per_connection: 0.0 })
}
