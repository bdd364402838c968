//! Processes of a cluster on this machine: the stand-in of FoundationDB and the nodes that share it.
//!
//! Owns their programs, addresses, files and order: the store first, and last of all when they go. Each child has a
//! process group of its own, so that Ctrl-C reaches the program that started them alone, which asks the nodes to leave
//! before their store goes. A node that is started again has its data and addresses, and a new life.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};

/// Nodes at most: their ports are ten apart.
pub(crate) const NODES_MAX: u16 = 16;
/// How long a child may take to be ready, and to stop.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often a child is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Built sooner than the others, and slow
    Dev,
    /// What the gate builds
    Ci,
    /// What ships, and is measured
    Release,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Ci => "ci",
            Self::Release => "release",
        }
    }

    /// Where cargo puts what it builds so.
    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Ci | Self::Release => self.name(),
        }
    }
}

/// Where programs are.
#[derive(Debug, Clone)]
pub(crate) struct Programs(PathBuf);

impl Programs {
    /// Builds these packages, each alone, since features of packages that are built together add up.
    ///
    /// # Errors
    /// One cannot be built.
    pub(crate) fn build(packages: &[&str], profile: Profile) -> Result<Self> {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        for package in packages {
            say(&format!("building {package}"));
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.current_dir(root).args(["build", "--quiet", "--locked", "--profile", profile.name(), "-p", package]);
            let status = cargo.status().context("cannot run cargo")?;
            ensure!(status.success(), "{package} cannot be built: {status}");
        }
        Self::built(profile)
    }

    /// Builds examples of a package, behind [`build`](Self::build): with them come features of what is for tests.
    ///
    /// # Errors
    /// One cannot be built.
    pub(crate) fn build_examples(package: &str, names: &[&str], profile: Profile) -> Result<()> {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        say(&format!("building {}", names.join(", ")));
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(root).args(["build", "--quiet", "--locked", "--profile", profile.name(), "-p", package]);
        let status =
            cargo.args(names.iter().flat_map(|name| ["--example", name])).status().context("cannot run cargo")?;
        ensure!(status.success(), "the examples cannot be built: {status}");
        Ok(())
    }

    /// What was built before.
    ///
    /// # Errors
    /// Cargo does not say where that is.
    pub(crate) fn built(profile: Profile) -> Result<Self> {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let metadata = cargo_metadata::MetadataCommand::new().current_dir(root).no_deps().exec();
        let target = metadata.context("cargo metadata")?.target_directory;
        Ok(Self(target.join(profile.folder()).into()))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// A child, which is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    child: Child,
}

impl Running {
    /// Starts a child whose standard error is handed to `lines`.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(
        name: &str,
        command: &mut Command,
        mut lines: impl FnMut(String) + Send + 'static,
    ) -> Result<Self> {
        let child = command.process_group(0).stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("cannot start {name}"))?;
        let errors = BufReader::new(child.stderr.take().expect("it is piped"));
        thread::spawn(move || errors.lines().map_while(std::io::Result::ok).for_each(&mut lines));
        Ok(Self { name: name.to_owned(), child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // One that has ended already needs nothing.
        let _ = pid.map(|pid| kill_process(pid, signal));
    }

    /// How it has ended, if it has.
    ///
    /// # Errors
    /// The system does not say.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks it to stop and waits until it has. One that takes too long is killed.
    ///
    /// # Errors
    /// It had to be.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM);
        let until = Instant::now() + PATIENCE;
        while self.ended()?.is_none() {
            if Instant::now() > until {
                bail!("{} did not stop within {} s and is killed", self.name, PATIENCE.as_secs());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is the same for all nodes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) shards: u16,
    /// The API of the first node; the others' ports are ten apart each, and WebSocket is one further.
    pub(crate) port: u16,
    /// Whether their logs are shown beside being kept.
    pub(crate) shown: bool,
}

/// The store and its nodes, by number from 1.
#[derive(Debug)]
pub(crate) struct Nodes {
    programs: Programs,
    layout: Layout,
    directory: PathBuf,
    // Nodes go before their store.
    nodes: BTreeMap<u16, Running>,
    store: Running,
}

impl Nodes {
    /// The store alone, in a new directory.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn start(programs: Programs, layout: Layout) -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("rookery-cluster-{}", std::process::id()));
        fs::create_dir(&directory).with_context(|| directory.display().to_string())?;
        let cluster_file = directory.join("fdb.cluster");
        let mut store = Command::new(programs.path("fdb-standin"));
        store.args(["--listen", "127.0.0.1:0", "--cluster-file"]).arg(&cluster_file);
        let mut store = logged("store", &mut store, &directory, layout.shown)?;
        let until = Instant::now() + PATIENCE;
        while !cluster_file.exists() {
            ensure!(store.ended()?.is_none(), "the store ended before it was ready");
            ensure!(Instant::now() < until, "the store was not ready within {} s", PATIENCE.as_secs());
            thread::sleep(LOOK);
        }
        for name in ["cluster.secret", "token.key"] {
            secret(&directory.join(name))?;
        }
        Ok(Self { programs, layout, directory, nodes: BTreeMap::new(), store })
    }

    /// Where logs and data are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// An address of a node: 0 is the API, 1 WebSocket, 4 links, 9 internal.
    pub(crate) fn address(&self, number: u16, offset: u16) -> String {
        format!("127.0.0.1:{}", self.layout.port + (number - 1) * 10 + offset)
    }

    /// Numbers of the nodes that run, as far as is known.
    pub(crate) fn running(&self) -> impl Iterator<Item = u16> {
        self.nodes.keys().copied()
    }

    /// Where what a node logs is kept.
    pub(crate) fn log(&self, number: u16) -> PathBuf {
        self.directory.join(format!("{}.log", name(number)))
    }

    /// The command that drains a node, and ends when it has ended.
    pub(crate) fn drain(&self, number: u16) -> Command {
        let mut command = Command::new(self.programs.path("rookery"));
        command.args(["drain", "--wait", "--internal", &self.address(number, 9)]).stdout(Stdio::null());
        command
    }

    /// Starts a node, for the first time or again. It is ready later.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn spawn(&mut self, number: u16) -> Result<()> {
        let name = name(number);
        let data = self.directory.join(&name);
        fs::create_dir_all(&data)?;
        let mut node = Command::new(self.programs.path("rookery"));
        let shards = self.layout.shards.to_string();
        node.arg("dev").args(["--node.name", &name, "--shards", &shards, "--data"]).arg(&data);
        let port = |offset| self.address(number, offset);
        node.args(["--api", &port(0), "--ws", &port(1), "--links", &port(4), "--internal", &port(9)]);
        node.args(["--store.engine", "foundationdb", "--store.cluster_file"]).arg(self.directory.join("fdb.cluster"));
        node.arg("--store.client_library").arg(self.programs.path("libfdb_c.so"));
        node.arg("--cluster.secret_file").arg(self.directory.join("cluster.secret"));
        node.arg("--auth.key_file").arg(self.directory.join("token.key"));
        let running = logged(&name, &mut node, &self.directory, self.layout.shown)?;
        self.nodes.insert(number, running);
        Ok(())
    }

    /// Whether a node that was started is ready.
    ///
    /// # Errors
    /// It has ended instead.
    pub(crate) fn is_ready(&mut self, number: u16) -> Result<bool> {
        let output = self.directory.join(format!("{}.out", name(number)));
        if fs::read_to_string(output).is_ok_and(|text| text.contains("ready ")) {
            return Ok(true);
        }
        if let Some(status) = self.ended(number)? {
            bail!("{} ended before it was ready: {status}; see {}", name(number), self.directory.display());
        }
        Ok(false)
    }

    /// Starts a node and waits until it is ready.
    ///
    /// # Errors
    /// It ends before that, or takes too long.
    pub(crate) fn spawn_ready(&mut self, number: u16) -> Result<()> {
        self.spawn(number)?;
        let until = Instant::now() + PATIENCE;
        while !self.is_ready(number)? {
            ensure!(Instant::now() < until, "{} was not ready within {} s", name(number), PATIENCE.as_secs());
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// The process of a node that runs.
    pub(crate) fn pid(&self, number: u16) -> Option<u32> {
        self.nodes.get(&number).map(Running::pid)
    }

    pub(crate) fn signal(&self, number: u16, signal: Signal) {
        if let Some(node) = self.nodes.get(&number) {
            node.signal(signal);
        }
    }

    /// How a node has ended, if it has; it is forgotten then.
    ///
    /// # Errors
    /// The system does not say.
    pub(crate) fn ended(&mut self, number: u16) -> Result<Option<ExitStatus>> {
        let Some(node) = self.nodes.get_mut(&number) else { return Ok(None) };
        let status = node.ended()?;
        if status.is_some() {
            self.nodes.remove(&number);
        }
        Ok(status)
    }

    /// A node that has ended since anybody asked, and how.
    ///
    /// # Errors
    /// The store has, and with it the cluster.
    pub(crate) fn any_ended(&mut self) -> Result<Option<(u16, ExitStatus)>> {
        if let Some(status) = self.store.ended()? {
            bail!("the store has ended, and with it the cluster: {status}");
        }
        let numbers: Vec<u16> = self.nodes.keys().copied().collect();
        for number in numbers {
            if let Some(status) = self.ended(number)? {
                return Ok(Some((number, status)));
            }
        }
        Ok(None)
    }

    /// Whether no node is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Stops the nodes at once, as they have nobody to hand over to, then the store.
    ///
    /// # Errors
    /// One had to be killed.
    pub(crate) fn stop(self) -> Result<()> {
        self.nodes.values().for_each(|node| node.signal(Signal::TERM));
        let stopped: Vec<_> = self.nodes.into_values().map(Running::stop).collect();
        self.store.stop()?;
        stopped.into_iter().collect()
    }
}

pub(crate) fn name(number: u16) -> String {
    format!("node-{number}")
}

/// A file of random bytes that nobody else can read.
pub(crate) fn secret(path: &Path) -> Result<()> {
    let mut bytes = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    fs::write(path, bytes)?;
    Ok(fs::set_permissions(path, Permissions::from_mode(0o600))?)
}

/// Starts a child whose output goes to files; its log grows from life to life.
fn logged(name: &str, command: &mut Command, directory: &Path, shown: bool) -> Result<Running> {
    command.stdout(fs::File::create(directory.join(format!("{name}.out")))?);
    let mut log = fs::OpenOptions::new().create(true).append(true).open(directory.join(format!("{name}.log")))?;
    let named = name.to_owned();
    Running::start(name, command, move |line| {
        if shown {
            say(&format!("{named}  {line}"));
        }
        // A full disk shows elsewhere.
        let _ = writeln!(log, "{line}");
    })
}

#[expect(clippy::print_stdout, reason = "a program for people at a terminal")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
