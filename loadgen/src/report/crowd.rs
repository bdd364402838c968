//! What a run by workers adds to the report: its phases, and what became of the sessions.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{FiguresOf, Latencies};
use crate::status::Status;

/// What only a run by workers knows.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct CrowdReport {
    pub(crate) workers: usize,
    /// Where all workers stood in the end.
    pub(crate) status: Status,
    pub(crate) phases: Vec<Phase>,
    /// Whether sessions may be lost on the way: where they come so many at once that they are told to come later.
    pub(crate) may_lose: bool,
}

/// A stretch of the run in which one load was put on the server.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct Phase {
    pub(crate) name: String,
    /// From the beginning of the first phase.
    pub(crate) from_seconds: f64,
    pub(crate) seconds: f64,
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) delivered: u64,
    pub(crate) delivered_per_second: f64,
    pub(crate) latencies_us: BTreeMap<&'static str, Latencies>,
    /// What the busiest worker took of one core.
    pub(crate) cpu_percent: f64,
    pub(crate) figures_of: FiguresOf,
    /// What the server's processes took of one core, and for each delivery, where they were named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_cpu_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_us_per_delivery: Option<f64>,
}

impl Phase {
    /// Its name as a part of a metric's, which has no blanks.
    pub(crate) fn slug(name: &str) -> String {
        name.split_whitespace().collect::<Vec<_>>().join("-")
    }

    fn row(&self) -> String {
        let Self { seconds, delivered_per_second, cpu_percent, .. } = self;
        let bound = match self.figures_of {
            FiguresOf::Server => "",
            FiguresOf::Generator => ": generator-bound, the figures are not the server's",
        };
        let server = match (self.server_cpu_percent, self.server_us_per_delivery) {
            (Some(percent), Some(micros)) => format!(" · server {percent:.0} %, {micros:.2} µs a delivery"),
            (Some(percent), None) => format!(" · server {percent:.0} %"),
            (None, _) => String::new(),
        };
        let deliveries = format!("{delivered_per_second:.0} deliveries a second");
        format!("{seconds:.1} s · {deliveries}{server} · busiest worker {cpu_percent:.0} % of one core{bound}")
    }
}

impl CrowdReport {
    /// All `sessions` were there in the end, and everything was acknowledged.
    pub(super) fn clean(&self, sessions: u32) -> bool {
        let Status { connected, sent, acked, probed, arrived, .. } = &self.status;
        *connected == u64::from(sessions) && sent == acked && probed == arrived
    }

    /// What is said of it, each under its label.
    pub(super) fn rows(&self) -> Vec<(&str, String)> {
        let mut rows: Vec<(&str, String)> = Vec::new();
        for phase in &self.phases {
            rows.push((&phase.name, phase.row()));
            rows.extend(phase.latencies_us.iter().map(|(&what, latencies)| (what, latencies.summary().to_string())));
        }
        rows.extend(self.status.rows(self.may_lose));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    #[test]
    fn a_run_is_clean_if_all_are_there_and_nothing_is_missing() {
        let status = || Status { connected: 5, sent: 2, acked: 2, probed: 1, arrived: 1, ..Status::default() };
        let clean = |status| {
            let crowd = Some(CrowdReport { status, ..CrowdReport::default() });
            Report { connections: 5, crowd, ..Report::default() }.clean()
        };
        assert!(clean(status()));
        assert!(!clean(Status { connected: 4, ..status() }));
        assert!(!clean(Status { acked: 1, ..status() }));
        assert!(!clean(Status { arrived: 0, ..status() }));
    }

    #[test]
    fn a_phase_is_said_with_what_was_measured_of_it() {
        let phase = Phase { seconds: 10.0, delivered_per_second: 500.0, cpu_percent: 20.0, ..Phase::default() };
        check(&phase, "10.0 s · 500 deliveries a second · busiest worker 20 % of one core");
        let with_server = Phase { server_cpu_percent: Some(50.0), ..phase.clone() };
        check(&with_server, "10.0 s · 500 deliveries a second · server 50 % · busiest worker 20 % of one core");
        let with_all = Phase { server_us_per_delivery: Some(1.25), ..with_server };
        check(&with_all, "10.0 s · 500 deliveries a second · server 50 %, 1.25 µs a delivery · busiest worker");
        check(
            &Phase { figures_of: FiguresOf::Generator, ..phase },
            "of one core: generator-bound, the figures are not",
        );
        assert_eq!(Phase::slug("some read  slowly"), "some-read-slowly");
    }

    fn check(phase: &Phase, expected: &str) {
        assert!(phase.row().contains(expected), "{}", phase.row());
    }
}
