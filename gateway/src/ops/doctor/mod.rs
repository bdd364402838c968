//! Doctor: what a machine lacks to run a node, and the remedy.
//!
//! Owns the measures and the table that shows them. It raises no limit, makes no directory and no
//! store, and lets go of every port and of the one shard that it starts to see whether it starts. [`judge`] decides
//! over plain [`Facts`], so that its rows are tested without such a machine.

mod cluster;
mod probe;
mod store;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use crate::config::{Config, Mode, StoreEngine};
use crate::machine::{datadir, disk, files, listen, media};
use crate::ops::terminal;

/// The first kernel with the io_uring features that the driver uses (deferred task work, multishot receive).
const KERNEL_MIN: (u32, u32) = (6, 1);
/// Locked memory that the rings of one shard are charged for at most, by kernels that charge it.
const LOCKED_BYTES_SHARD: u64 = 512 * 1024;

/// What was measured.
#[derive(Debug, Clone)]
struct Facts {
    /// The kernel's release, as `uname -r` prints it.
    kernel: String,
    /// `kernel.io_uring_disabled`; `None` where there is no such setting, which permits it.
    io_uring_disabled: Option<u8>,
    /// What keeps a shard's driver from starting here, which was tried.
    driver: Result<(), String>,
    /// The hard file limit.
    files: u64,
    /// The locked memory limit in force; `None` for none.
    locked_bytes: Option<u64>,
    /// Shards that would start.
    shards: u16,
    /// Connections asked for.
    connections: Option<u32>,
    /// Each listener's key, its address, and what is wrong with it.
    ports: Vec<(&'static str, SocketAddr, Result<(), String>)>,
    /// The data directory.
    data_dir: PathBuf,
    /// What is wrong with it.
    data: Result<(), String>,
    /// Free bytes of its file system, where it could be measured.
    free_bytes: Option<u64>,
    /// The reserve of free bytes.
    free_bytes_min: u64,
    /// Where media are kept, and what is wrong with it.
    media: (String, Result<(), String>),
    /// What there is of the store.
    store: store::Facts,
    /// What it shares with other nodes, where it is to be one of a cluster.
    cluster: Option<cluster::Facts>,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    /// What was looked at.
    what: String,
    /// What there is.
    found: String,
    /// What a node needs.
    needed: String,
    verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Enough,
    /// A node runs all the same, and somebody should look at this.
    Note(String),
    /// No node runs here; the remedy.
    Lacking(String),
}

impl Finding {
    fn new(what: &str, found: impl Into<String>, needed: impl Into<String>, lacking: Option<String>) -> Self {
        let verdict = lacking.map_or(Verdict::Enough, Verdict::Lacking);
        Self { what: what.to_owned(), found: found.into(), needed: needed.into(), verdict }
    }

    fn row(&self) -> [String; 5] {
        let (mark, remedy) = match &self.verdict {
            Verdict::Enough => ("ok", ""),
            Verdict::Note(remedy) => ("NOTE", remedy.as_str()),
            Verdict::Lacking(remedy) => ("LACKING", remedy.as_str()),
        };
        [mark, &self.what, &self.found, &self.needed, remedy].map(str::to_owned)
    }
}

/// Everything that was looked at.
#[derive(Debug, Clone)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    /// Whether a node can run here as configured.
    #[must_use]
    pub(super) fn lacks_nothing(&self) -> bool {
        !self.0.iter().any(|finding| matches!(finding.verdict, Verdict::Lacking(_)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["", "what", "found", "needed", "remedy"].map(str::to_owned);
        let rows: Vec<_> = std::iter::once(head).chain(self.0.iter().map(Finding::row)).collect();
        f.write_str(&terminal::table(&rows))
    }
}

/// Measures this machine for a node with this configuration.
#[must_use]
pub(super) fn examine(config: &Config) -> Report {
    judge(&measure(config))
}

fn measure(config: &Config) -> Facts {
    let port = |(key, address)| {
        (key, address, listen::check_free(key, address, Duration::ZERO).map(drop).map_err(|e| e.to_string()))
    };
    let uname = rustix::system::uname();
    let (store, watched) = store::measure(config);
    Facts {
        kernel: uname.release().to_string_lossy().into_owned(),
        io_uring_disabled: setting("/proc/sys/kernel/io_uring_disabled"),
        driver: probe::driver().map_err(|error| format!("{error:#}")),
        files: files::hard_limit(),
        locked_bytes: getrlimit(Resource::Memlock).current,
        shards: config.shards(),
        connections: config.connections,
        ports: config.addresses().into_iter().map(port).collect(),
        data_dir: config.data_dir.clone(),
        data: data(config),
        free_bytes: free_bytes(config).ok(),
        // A cluster has disks of its own.
        free_bytes_min: match config.engine {
            StoreEngine::Embedded => config.free_bytes_min,
            StoreEngine::FoundationDb => 0,
        },
        media: media::examine(config),
        store,
        cluster: cluster::measure(config, watched.as_ref()),
    }
}

fn setting(path: &str) -> Option<u8> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// What a start would say of the data directory, without making it.
fn data(config: &Config) -> Result<(), String> {
    let path = &config.data_dir;
    if config.named_by("data.dir").is_none() && !path.exists() {
        // A start makes it where it is run.
        return datadir::write_once(&std::env::current_dir().map_err(|e| e.to_string())?).map_err(|e| {
            format!("it is to be made here, and this directory is not writable: {e}; name another with --data")
        });
    }
    datadir::prepare(config, Mode::Run).map_err(|error| error.to_string())
}

fn free_bytes(config: &Config) -> io::Result<u64> {
    disk::free_bytes(&config.data_dir).or_else(|_| disk::free_bytes(&std::env::current_dir()?))
}

/// Decides what is lacking.
fn judge(facts: &Facts) -> Report {
    let driver = if facts.driver.is_ok() { "starts" } else { "does not start" };
    let mut findings = vec![
        kernel(facts),
        io_uring(facts),
        Finding::new("a shard's driver", driver, "starts", facts.driver.clone().err()),
        file_limit(facts),
        locked_memory(facts),
    ];
    findings.extend(facts.ports.iter().map(|(key, address, free)| {
        let found = if free.is_ok() { format!("{address} is free") } else { address.to_string() };
        Finding::new(&format!("port of {key}"), found, "free", free.clone().err())
    }));
    let data_dir = facts.data_dir.display().to_string();
    findings.push(Finding::new("data directory", data_dir, "writable", facts.data.clone().err()));
    findings.push(free_disk(facts));
    let (place, tried) = &facts.media;
    findings.push(Finding::new("media", place.clone(), "written, read, removed", tried.clone().err()));
    findings.extend(store::findings(&facts.store));
    findings.extend(facts.cluster.iter().flat_map(cluster::findings));
    Report(findings)
}

fn kernel(facts: &Facts) -> Finding {
    let mut numbers = facts.kernel.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().ok());
    let version = numbers.next().flatten().zip(numbers.next().flatten());
    let needed = format!("{}.{} or later", KERNEL_MIN.0, KERNEL_MIN.1);
    let remedy = || "run a newer kernel: the driver needs its io_uring".to_owned();
    Finding::new("kernel", facts.kernel.clone(), needed, (version < Some(KERNEL_MIN)).then(remedy))
}

fn io_uring(facts: &Facts) -> Finding {
    let (found, remedy) = match facts.io_uring_disabled {
        None | Some(0) => ("permitted", None),
        Some(1) => (
            "for one group and administrators",
            Some("sysctl kernel.io_uring_disabled=0, or the node's group in kernel.io_uring_group"),
        ),
        Some(_) => ("disabled", Some("sysctl kernel.io_uring_disabled=0")),
    };
    Finding::new("io_uring", found, "permitted", remedy.map(str::to_owned))
}

fn file_limit(facts: &Facts) -> Finding {
    let connections = facts.connections.map_or(files::CONNECTIONS_MIN, u64::from);
    let needed = files::reserve(facts.shards) + connections;
    let remedy = || {
        format!("ulimit -Hn {needed}, LimitNOFILE={needed} in a systemd unit, --ulimit nofile={needed} for a container")
    };
    let found = match files::connections_max(facts.files, facts.shards) {
        Ok(connections) => format!("{}: {connections} connections", facts.files),
        Err(_) => facts.files.to_string(),
    };
    let lacking = (facts.files < needed).then(remedy);
    Finding::new("file limit (hard)", found, format!("{needed} for {connections} connections"), lacking)
}

fn locked_memory(facts: &Facts) -> Finding {
    let needed_bytes = LOCKED_BYTES_SHARD * u64::from(facts.shards);
    // Kernels that account rings to the process's memory instead start a shard under any limit, and so does root.
    let lacking = facts.driver.is_err() && facts.locked_bytes.is_some_and(|bytes| bytes < needed_bytes);
    let kib = needed_bytes / 1024;
    let remedy = || {
        format!(
            "ulimit -l {kib}, LimitMEMLOCK={kib}K in a systemd unit, --ulimit memlock={needed_bytes} for a container"
        )
    };
    let found = facts.locked_bytes.map_or_else(|| "no limit".to_owned(), |bytes| format!("{} KiB", bytes / 1024));
    let needed = format!("{kib} KiB for {} shards, where it is charged", facts.shards);
    Finding::new("locked memory", found, needed, lacking.then(remedy))
}

fn free_disk(facts: &Facts) -> Finding {
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let lacking = facts.free_bytes.is_none_or(|bytes| bytes < facts.free_bytes_min);
    let remedy = || "make room, name a larger disk with --data, or lower data.free_bytes_min".to_owned();
    let found = facts.free_bytes.map_or_else(|| "unknown".to_owned(), mib);
    Finding::new("free disk", found, mib(facts.free_bytes_min), lacking.then(remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enough() -> Facts {
        Facts {
            kernel: "6.1.0-13-amd64".to_owned(),
            io_uring_disabled: Some(0),
            driver: Ok(()),
            files: 20_000,
            locked_bytes: Some(1024 * 1024),
            shards: 2,
            connections: None,
            ports: vec![("listen.api", SocketAddr::from(([127, 0, 0, 1], 8000)), Ok(()))],
            data_dir: PathBuf::from("rookery.rkdata"),
            data: Ok(()),
            free_bytes: Some(2 << 30),
            free_bytes_min: 1 << 30,
            media: ("rookery.rkdata/media".to_owned(), Ok(())),
            store: store::Facts::Embedded(None),
            cluster: None,
        }
    }

    /// What is lacking once `change` has been made to a machine that has enough.
    fn check(change: impl FnOnce(&mut Facts), expected: &[&str]) {
        let mut facts = enough();
        change(&mut facts);
        let report = judge(&facts);
        let lacking = report.0.iter().filter(|finding| matches!(finding.verdict, Verdict::Lacking(_)));
        assert_eq!(lacking.map(|finding| finding.what.as_str()).collect::<Vec<_>>(), expected, "{facts:?}");
        assert_eq!(report.lacks_nothing(), expected.is_empty());
    }

    #[test]
    fn each_lack_is_found_and_nothing_else() {
        check(|_| (), &[]);
        check(|facts| facts.kernel = "5.15.0".to_owned(), &["kernel"]);
        check(|facts| facts.kernel = "6.0.19".to_owned(), &["kernel"]);
        check(|facts| facts.kernel = "7.0-rc1".to_owned(), &[]);
        check(|facts| facts.kernel = "unheard of".to_owned(), &["kernel"]);
        check(|facts| facts.io_uring_disabled = None, &[]);
        check(|facts| facts.io_uring_disabled = Some(1), &["io_uring"]);
        check(|facts| facts.io_uring_disabled = Some(2), &["io_uring"]);
        check(|facts| facts.driver = Err("io_uring is not permitted here".to_owned()), &["a shard's driver"]);
        check(|facts| facts.files = 2_467, &["file limit (hard)"]);
        check(|facts| facts.files = 2_468, &[]);
        check(|facts| facts.connections = Some(17_788), &[]);
        check(|facts| facts.connections = Some(17_789), &["file limit (hard)"]);
        check(|facts| facts.locked_bytes = None, &[]);
        check(|facts| facts.shards = 3, &[]);
        check(
            |facts| (facts.shards, facts.driver) = (3, Err("no memory".to_owned())),
            &["a shard's driver", "locked memory"],
        );
        check(|facts| facts.ports[0].2 = Err("in use".to_owned()), &["port of listen.api"]);
        check(|facts| facts.media.1 = Err("no such bucket".to_owned()), &["media"]);
        check(|facts| facts.data = Err("no such directory".to_owned()), &["data directory"]);
        check(|facts| facts.free_bytes = Some((1 << 30) - 1), &["free disk"]);
        check(|facts| facts.free_bytes = None, &["free disk"]);
        check(|facts| (facts.free_bytes, facts.free_bytes_min) = (Some(0), 0), &[]);
    }

    #[test]
    fn the_table_is_aligned_and_names_the_remedy() {
        let mut facts = enough();
        facts.io_uring_disabled = Some(2);
        let table = judge(&facts).to_string();
        let cells =
            |line: &str| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("|");
        let lines: Vec<_> = table.lines().take(3).map(cells).collect();
        let lacking = "LACKING|io_uring|disabled|permitted|sysctl kernel.io_uring_disabled=0";
        assert_eq!(lines, ["what|found|needed|remedy", "ok|kernel|6.1.0-13-amd64|6.1 or later", lacking], "{table}");
    }
}
