//! Outline of the report that a command will give: every number it will have, and none of them measured.
//!
//! Owns which parts each command's report has, so that a condition is refused before a run and not behind it.

use std::collections::BTreeMap;

use crate::cli::{Common, Measurement};
use crate::process::{Memory, Sample};
use crate::report::{ChatReport, HistoryReport, Latencies, PresenceReport, ReconnectReport, Report};

/// Latencies have one measured value each, since those without one are no metric.
pub(super) fn outline(command: &Measurement) -> Report {
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
    Report { latencies_us: measured(latencies), memory: memory(command.common()), starved_percent: Some(0.0), ..report }
}

fn measured(names: &[&'static str]) -> BTreeMap<&'static str, Latencies> {
    let mut one = Latencies::new();
    one.record(0);
    names.iter().map(|&name| (name, one.clone())).collect()
}

fn memory(common: &Common) -> Option<Memory> {
    let sample = Sample { connections: 0, resident_bytes: 0 };
    common.pid.map(|pid| Memory { pid, base: sample, all: sample, bytes_per_connection: 0.0 })
}
