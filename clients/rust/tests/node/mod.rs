//! The node that users run, as it was built beside these tests, and accounts on it.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rookery_client::{Api, Error, Login};
use rustix::process::{Pid, Signal, kill_process};

/// The program: what the gate names, or what was built beside this test.
pub(crate) fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("ROOKERY_BINARY") {
        return path.into();
    }
    let test = std::env::current_exe().expect("the system names the running program");
    let path = test.ancestors().nth(2).expect("a test is in target/PROFILE/deps").join("rookery");
    assert!(path.exists(), "{} is missing: cargo build -p gateway, or name one by ROOKERY_BINARY", path.display());
    path
}

/// Ports of a node, the same in each of its lives.
#[derive(Debug, Clone)]
pub(crate) struct Ports {
    pub(crate) api: u16,
    pub(crate) ws: u16,
    internal: u16,
    links: u16,
}

impl Ports {
    /// Four that are free, below those that the system gives to whoever asks for any: between two lives of a node nobody takes
    /// them.
    pub(crate) fn free() -> Self {
        static DRAWN: AtomicU16 = AtomicU16::new(0);
        loop {
            // Tests of one process count, processes differ by their numbers.
            let place = std::process::id().wrapping_mul(97) + u32::from(DRAWN.fetch_add(4, Ordering::Relaxed));
            let first = 15_000 + u16::try_from(place % 16_000).expect("below 16,000");
            if (0..4).all(|offset| TcpListener::bind(("127.0.0.1", first + offset)).is_ok()) {
                return Self { api: first, ws: first + 1, internal: first + 2, links: first + 3 };
            }
        }
    }

    /// The address of its HTTP API.
    pub(crate) fn api_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.api)
    }

    /// `true` if this WebSocket address is its.
    pub(crate) fn is_at(&self, url: &str) -> bool {
        url.starts_with(&format!("ws://127.0.0.1:{}/", self.ws))
    }
}

/// A node that runs. Killed when dropped.
pub(crate) struct Node {
    child: Child,
}

impl Node {
    /// Starts a life of a node, and waits until it is ready.
    pub(crate) fn start(data: &Path, ports: &Ports, more: &[String]) -> Self {
        let mut command = Command::new(program());
        let ours = std::env::vars_os().filter(|(variable, _)| variable.to_string_lossy().starts_with("ROOKERY_"));
        ours.for_each(|(variable, _)| _ = command.env_remove(variable));
        command.args(["run", "--shards", "1", "--data.free_bytes_min", "0", "--log", "warn", "--data"]).arg(data);
        for (flag, port) in [("--api", ports.api), ("--ws", ports.ws), ("--internal", ports.internal)] {
            command.args([flag, &format!("127.0.0.1:{port}")]);
        }
        let child = command.args(more).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut child = child.expect("the node starts");
        let mut ready = String::new();
        let out = child.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut ready).expect("it writes text");
        assert!(ready.starts_with("ready "), "the node is not ready: {ready:?}");
        Self { child }
    }

    /// Configuration that a node of a cluster has beside that.
    pub(crate) fn links(ports: &Ports) -> String {
        format!("--links=127.0.0.1:{}", ports.links)
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::KILL).expect("it runs");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Makes an account.
pub(crate) async fn sign_up(api: &Api, name: &str) -> Result<Login, Error> {
    api.sign_up(name, "correct horse battery", None).await
}
