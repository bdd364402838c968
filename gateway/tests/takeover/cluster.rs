//! Several `rookery run` processes on one stand-in, which runs in this process.
//!
//! Owns the stand-in, the files that the nodes share, and each node's process with what it says. Nodes are killed when
//! they are dropped.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use fdb_c::{Server, ServerOptions};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take that has no bound of its own: a lease of 5 s, on a machine with much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct Cluster {
    pub(crate) server: Server,
    directory: tempfile::TempDir,
    cluster_file: PathBuf,
    starts: u32,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let server = Server::start(ServerOptions::default()).expect("the stand-in starts");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let cluster_file = server.cluster_file(directory.path());
        std::fs::write(directory.path().join("token.key"), [7_u8; 32]).expect("it can be written");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(directory.path().join("token.key"), private).expect("it is ours");
        Self { server, directory, cluster_file, starts: 0 }
    }

    /// What every process on this store is told.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rookery"));
        command.args(words).args(["--store.engine", "foundationdb", "--store.cluster_file"]).arg(&self.cluster_file);
        command.arg("--store.client_library").arg(fdb_c::library());
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("ROOKERY_") {
                command.env_remove(variable);
            }
        }
        command
    }

    /// Starts a node of this name.
    pub(crate) fn node(&mut self, name: &str) -> Node {
        self.starts += 1;
        let path = |what: &str| self.directory.path().join(format!("{name}-{}.{what}", self.starts));
        let (data, errors) = (path("rkdata"), path("log"));
        std::fs::create_dir(&data).expect("the directory is new");
        // The internal listener is asked before the node is ready, so its port is chosen here.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let mut command = self.command(&["run", "--shards", "1", "--log.format", "json", "--node.name", name]);
        command.args(["--api", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--internal", &free.to_string()]);
        command.arg("--data").arg(data).arg("--auth.key_file").arg(self.directory.path().join("token.key"));
        let stderr = File::create(&errors).expect("the file is new");
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (line, lines) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        Node { name: name.to_owned(), child, lines, errors, internal: format!("http://{free}") }
    }

    /// `rookery store check`, with more words.
    pub(crate) fn check(&self, words: &[&str]) -> Output {
        self.command(&[&["store", "check"], words].concat()).output().expect("the program starts")
    }
}

pub(crate) struct Node {
    pub(crate) name: String,
    child: Child,
    lines: Receiver<String>,
    errors: PathBuf,
    internal: String,
}

/// Where a node's clients go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) api: String,
    pub(crate) ws: String,
}

impl Node {
    /// Waits until it is active.
    pub(crate) fn ready(&self) -> Place {
        match self.ready_within(PATIENCE) {
            Some(place) => place,
            None => panic!("{} is not active: {:?}, {}", self.name, self.health(), self.errors()),
        }
    }

    pub(crate) fn ready_within(&self, most: Duration) -> Option<Place> {
        let line = self.lines.recv_timeout(most).ok()?;
        let place = |name: &str| {
            let field = line.split(' ').find_map(|word| word.strip_prefix(&format!("{name}=")));
            field.unwrap_or_else(|| panic!("{name} is in {line:?}")).to_owned()
        };
        Some(Place { api: place("api"), ws: place("ws") })
    }

    fn probe(&self, path: &str) -> Option<String> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(2)))
            .build()
            .into();
        agent.get(format!("{}{path}", self.internal)).call().ok()?.body_mut().read_to_string().ok()
    }

    /// Why it is not ready; nothing if it is, or does not answer.
    pub(crate) fn health(&self) -> Vec<String> {
        let told = self.probe("/health/ready").unwrap_or_default();
        let told: Value = serde_json::from_str(&told).unwrap_or_default();
        let reasons = told["reasons"].as_array().cloned().unwrap_or_default();
        reasons.iter().filter_map(|reason| reason.as_str().map(str::to_owned)).collect()
    }

    /// Waits until it stands by, and says behind whom.
    pub(crate) fn stands_by(&self) -> String {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let health = self.health();
            if let Some(behind) = health.iter().find_map(|reason| reason.strip_prefix("node: standing by, ")) {
                return behind.to_owned();
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("{} does not stand by: {:?}, {}", self.name, self.health(), self.errors());
    }

    /// One of its figures.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.probe("/metrics").expect("it answers");
        let value = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} is in\n{text}"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for its end; what it wrote to standard error.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return (status, self.errors());
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("{} does not end: {}", self.name, self.errors());
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).expect("it was made at its start")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Where it has ended there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
