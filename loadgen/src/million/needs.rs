//! What so many sessions on one machine take of it, before anything is started, and by how much it lacks that.
//!
//! Owns the arithmetic and the reading of the machine's limits. The bytes a session are those that were measured
//! (docs/measurements.md), with a tenth to spare.

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;

use anyhow::Context;
use schema::limits::LOGINS_UNDER_WAY_MAX;

use crate::engine::dialer::{WORKERS_MAX, connections_of_worker};
use crate::fleet::shares;
use crate::machine;

/// Files of a node with one shard beside its connections: what `rookery doctor` says.
const NODE_FILES: u64 = 2_084 + 64;
/// Files that the system needs beside ours.
const SYSTEM_FILES: u64 = 10_000;

/// Resident bytes of a node and of a worker without a session, and of the store. A node of 29 had 57 MB.
const NODE_BYTES: u64 = 63 << 20;
const WORKER_BYTES: u64 = 12 << 20;
const STORE_BYTES: u64 = 64 << 20;
/// Bytes of one session: in its node (1,047 of 500,000 sessions), in its worker, in the store (478), and of its two sockets
/// in the kernel (8,396). A worker has most of its part before the first session is there.
const SESSION_BYTES: u64 = 1_150 + 500 + 530 + 9_240;
/// Sessions on their way to each node at a time: all find a place there, with two questions each. With 1,000 to one node
/// nearly half of the tries were refused, and 15,000 sessions took 33 s instead of 11.
const OPENING_OF_NODE: u32 = LOGINS_UNDER_WAY_MAX / 2;
/// The same in all: more than a machine gets done at once.
const OPENING_IN_ALL: u32 = 1_000;
/// Part of the memory that is available which may be planned with.
const MEMORY_PERCENT: u64 = 90;

/// What a machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Machine {
    /// Connections that one process may have by its file limit.
    pub(super) files: u64,
    /// Files that the whole system may have, and has.
    pub(super) file_max: u64,
    pub(super) file_now: u64,
    pub(super) ports: u32,
    pub(super) memory: u64,
    /// Connections that a listener may have waiting.
    pub(super) backlog: u64,
    /// Connections that the packet filter follows at most, if it follows any.
    pub(super) tracked_max: Option<u64>,
}

impl Machine {
    pub(super) fn read() -> anyhow::Result<Self> {
        let number = |path: &str, at: usize| {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
            let word = text.split_whitespace().nth(at).and_then(|word| word.parse().ok());
            word.with_context(|| format!("{path} says {text:?}"))
        };
        let memory = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
        let available = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
        let kilobytes = available.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        let tracks = number("/proc/sys/net/netfilter/nf_conntrack_count", 0).is_ok_and(|count: u64| count > 0);
        Ok(Self {
            files: machine::connections_allowed(),
            file_max: number("/proc/sys/fs/file-nr", 2)?,
            file_now: number("/proc/sys/fs/file-nr", 0)?,
            ports: machine::local_ports()?,
            memory: kilobytes.context("/proc/meminfo has no MemAvailable")? * 1024,
            backlog: number("/proc/sys/net/core/somaxconn", 0)?,
            tracked_max: if tracks { number("/proc/sys/net/netfilter/nf_conntrack_max", 0).ok() } else { None },
        })
    }
}

/// Who holds what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) nodes: u16,
    /// Sessions of each worker.
    pub(super) shares: Vec<Range<u32>>,
    /// Sessions that are on their way at a time, in all.
    pub(super) opening: u32,
    pub(super) bytes: u64,
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) sessions: u32,
    /// Sessions that one worker must have together.
    pub(super) unit: u32,
    /// Nodes, if their number is not ours to choose.
    pub(super) nodes: Option<u16>,
    pub(super) nodes_max: u16,
    /// Sessions that are on their way at a time, in all, if their number is not ours to choose.
    pub(super) opening: Option<u32>,
}

/// Who holds what on this machine.
///
/// # Errors
/// All that it lacks, each with the remedy, in one text.
pub(super) fn plan(wanted: Wanted, has: &Machine) -> Result<Plan, String> {
    let Wanted { sessions, unit, nodes_max, opening, .. } = wanted;
    let mut lacks = Vec::new();
    let (of_node, of_worker) = (has.files.saturating_sub(NODE_FILES), has.files);
    let nodes = wanted.nodes.map_or_else(|| u64::from(sessions).div_ceil(of_node.max(1)).max(1), u64::from);
    if of_node * nodes.min(u64::from(nodes_max)) < u64::from(sessions) || nodes > u64::from(nodes_max) {
        let each = u64::from(sessions).div_ceil(nodes.min(u64::from(nodes_max)));
        lacks.push(format!(
            "files: a process may have {}, so that a node holds {of_node} sessions and {nodes} nodes (at most {nodes_max}) do not hold \
             {sessions}; raise the hard limit to {} (`ulimit -Hn` as root, or LimitNOFILE=), or name more --nodes",
            has.files,
            each + NODE_FILES
        ));
    }
    // All accounts of a channel are of one worker, so that it sees what it writes arrive.
    let most = (of_worker.min(u64::from(connections_of_worker(has.ports))) as u32).max(unit);
    let shares = shares(sessions, unit, most);
    if shares.len() as u64 > u64::from(WORKERS_MAX) {
        lacks.push(format!(
            "ports: {} local ports allow {most} connections of a worker, and {} workers are too many (at most {WORKERS_MAX}); \
             widen net.ipv4.ip_local_port_range",
            has.ports,
            shares.len()
        ));
    }
    // Each connection is a file at both of its ends.
    let files = 2 * u64::from(sessions) + nodes * NODE_FILES + SYSTEM_FILES;
    let files_left = has.file_max.saturating_sub(has.file_now);
    if files > files_left {
        lacks.push(format!(
            "files of the system: {files_left} are left and {files} are needed, {} more; `sysctl fs.file-max={}`",
            files - files_left,
            has.file_now + files
        ));
    }
    let bytes =
        u64::from(sessions) * SESSION_BYTES + nodes * NODE_BYTES + shares.len() as u64 * WORKER_BYTES + STORE_BYTES;
    let available = has.memory / 100 * MEMORY_PERCENT;
    if bytes > available {
        let fixed = bytes - u64::from(sessions) * SESSION_BYTES;
        lacks.push(format!(
            "memory: {} are available (of {}, less a tenth) and {} are needed, {} more; some {} sessions fit",
            gigabytes(available),
            gigabytes(has.memory),
            gigabytes(bytes),
            gigabytes(bytes - available),
            available.saturating_sub(fixed) / SESSION_BYTES / 1_000 * 1_000
        ));
    }
    let opening = opening.unwrap_or_else(|| (OPENING_OF_NODE * nodes as u32).min(OPENING_IN_ALL));
    let each = u64::from(opening).div_ceil(nodes);
    if each > has.backlog {
        lacks.push(format!(
            "a listener's queue: {} connections may wait and {each} come at a time; `sysctl net.core.somaxconn={each}`, or a lower \
             --opening",
            has.backlog
        ));
    }
    // Over loopback a connection is one entry.
    if let Some(tracked) = has.tracked_max.filter(|&tracked| tracked < u64::from(sessions) + SYSTEM_FILES) {
        let needed = u64::from(sessions) + SYSTEM_FILES;
        lacks.push(format!(
            "connections that the packet filter follows: {tracked}, and {needed} are needed; `sysctl \
             net.netfilter.nf_conntrack_max={needed}`, or no rule that follows loopback"
        ));
    }
    if lacks.is_empty() {
        return Ok(Plan { nodes: nodes as u16, shares, opening, bytes });
    }
    let mut text = format!("this machine is too small for {sessions} sessions, nothing was started:");
    lacks.iter().for_each(|lack| write!(text, "\n  {lack}").expect("a String takes everything"));
    Err(text)
}

/// So many bytes, in words.
pub(super) fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HAS: Machine = Machine {
        files: 19_968,
        file_max: 2_466_174,
        file_now: 2_000,
        ports: 28_232,
        memory: 22 << 30,
        backlog: 4_096,
        tracked_max: None,
    };
    const WANTED: Wanted = Wanted { sessions: 1_000_000, unit: 32, nodes: None, nodes_max: 200, opening: None };

    #[test]
    fn a_million_sessions_take_as_many_processes_as_the_file_limit_asks_for() {
        let plan = plan(WANTED, &HAS).unwrap();
        assert_eq!((plan.nodes, plan.shares.len()), (57, 51));
        assert_eq!(gigabytes(plan.bytes), "15.9 GB");
        let few = super::plan(Wanted { sessions: 10_000, ..WANTED }, &HAS).unwrap();
        assert_eq!((few.nodes, few.shares.len(), few.shares[0].end), (1, 1, 10_000));
        assert_eq!((plan.opening, few.opening), (1_000, 64));
    }

    #[test]
    fn a_machine_that_is_too_small_is_told_by_how_much() {
        check(WANTED, Machine { memory: 8 << 30, ..HAS }, "memory: 7.7 GB are available (of 8.6 GB, less a tenth)");
        check(WANTED, Machine { file_max: 1_000_000, ..HAS }, "998000 are left and 2132436 are needed, 1134436 more");
        check(WANTED, Machine { files: 1_024, ..HAS }, "raise the hard limit to");
        check(Wanted { nodes: Some(3), ..WANTED }, HAS, "raise the hard limit to 335482");
        check(Wanted { opening: Some(500_000), ..WANTED }, HAS, "`sysctl net.core.somaxconn=8772`");
        check(WANTED, Machine { tracked_max: Some(262_144), ..HAS }, "nf_conntrack_max=1010000");
        check(WANTED, Machine { ports: 200, ..HAS }, "widen net.ipv4.ip_local_port_range");
    }

    fn check(wanted: Wanted, has: Machine, expected: &str) {
        let said = plan(wanted, &has).unwrap_err();
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn this_machine_can_be_read() {
        let has = Machine::read().unwrap();
        assert!(has.memory > 0 && has.files > 0 && has.backlog > 0 && has.file_max >= has.file_now, "{has:?}");
    }
}
