//! A cluster on this machine, for development: the stand-in of FoundationDB and several nodes, until Ctrl-C.
//!
//! Owns their addresses, their files and their order: the store first, the nodes one by one, and back. Each child has a
//! process group of its own, so that Ctrl-C reaches this program alone, which asks the nodes to leave before their
//! store goes.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Nodes at most: their ports are ten apart.
const NODES_MAX: u16 = 16;
/// How long a child may take to be ready, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// What kind of cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct Cluster {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=i64::from(NODES_MAX)))]
    nodes: u16,
    /// Shards of each
    #[arg(long, default_value_t = 2)]
    shards: u16,
    /// The API of the first node; the others' ports are ten apart each, and WebSocket is one further
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Run what `cargo build --release` makes, as a measurement wants it
    #[arg(long)]
    release: bool,
}

/// A child, which is stopped when this is dropped.
struct Running {
    name: String,
    child: Child,
}

impl Running {
    fn ask_to_stop(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // One that has ended already needs nothing.
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
    }

    fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits until it has stopped, and ends it if that takes too long.
    fn stop(&mut self) -> Result<()> {
        self.ask_to_stop();
        let until = Instant::now() + PATIENCE;
        while !self.has_ended()? {
            if Instant::now() > until {
                self.child.kill()?;
                bail!("{} did not stop within {} s and was killed", self.name, PATIENCE.as_secs());
            }
            thread::sleep(Duration::from_millis(50));
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

/// Builds, starts, follows and stops it.
///
/// # Errors
/// If something cannot be built or started, or ends by itself.
pub(crate) fn run(cluster: &Cluster) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let programs = build(root, cluster.release)?;
    let directory = std::env::temp_dir().join(format!("rookery-cluster-{}", std::process::id()));
    fs::create_dir(&directory).with_context(|| directory.display().to_string())?;
    let done = start(cluster, &programs, &directory).and_then(|mut running| {
        say(&format!("all {} nodes are ready; logs are in {}; Ctrl-C stops them", cluster.nodes, directory.display()));
        let (tell, ended) = mpsc::channel();
        let handle = signals.handle();
        thread::spawn(move || {
            // Ends when the handle is closed.
            for _ in &mut signals {
                let _ = tell.send(());
            }
        });
        let followed = follow(&mut running, &ended);
        handle.close();
        followed.and(stop(running))
    });
    fs::remove_dir_all(&directory)?;
    done
}

/// The directory of the programs.
fn build(root: &Path, release: bool) -> Result<PathBuf> {
    let metadata =
        cargo_metadata::MetadataCommand::new().current_dir(root).no_deps().exec().context("cargo metadata")?;
    // What ships is built alone: features of packages that are built together add up.
    for package in ["standin", "gateway"] {
        say(&format!("building {package}"));
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(root).args(["build", "--quiet", "--locked", "-p", package]);
        if release {
            cargo.arg("--release");
        }
        let status = cargo.status().context("cannot run cargo")?;
        ensure!(status.success(), "{package} cannot be built: {status}");
    }
    Ok(metadata.target_directory.join(if release { "release" } else { "debug" }).into())
}

/// The store, then the nodes.
fn start(cluster: &Cluster, programs: &Path, directory: &Path) -> Result<Vec<Running>> {
    let cluster_file = directory.join("fdb.cluster");
    let mut store = Command::new(programs.join("fdb-standin"));
    store.args(["--listen", "127.0.0.1:0", "--cluster-file"]).arg(&cluster_file);
    let mut running = vec![spawn("store", store, directory)?];
    wait_for("the store", &mut running, || cluster_file.exists())?;
    for name in ["cluster.secret", "token.key"] {
        secret(&directory.join(name))?;
    }
    for number in 1..=cluster.nodes {
        let name = format!("node-{number}");
        let port = |offset: u16| format!("127.0.0.1:{}", cluster.port + (number - 1) * 10 + offset);
        let data = directory.join(&name);
        fs::create_dir(&data)?;
        let mut node = Command::new(programs.join("rookery"));
        node.arg("dev").args(["--node.name", &name, "--shards", &cluster.shards.to_string(), "--data"]).arg(&data);
        node.args(["--api", &port(0), "--ws", &port(1), "--links", &port(4), "--internal", &port(9)]);
        node.args(["--store.engine", "foundationdb", "--store.cluster_file"]).arg(&cluster_file);
        node.arg("--store.client_library").arg(programs.join("libfdb_c.so"));
        node.arg("--cluster.secret_file").arg(directory.join("cluster.secret"));
        node.arg("--auth.key_file").arg(directory.join("token.key"));
        running.push(spawn(&name, node, directory)?);
        let output = directory.join(format!("{name}.out"));
        wait_for(&name, &mut running, || fs::read_to_string(&output).is_ok_and(|text| text.contains("ready ")))?;
        say(&format!("{name}  open http://{}/  ws://{}  metrics http://{}/metrics", port(0), port(1), port(9)));
    }
    Ok(running)
}

/// A file of random bytes that nobody else can read.
fn secret(path: &Path) -> Result<()> {
    let mut bytes = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    fs::write(path, bytes)?;
    Ok(fs::set_permissions(path, Permissions::from_mode(0o600))?)
}

/// Starts a child, whose output goes to files and whose log is shown here as well.
fn spawn(name: &str, mut command: Command, directory: &Path) -> Result<Running> {
    let output = fs::File::create(directory.join(format!("{name}.out")))?;
    let mut log = fs::File::create(directory.join(format!("{name}.log")))?;
    let child = command.process_group(0).stdin(Stdio::null()).stdout(output).stderr(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("cannot start {name}"))?;
    let errors = BufReader::new(child.stderr.take().expect("it is piped"));
    let shown = name.to_owned();
    thread::spawn(move || {
        use std::io::Write as _;
        for line in errors.lines().map_while(std::io::Result::ok) {
            say(&format!("{shown}  {line}"));
            let _ = writeln!(log, "{line}");
        }
    });
    Ok(Running { name: name.to_owned(), child })
}

fn wait_for(what: &str, running: &mut [Running], is_ready: impl Fn() -> bool) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while !is_ready() {
        let last = running.last_mut().expect("it was started");
        ensure!(!last.has_ended()?, "{what} ended before it was ready: its log is above");
        ensure!(Instant::now() < until, "{what} was not ready within {} s", PATIENCE.as_secs());
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Waits until it is to stop. A node that ends meanwhile is named, and the others go on: that is what they are for.
fn follow(running: &mut Vec<Running>, ended: &Receiver<()>) -> Result<()> {
    loop {
        if ended.recv_timeout(Duration::from_millis(200)).is_ok() {
            return Ok(());
        }
        let mut at = 0;
        while at < running.len() {
            if running[at].has_ended()? {
                let gone = running.remove(at);
                say(&format!("{} has ended, the others go on", gone.name));
                ensure!(gone.name != "store", "the store has ended, and with it the cluster");
            } else {
                at += 1;
            }
        }
        ensure!(running.len() > 1, "no node is left");
    }
}

/// The nodes at once, as they have nobody to hand over to, and then the store.
fn stop(mut running: Vec<Running>) -> Result<()> {
    say("stopping");
    running.iter().skip(1).for_each(Running::ask_to_stop);
    while let Some(mut last) = running.pop() {
        last.stop()?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a program for people at a terminal")]
fn say(text: &str) {
    println!("{text}");
}
