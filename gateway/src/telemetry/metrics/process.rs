//! Metrics of the process: memory, processor time and files, under the names that Prometheus' own clients use.
//!
//! Owns the reading of `/proc/self`.

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::text::{Family, Value};

/// Of this process. Open files are not counted: with a million of them that takes most of a second, and nearly all are
/// the connections that are shown anyway. Where `/proc` is not mounted its memory is left out.
pub(super) fn families() -> Vec<Family> {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu_s = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    let files_max = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let mut families = vec![
        ("process_cpu_seconds", "Processor time, user and system", Value::Seconds(cpu_s)),
        ("process_max_fds", "Files that may be open", Value::Gauge(files_max)),
    ];
    let pages = fs::read_to_string("/proc/self/statm").ok().and_then(|statm| resident_pages(&statm));
    if let Some(pages) = pages {
        let bytes = pages * rustix::param::page_size() as u64;
        families.push(("process_resident_memory_bytes", "Resident memory", Value::Gauge(bytes)));
    }
    families
}

/// The second number of `/proc/self/statm`.
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_something() {
        assert_eq!(resident_pages("4096 1500 800 1 0 300 0\n"), Some(1500));
        assert_eq!(resident_pages("4096"), None);
        let families = families();
        let [(.., Value::Seconds(cpu_s)), (.., Value::Gauge(files_max)), (.., Value::Gauge(bytes))] = &families[..]
        else {
            panic!("/proc is mounted: {families:?}");
        };
        assert!((1 << 20..1 << 40).contains(bytes) && *cpu_s > 0.0 && *files_max >= 3, "{families:?}");
    }
}
