//! What `million` adds to the report: what sessions took of nodes, store, workers and kernel.
//!
//! Figures of memory are differences to before the first connection, so that what processes take without one is not charged
//! to sessions.

use serde::Serialize;

/// What only `million` knows.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct MillionReport {
    pub(crate) accounts: u32,
    pub(crate) nodes: usize,
    /// Silence after which nodes ping a session.
    pub(crate) ping_seconds: u32,
    pub(crate) connects_per_second: f64,
    /// Processor time a connect: of all nodes, the store and all workers.
    pub(crate) connect: Cpu,
    /// Bytes a session.
    pub(crate) session: Memory,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) watch: Option<Watch>,
    pub(crate) quiet_seconds: f64,
    /// Processor time that a session took in a second in which nothing was said but pings.
    pub(crate) quiet: Cpu,
}

/// Users that each session watches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Watch {
    pub(crate) users: u32,
    /// Sessions that do.
    pub(crate) sessions: u64,
    /// Bytes that this took of each session more.
    pub(crate) memory: Memory,
}

/// Microseconds of processor time by who took them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Cpu {
    pub(crate) nodes_us: f64,
    pub(crate) store_us: f64,
    pub(crate) workers_us: f64,
}

/// Bytes a session by who has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Memory {
    /// Resident, of all nodes together.
    pub(crate) nodes_bytes: f64,
    pub(crate) store_bytes: f64,
    pub(crate) workers_bytes: f64,
    /// The kernel's own objects on the whole machine, both ends of each connection.
    pub(crate) kernel_bytes: f64,
}

impl Cpu {
    fn said(&self, digits: usize) -> String {
        let Self { nodes_us, store_us, workers_us } = self;
        format!("nodes {nodes_us:.digits$} · store {store_us:.digits$} · workers {workers_us:.digits$} µs")
    }
}

impl MillionReport {
    /// What is said of it, each under its label.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let Self { accounts, nodes, ping_seconds, connects_per_second, connect, session, watch, quiet_seconds, quiet } =
            self;
        let each = |memory: &Memory| {
            let Memory { nodes_bytes, store_bytes, workers_bytes, .. } = memory;
            format!("bytes a session: nodes {nodes_bytes:.0} · store {store_bytes:.0} · workers {workers_bytes:.0}")
        };
        let mut rows = vec![
            ("cluster", format!("{nodes} nodes on one store, {accounts} accounts")),
            ("connects", format!("{connects_per_second:.0} a second; each takes {}", connect.said(0))),
            ("memory", format!("{} · kernel {:.0}", each(session), session.kernel_bytes)),
        ];
        if let Some(Watch { users, sessions, memory }) = watch {
            rows.push(("watch", format!("{sessions} sessions watch {users} users each; {} more", each(memory))));
        }
        rows.push((
            "quiet",
            format!(
                "{quiet_seconds:.1} s; with a ping each {ping_seconds} s a session takes {} a second",
                quiet.said(3)
            ),
        ));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    #[test]
    fn text_and_json_say_the_same() {
        let session = Memory { nodes_bytes: 1_047.0, kernel_bytes: 8_396.0, ..Memory::default() };
        let connect = Cpu { nodes_us: 280.0, ..Cpu::default() };
        let million = Some(MillionReport { nodes: 29, session, connect, ..MillionReport::default() });
        let report = Report { command: "million", million, ..Report::default() };
        let (text, json) = (report.text(), report.json());
        for said in ["29 nodes on one store", "nodes 1047", "kernel 8396", "each takes nodes 280"] {
            assert!(text.contains(said), "{said}: {text}");
        }
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["million"]["session"]["nodes_bytes"].as_f64(), Some(1_047.0), "{json}");
    }
}
