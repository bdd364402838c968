//! What a run with so many sessions found, for people and for scripts.
//!
//! Owns the form. Figures of memory are differences to before the first connection, so that what processes take without
//! one is not charged to sessions.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::crowd::protocol::Status;
use crate::report::Latencies;

/// The whole run.
#[derive(Debug, Default, Serialize)]
pub(super) struct MillionReport {
    pub(super) command: &'static str,
    pub(super) sessions: u32,
    pub(super) accounts: u32,
    pub(super) nodes: usize,
    pub(super) workers: usize,
    /// From the first dial until every session was connected.
    pub(super) opening_seconds: f64,
    pub(super) connects_per_second: f64,
    /// Processor time a connect: of all nodes, the store and all workers.
    pub(super) connect_cpu_us: Cpu,
    /// Bytes a session.
    pub(super) memory: Memory,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) watch: Option<Watch>,
    pub(super) quiet_seconds: f64,
    /// Microseconds of processor time that a session took in a second in which nothing was said but pings.
    pub(super) quiet_cpu_us: Cpu,
    pub(super) talk_seconds: f64,
    pub(super) per_second: f64,
    pub(super) latencies_us: BTreeMap<String, Latencies>,
    /// Where all workers stood in the end.
    pub(super) status: Status,
    pub(super) interrupted: bool,
}

/// Users that each session watches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Watch {
    pub(super) users: u32,
    /// Sessions that do.
    pub(super) sessions: u64,
    /// Bytes that this took of each session more.
    pub(super) memory: Memory,
}

/// Processor time by who took it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Cpu {
    pub(super) nodes: f64,
    pub(super) store: f64,
    pub(super) workers: f64,
}

/// Bytes a session by who has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Memory {
    /// Resident, of all nodes together.
    pub(super) nodes: f64,
    pub(super) store: f64,
    pub(super) workers: f64,
    /// The kernel's own objects on the whole machine, both ends of each connection.
    pub(super) kernel: f64,
}

impl MillionReport {
    /// All are there, and each message came to everyone once.
    pub(super) fn clean(&self) -> bool {
        let Status { connected, lost, missing, duplicated, out_of_order, probed, arrived, sent, acked, .. } =
            &self.status;
        *connected == u64::from(self.sessions)
            && lost.is_empty()
            && [missing, duplicated, out_of_order].into_iter().all(|&count| count == 0)
            && probed == arrived
            && sent == acked
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("a report has only strings as keys and no number that JSON lacks")
    }

    pub(super) fn text(&self) -> String {
        let Self { sessions, accounts, nodes, workers, opening_seconds, connects_per_second, .. } = self;
        let mut text =
            format!("million: {sessions} sessions of {accounts} accounts on {nodes} nodes, by {workers} workers\n");
        let mut row = |label: &str, said: String| {
            writeln!(text, "  {label:<12} {said}").expect("a String takes everything");
        };
        let s = &self.status;
        row("opening", format!("{opening_seconds:.1} s, {connects_per_second:.0} connects a second"));
        let Cpu { nodes, store, workers } = self.connect_cpu_us;
        row("", format!("processor time a connect: nodes {nodes:.0} · store {store:.0} · workers {workers:.0} µs"));
        let Memory { nodes, store, workers, kernel } = self.memory;
        row(
            "memory",
            format!("bytes a session: nodes {nodes:.0} · store {store:.0} · workers {workers:.0} · kernel {kernel:.0}"),
        );
        if let Some(Watch { users, sessions, memory: Memory { nodes, store, workers, .. } }) = self.watch {
            let more = format!("bytes a session: nodes {nodes:.0} · store {store:.0} · workers {workers:.0} more");
            row("watch", format!("{sessions} sessions watch {users} users each; {more}"));
        }
        let Cpu { nodes, store, workers } = self.quiet_cpu_us;
        row("quiet", format!("{:.1} s, {} pings answered so far", self.quiet_seconds, s.pings));
        row("", format!("µs a second a session: nodes {nodes:.3} · store {store:.3} · workers {workers:.3}"));
        row("talk", format!("{:.1} s at {} a second", self.talk_seconds, self.per_second));
        for (what, latencies) in self.latencies_us.iter().filter(|(_, latencies)| latencies.summary().count > 0) {
            row(what, latencies.summary().to_string());
        }
        row("probe", format!("{} of {} sessions drawn at random got their message", s.arrived, s.probed));
        s.rows().into_iter().for_each(|(label, said)| row(label, said));
        if self.interrupted {
            row("interrupted", "the run was ended early; figures are of what was reached until then".to_owned());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_clean_if_all_are_there_and_nothing_is_missing() {
        let status = || Status { connected: 5, sent: 2, acked: 2, probed: 1, arrived: 1, ..Status::default() };
        let clean = |status| MillionReport { sessions: 5, status, ..MillionReport::default() }.clean();
        assert!(clean(status()));
        assert!(!clean(Status { connected: 4, ..status() }));
        assert!(!clean(Status { acked: 1, ..status() }));
        assert!(!clean(Status { missing: 1, ..status() }));
        assert!(!clean(Status { duplicated: 1, ..status() }));
        assert!(!clean(Status { arrived: 0, ..status() }));
        assert!(!clean(Status { lost: [("end".to_owned(), 1)].into(), ..status() }));
    }

    #[test]
    fn text_and_json_say_the_same() {
        let mut latencies = Latencies::new();
        latencies.record(5_000_000);
        let report = MillionReport {
            sessions: 5,
            latencies_us: [("ack".to_owned(), latencies)].into(),
            status: Status { refusals: [(114, 3)].into(), ..Status::default() },
            ..MillionReport::default()
        };
        let (text, json) = (report.text(), report.json());
        assert!(text.contains("5 sessions") && text.contains("3 × 114"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&json["sessions"], &json["latencies_us"]["ack"]["count"]), (&5.into(), &1.into()), "{json}");
    }
}
