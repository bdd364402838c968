//! A node that may not be ready yet: its process, its log, and where its health is.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{Node, PATIENCE};

/// Lines of a node's log, which grow while it runs.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Waits until a line has this in it, and returns that line.
    pub(crate) fn until(&self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let lines = self.0.lock().expect("no test panics there");
            if let Some(line) = lines.iter().find(|line| line.contains(part)) {
                return line.clone();
            }
            drop(lines);
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the node never logged {part:?}: {:#?}", self.0.lock());
    }
}

/// A `rookery` that has been started. Killed when dropped.
pub(crate) struct Starting {
    child: Option<Child>,
    log: Log,
    ready: mpsc::Receiver<String>,
    pub(crate) internal: String,
}

impl Starting {
    /// Starts `rookery` on free ports of loopback, and waits until it serves its health.
    pub(crate) fn spawn(mode: &str, data: &Path, extra: &[&str]) -> Self {
        // Another binary than the one built with these tests: the gate names the one that ships.
        let binary = env::var_os("ROOKERY_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_rookery").into());
        let mut command = Command::new(binary);
        command.arg(mode).args(["--api", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--internal", "127.0.0.1:0"]);
        command.args(["--log.format", "json"]).arg("--data").arg(data).args(extra);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary was built");
        let log = Log::default();
        let (err, lines) = (child.stderr.take().expect("it is piped"), log.clone());
        thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                eprintln!("{line}");
                lines.0.lock().expect("no test panics there").push(line);
            }
        });
        let (out, (say_ready, ready)) = (child.stdout.take().expect("it is piped"), mpsc::channel());
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if line.starts_with("ready ") && say_ready.send(line).is_err() {
                    return;
                }
            }
        });
        let line = log.until("health and metrics");
        let line: serde_json::Value = serde_json::from_str(&line).expect("a JSON object a line");
        let address = line["internal"].as_str().unwrap_or_else(|| panic!("an address in {line}"));
        Self { child: Some(child), log, ready, internal: format!("http://{address}") }
    }

    /// Waits for a line of its log.
    pub(crate) fn logged(&self, part: &str) -> String {
        self.log.until(part)
    }

    /// Waits until it is ready.
    pub(crate) fn ready(mut self) -> Node {
        let ready = self.ready.recv_timeout(PATIENCE).expect("a node that starts says so");
        Node::new(self.child.take().expect("it is taken once"), &ready, self.log.clone())
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        super::terminate(self.child.as_mut().expect("it has not been taken"))
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
