//! What this machine is, its limits, and the generator's share of its processor time.
//!
//! Owns its description, the file limit, the local port range, pinning and the generator's own CPU time.

use std::num::NonZeroU64;

use anyhow::{Context, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// What a figure was measured on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
}

impl Machine {
    /// This one. What it does not say of itself is left empty.
    pub(crate) fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let kilobytes = field(&read("/proc/meminfo"), "MemTotal");
        Self {
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get),
            processor: field(&read("/proc/cpuinfo"), "model name"),
            memory_bytes: kilobytes.trim_end_matches(" kB").parse().map_or(0, |kilobytes: u64| kilobytes * 1024),
            kernel: format!("{} {}", read("/proc/sys/kernel/ostype").trim(), read("/proc/sys/kernel/osrelease").trim()),
        }
    }
}

/// Files that are open beside the connections: standard streams, epoll, name lookup, `/proc` reads, with room.
const FILES_RESERVED: u64 = 32;

/// Above this share of one core the generator may be what limits the figure.
pub(crate) const GENERATOR_BOUND_PERCENT: f64 = 90.0;

/// Above this share of the time without a core, though there was work, latencies are largely the machine's and not the
/// server's.
pub(crate) const STARVED_PERCENT: f64 = 10.0;

/// Raises the soft file limit to the hard one and gives how many connections that allows.
pub(crate) fn connections_allowed() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        // A sandbox may forbid the call. The old limit holds then, and it is the one that is reported.
        Err(_) => limit.current,
    };
    current.map_or(u64::MAX, |files| files.saturating_sub(FILES_RESERVED))
}

/// Refuses a run that would hit the file limit half-way.
pub(crate) fn ensure_files(connections: u32, allowed: u64) -> anyhow::Result<()> {
    if u64::from(connections) > allowed {
        bail!(
            "the file limit allows {allowed} connections, {connections} were asked for; raise the hard limit \
             (`ulimit -Hn {}` as root, or LimitNOFILE= of the service) or ask for fewer",
            u64::from(connections) + FILES_RESERVED
        );
    }
    Ok(())
}

/// Keeps this thread on `core`.
pub(crate) fn pin(core: usize) -> anyhow::Result<()> {
    if core >= CpuSet::MAX_CPU {
        bail!("--cpu {core}: cores are numbered below {}", CpuSet::MAX_CPU);
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| {
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get);
        format!("--cpu {core}: cannot run there ({cores} cores are available, numbered from 0)")
    })
}

/// Lets this thread's sleeps end on time: the default slack of 50 µs would be in every open-loop latency.
pub(crate) fn sharpen_timers() -> std::io::Result<()> {
    set_current_timer_slack(NonZeroU64::new(1))?;
    Ok(())
}

/// CPU time that this thread has taken so far.
pub(crate) fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// How long this thread could have run so far but waited for a core; `None` if the kernel does not count it.
pub(crate) fn runqueue_wait_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

/// How many local ports the kernel hands out for one pair of addresses.
pub(crate) fn local_ports() -> anyhow::Result<u32> {
    const PATH: &str = "/proc/sys/net/ipv4/ip_local_port_range";
    let text = std::fs::read_to_string(PATH).with_context(|| format!("cannot read {PATH}"))?;
    let parsed: Option<Vec<u32>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
    match parsed.as_deref() {
        Some(&[first, last]) if first <= last => Ok(last - first + 1),
        _ => bail!("{PATH} says {text:?}, which is no range of ports"),
    }
}

/// Bytes of the kernel's own objects on the whole machine, sockets among them, and of what waits in sockets.
pub(crate) fn kernel_bytes() -> anyhow::Result<u64> {
    let read = |path: &str| std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
    let (memory, sockets) = (read("/proc/meminfo")?, read("/proc/net/sockstat")?);
    let slab =
        memory.lines().find_map(|line| line.strip_prefix("Slab:")?.split_whitespace().next()?.parse::<u64>().ok());
    let pages = sockets.lines().find_map(|line| {
        let words = line.strip_prefix("TCP:")?.split_whitespace();
        words.skip_while(|word| *word != "mem").nth(1)?.parse::<u64>().ok()
    });
    let slab = slab.context("/proc/meminfo has no Slab")?;
    Ok(slab * 1024 + pages.unwrap_or_default() * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_connections_than_files_is_refused_with_the_numbers() {
        assert!(ensure_files(100, 100).is_ok());
        let error = ensure_files(101, 100).unwrap_err().to_string();
        assert!(error.contains("allows 100 connections, 101 were asked for"), "{error}");
    }

    #[test]
    fn a_core_that_is_not_there_is_refused() {
        assert!(pin(CpuSet::MAX_CPU).is_err());
        assert!(pin(CpuSet::MAX_CPU - 1).is_err());
    }

    #[test]
    fn this_machine_has_ports_files_and_a_cpu_clock() {
        let machine = Machine::here();
        assert!(
            machine.cores > 0 && machine.memory_bytes > 1 << 20 && machine.kernel.starts_with("Linux "),
            "{machine:?}"
        );
        assert!(local_ports().unwrap() > 0);
        assert!(connections_allowed() > 0 && kernel_bytes().unwrap() > 1 << 20);
        let before = thread_cpu_ns();
        while thread_cpu_ns() == before {}
    }
}
