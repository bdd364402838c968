//! Memory of the server's process, for each connection, and its processor time.
//!
//! Reads `/proc` of the process named by `--pid`; knows nothing of sockets. A cost per connection is a slope between
//! two counts, so that what the process holds without any connection is not charged to them. Kernel memory (sockets,
//! rings, readiness) is not resident in the process and not in these figures.

use std::path::PathBuf;

use anyhow::Context;
use rustix::param::clock_ticks_per_second;
use serde::Serialize;

use crate::pace::SECOND_NS;

/// The slope starts here when there are more connections than this: by then pools, stacks and
/// first-use tables are touched, and what grows afterwards is what connections cost.
pub(crate) const BASE_CONNECTIONS: u32 = 1000;

/// A running process whose memory can be read.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    base: Option<Sample>,
}

/// Resident bytes at one count of connections.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Sample {
    pub(crate) connections: u32,
    pub(crate) resident_bytes: u64,
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.resident_bytes, self.connections)
    }
}

/// What was measured of the process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Memory {
    pub(crate) pid: u32,
    pub(crate) base: Sample,
    pub(crate) all: Sample,
    /// Resident bytes of each connection between `base` and `all`.
    pub(crate) bytes_per_connection: f64,
}

/// What a process has and has taken so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// In steps of the kernel's clock tick, 10 ms.
    pub(crate) cpu_ns: u64,
    /// By the kernel's counters, which it batches per thread: off by up to 256 KB a thread, and read in no time.
    pub(crate) resident_bytes: u64,
}

impl Usage {
    /// Of two processes.
    pub(crate) fn and(self, other: Self) -> Self {
        let Self { cpu_ns, resident_bytes } = other;
        Self { cpu_ns: self.cpu_ns + cpu_ns, resident_bytes: self.resident_bytes + resident_bytes }
    }
}

impl Process {
    /// Fails at once if there is no such process or its memory may not be read.
    pub(crate) fn new(pid: u32) -> anyhow::Result<Self> {
        resident_bytes(pid)?;
        Ok(Self { pid, base: None })
    }

    /// The count at which `base` should be taken on the way to `connections`.
    pub(crate) fn base_connections(connections: u32) -> u32 {
        if connections > BASE_CONNECTIONS { BASE_CONNECTIONS } else { 0 }
    }

    /// Takes the sample from which the slope starts.
    pub(crate) fn measure_base(&mut self, connections: u32) -> anyhow::Result<()> {
        self.base = Some(Sample { connections, resident_bytes: resident_bytes(self.pid)? });
        Ok(())
    }

    /// Measures now, with all connections open, against the base.
    pub(crate) fn measure_all(&self, connections: u32) -> anyhow::Result<Memory> {
        let base = self.base.context("the run ended before the memory of its first connections was measured")?;
        let all = Sample { connections, resident_bytes: resident_bytes(self.pid)? };
        Ok(Memory { pid: self.pid, base, all, bytes_per_connection: slope(base, all) })
    }
}

impl Process {
    /// Of now; none once the process is gone.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", self.pid)).ok();
        let resident_bytes = field_bytes(&read("status")?, "VmRSS:")?;
        Some(Usage { cpu_ns: cpu_ticks(&read("stat")?)? * SECOND_NS / clock_ticks_per_second(), resident_bytes })
    }
}

/// User and system time of a line of `/proc/PID/stat`, in which the name may have any character.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(ticks()? + ticks()?)
}

fn slope(base: Sample, all: Sample) -> f64 {
    let bytes = all.resident_bytes as f64 - base.resident_bytes as f64;
    bytes / f64::from(all.connections.saturating_sub(base.connections).max(1))
}

/// Resident bytes of `pid`: exact from `smaps_rollup` where this user may read it, else from `status`,
/// whose counters the kernel batches per thread (off by up to 256 KB a thread).
pub(crate) fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = |file: &str| PathBuf::from(format!("/proc/{pid}/{file}"));
    if let Ok(text) = std::fs::read_to_string(path("smaps_rollup")) {
        return field_bytes(&text, "Rss:").with_context(|| format!("/proc/{pid}/smaps_rollup has no Rss"));
    }
    let text = std::fs::read_to_string(path("status"))
        .with_context(|| format!("--pid {pid}: cannot read its memory; is the process running?"))?;
    field_bytes(&text, "VmRSS:").with_context(|| format!("/proc/{pid}/status has no VmRSS"))
}

fn field_bytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_in_bytes() {
        check("Rss:                3452 kB\nPss: 12 kB\n", "Rss:", Some(3452 * 1024));
        check("Name:\tcat\nVmRSS:\t    1684 kB\n", "VmRSS:", Some(1684 * 1024));
        check("Name:\tcat\n", "VmRSS:", None);
        check("VmRSS: many kB\n", "VmRSS:", None);
    }

    #[test]
    fn processor_time_is_read_behind_a_name_of_any_kind() {
        let stat = |name: &str| format!("7 ({name}) S 1 7 7 0 -1 4194560 5 0 0 0 31 11 0 0 20 0 1 0 9 9 9");
        assert_eq!(cpu_ticks(&stat("node")), Some(42));
        assert_eq!(cpu_ticks(&stat("a) S (b")), Some(42));
        assert_eq!(cpu_ticks("7 (node) S 1"), None);
        assert!(Process::new(std::process::id()).unwrap().usage().unwrap().resident_bytes > 0);
    }

    #[test]
    fn the_slope_leaves_out_what_was_there_before() {
        let sample = |connections, resident_bytes| Sample { connections, resident_bytes };
        assert_eq!(slope(sample(1_000, 50_000_000), sample(15_000, 54_200_000)), 300.0);
        assert_eq!(slope(sample(1_000, 50_000_000), sample(1_000, 50_000_000)), 0.0);
        assert_eq!(slope(sample(0, 2_000), sample(10, 1_000)), -100.0);
    }

    fn check(text: &str, name: &str, expected: Option<u64>) {
        assert_eq!(field_bytes(text, name), expected, "{text:?}");
    }
}
