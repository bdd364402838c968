//! A cluster on this machine that is thrown away afterwards: the stand-in for the store, and nodes on it.
//!
//! Owns its ports and the order in which its processes come and go.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use schema::UserId;
use serde::Deserialize;

use crate::interrupt::Interrupt;
use crate::launch::{Directory, Running, child, find, secret};
use crate::process::{Process, Usage};

/// How long a child may take to be ready on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);
/// Nodes that start at a time.
const STARTING: u16 = 4;
/// The prefix of the accounts' names, and of the directory's, which ends in the number of the process.
const PREFIX: &str = "load_";
const DIRECTORY: &str = "rookery-million-";

/// Where the programs are.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub(super) rookery: PathBuf,
    pub(super) standin: PathBuf,
    pub(super) client_library: PathBuf,
}

impl Programs {
    /// Those that were named, or else those beside this one.
    pub(super) fn find(
        rookery: Option<&Path>,
        standin: Option<&Path>,
        client_library: Option<&Path>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            rookery: find(rookery, "rookery", "--rookery", "gateway")?,
            standin: find(standin, "fdb-standin", "--standin", "standin")?,
            client_library: find(client_library, "libfdb_c.so", "--client-library", "standin")?,
        })
    }
}

/// The store and the nodes on it.
pub(super) struct Cluster {
    programs: Programs,
    port: u16,
    ping_seconds: u32,
    // Nodes go before their store, and the directory last.
    nodes: Vec<Running>,
    store: Running,
    directory: Directory,
}

impl Cluster {
    /// The store, in a new directory. The ports of node `n` are ten apart from `port` on, and nodes ping after `ping_seconds`.
    pub(super) fn start(programs: Programs, port: u16, ping_seconds: u32) -> anyhow::Result<Self> {
        let directory = Directory::make(DIRECTORY)?;
        let cluster_file = directory.join("fdb.cluster");
        let mut command = child(&programs.standin);
        command.args(["--listen", "127.0.0.1:0", "--cluster-file"]).arg(&cluster_file);
        let mut store = Running::start("store", command, directory.path())?;
        let until = Instant::now() + PATIENCE;
        while !cluster_file.exists() {
            store.must_live(directory.path())?;
            ensure!(Instant::now() < until, "the store was not ready within {} s", PATIENCE.as_secs());
            std::thread::sleep(LOOK);
        }
        for name in ["cluster.secret", "token.key"] {
            secret(&directory.join(name))?;
        }
        Ok(Self { programs, port, ping_seconds, nodes: Vec::new(), store, directory })
    }

    fn store_flags(&self, command: &mut Command) {
        command.args(["--store.engine", "foundationdb", "--store.cluster_file"]);
        command.arg(self.directory.join("fdb.cluster"));
        command.arg("--store.client_library").arg(&self.programs.client_library);
    }

    /// Makes accounts without a password, by the program that operators use.
    pub(super) fn accounts(&self, count: u32) -> anyhow::Result<Vec<UserId>> {
        let mut command = Command::new(&self.programs.rookery);
        command.args(["store", "accounts", "--prefix", PREFIX, "--count", &count.to_string()]);
        self.store_flags(&mut command);
        let output = command.output().context("cannot run rookery")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cannot make {count} accounts: {}", said.trim());
        let text = String::from_utf8(output.stdout).context("rookery says something else than accounts")?;
        let user = |line: &str| line.split(' ').next()?.parse().ok();
        let users: Option<Vec<_>> = text.lines().map(user).collect();
        users.filter(|users| users.len() == count as usize).context("rookery says something else than accounts")
    }

    /// The file with the key that signs tokens.
    pub(super) fn token_key(&self) -> PathBuf {
        self.directory.join("token.key")
    }

    fn address(&self, number: u16, offset: u16) -> String {
        format!("127.0.0.1:{}", self.port + 10 * number + offset)
    }

    pub(super) fn urls(&self) -> Vec<String> {
        (0..self.nodes.len() as u16).map(|number| format!("ws://{}", self.address(number, 1))).collect()
    }

    pub(super) fn apis(&self) -> Vec<String> {
        (0..self.nodes.len() as u16).map(|number| format!("http://{}", self.address(number, 0))).collect()
    }

    /// Starts so many nodes, and waits until each has its share.
    pub(super) fn start_nodes(&mut self, count: u16, interrupt: &Interrupt) -> anyhow::Result<()> {
        for from in (0..count).step_by(usize::from(STARTING)) {
            // The first alone: it makes what all find.
            for number in from..count.min(from + STARTING) {
                self.start_node(number)?;
                if number == 0 {
                    self.until(interrupt, "the first node is ready", |cluster| Ok(cluster.is_ready(0)))?;
                }
            }
            let started = from..count.min(from + STARTING);
            self.until(interrupt, "nodes are ready", |cluster| {
                Ok(started.clone().all(|number| cluster.is_ready(number)))
            })?;
            eprintln!("loadgen million: {} of {count} nodes are ready", started.end);
        }
        self.until(interrupt, "each node has its share", |cluster| cluster.is_spread(count))
    }

    fn start_node(&mut self, number: u16) -> anyhow::Result<()> {
        let name = format!("node-{number}");
        let data = self.directory.join(&name);
        fs::create_dir_all(&data)?;
        let mut command = child(&self.programs.rookery);
        command.args(["run", "--shards", "1", "--node.name", &name, "--data.free_bytes_min", "0", "--data"]).arg(&data);
        let at = |offset| self.address(number, offset);
        command.args(["--api", &at(0), "--ws", &at(1), "--links", &at(4), "--internal", &at(9)]);
        command.args(["--limits.ping_seconds", &self.ping_seconds.to_string()]);
        self.store_flags(&mut command);
        command.arg("--cluster.secret_file").arg(self.directory.join("cluster.secret"));
        command.arg("--auth.key_file").arg(self.token_key());
        self.nodes.push(Running::start(&name, command, self.directory.path())?);
        Ok(())
    }

    fn is_ready(&self, number: u16) -> bool {
        let output = self.directory.join(format!("node-{number}.out"));
        fs::read_to_string(output).is_ok_and(|text| text.contains("ready "))
    }

    /// Whether all nodes are in one view, and each owns some of it.
    fn is_spread(&self, count: u16) -> anyhow::Result<bool> {
        #[derive(Deserialize)]
        struct Shown {
            epoch: u64,
            nodes: Vec<Node>,
        }
        #[derive(Deserialize)]
        struct Node {
            epoch: Option<u64>,
            partitions: u32,
        }
        let url = format!("http://{}/admin/nodes", self.address(0, 9));
        let Ok(mut answer) = ureq::get(&url).call() else { return Ok(false) };
        let Shown { epoch, nodes } =
            answer.body_mut().read_json().with_context(|| format!("{url} says something else"))?;
        let fair = schema::limits::PARTITIONS as usize / nodes.len().max(1);
        let has_share = |node: &Node| node.epoch == Some(epoch) && node.partitions as usize + 1 >= fair;
        Ok(nodes.len() == usize::from(count) && nodes.iter().all(has_share))
    }

    fn until(
        &mut self,
        interrupt: &Interrupt,
        what: &str,
        done: impl Fn(&Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while !done(self)? {
            self.must_live()?;
            ensure!(!interrupt.requested(), "interrupted before {what}");
            ensure!(Instant::now() < until, "{} s have passed before {what}", PATIENCE.as_secs());
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Fails with the last line of its log if a process has ended.
    pub(super) fn must_live(&mut self) -> anyhow::Result<()> {
        self.store.must_live(self.directory.path())?;
        self.nodes.iter_mut().try_for_each(|node| node.must_live(self.directory.path()))
    }

    /// The nodes', to be measured.
    pub(super) fn processes(&self) -> anyhow::Result<Vec<Process>> {
        self.nodes.iter().map(|node| Process::new(node.id())).collect()
    }

    /// What all nodes together and the store have and have taken.
    pub(super) fn usage(&self) -> anyhow::Result<(Usage, Usage)> {
        let of = |running: &Running| {
            let usage = Process::new(running.id())?.usage();
            usage.with_context(|| format!("{} is gone", running.name()))
        };
        let none = Usage { cpu_ns: 0, resident_bytes: 0 };
        let nodes = self.nodes.iter().try_fold(none, |all, node| anyhow::Ok(all.and(of(node)?)))?;
        Ok((nodes, of(&self.store)?))
    }
}
