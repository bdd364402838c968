//! Metrics of the process: memory, processor time and files, under the names that Prometheus' own clients use.
//!
//! Owns the reading of `/proc/self`.

use std::fs;
use std::io;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::text::Text;

/// One measurement.
#[derive(Debug)]
pub(super) struct Process {
    resident_bytes: u64,
    cpu_s: f64,
    files_max: u64,
}

impl Process {
    /// Measures this process. Open files are not counted: with a million of them that takes most of a second, and
    /// nearly all are the connections that are shown anyway.
    ///
    /// # Errors
    /// The system's, if `/proc` is not mounted.
    pub(super) fn measure() -> io::Result<Self> {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Ok(Self {
            resident_bytes: resident_pages(&fs::read_to_string("/proc/self/statm")?)?
                * rustix::param::page_size() as u64,
            cpu_s: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            files_max: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        })
    }

    pub(super) fn write(&self, text: &mut Text) {
        text.gauge("process_resident_memory_bytes", "Resident memory", self.resident_bytes);
        text.counter_f64("process_cpu_seconds", "Processor time, user and system", self.cpu_s);
        text.gauge("process_max_fds", "Files that may be open", self.files_max);
    }
}

/// The second number of `/proc/self/statm`.
fn resident_pages(statm: &str) -> io::Result<u64> {
    let pages = statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse().ok());
    pages.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/self/statm has no second number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_pages_are_the_second_number() {
        assert_eq!(resident_pages("4096 1500 800 1 0 300 0\n").ok(), Some(1500));
        assert_eq!(resident_pages("4096").ok(), None);
    }

    #[test]
    fn this_process_takes_something() {
        let process = Process::measure().expect("/proc is mounted");
        assert!(process.resident_bytes > 1 << 20 && process.resident_bytes < 1 << 40, "{process:?}");
        assert!(process.cpu_s > 0.0 && process.files_max >= 3, "{process:?}");
    }
}
