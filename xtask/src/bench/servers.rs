//! The servers that are compared: each started anew on core 0, and stopped.
//!
//! Owns how each is called and when it is ready. One that does not start is told with the end of what it said.

use std::collections::VecDeque;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::nodes::Running;

/// How long one may take until it accepts.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);
/// Lines of what a server said that are kept.
const LINES_MAX: usize = 20;

/// A program that echoes.
pub(super) enum Server {
    /// This one, or another build of it.
    Rookery(PathBuf),
    /// An example that takes `--addr`.
    Example(PathBuf),
}

/// One that runs, until this is dropped.
pub(super) struct Started {
    running: Running,
    url: String,
    directory: Directory,
}

/// What a server may write to, which goes with it.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed is a few files of a node that stored nothing.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The last lines that a server said.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<VecDeque<String>>>);

impl Said {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// For an error, each line behind a break.
    fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() {
            "; it said nothing".to_owned()
        } else {
            lines.iter().map(|line| format!("\n  {line}")).collect()
        }
    }
}

impl Server {
    /// Starts it, and waits until it accepts.
    ///
    /// # Errors
    /// If it does not.
    pub(super) fn start(&self) -> Result<Started> {
        let directory = std::env::temp_dir().join(format!("rookery-bench-{}", std::process::id()));
        fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
        let directory = Directory(directory);
        let address = free_address()?;
        // Whoever serves has one core, and no choice.
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", "0"]);
        match self {
            Self::Rookery(path) => {
                ensure_there(path)?;
                let [api, internal] = [free_address()?, free_address()?];
                command.arg(path).args(["run", "--shards", "1", "--debug.echo", "true", "--data"]).arg(&directory.0);
                command.args(["--ws", &address.to_string(), "--api", &api.to_string()]);
                command.args(["--internal", &internal.to_string()]);
            }
            Self::Example(path) => {
                ensure_there(path)?;
                command.arg(path).args(["--addr", &address.to_string()]);
            }
        }
        let said = Said::default();
        let lines = said.clone();
        // `taskset`, of util-linux, becomes what it runs.
        let mut running = Running::start("taskset", command.stdout(Stdio::null()), move |line| lines.push(line))?;
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = running.ended()? {
                // What it said last may be on its way still.
                thread::sleep(LOOK);
                bail!("it ended before it accepted: {status}{}", said.text());
            }
            ensure!(began.elapsed() < PATIENCE, "it does not accept within {PATIENCE:?}{}", said.text());
            thread::sleep(LOOK);
        }
        Ok(Started { running, url: format!("ws://{address}/debug/echo"), directory })
    }
}

impl Started {
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// If it had to be killed.
    pub(super) fn stop(self) -> Result<()> {
        let Self { running, directory, .. } = self;
        running.stop()?;
        drop(directory);
        Ok(())
    }
}

fn ensure_there(path: &Path) -> Result<()> {
    ensure!(path.exists(), "there is no {}: leave --no-build out", path.display());
    Ok(())
}

/// One that nobody has at this moment.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_start_is_told_with_what_it_said() {
        check("echo no port is free >&2; exit 3", "exit status: 3\n  no port is free");
        check("seq 30 >&2; exit 1", "exit status: 1\n  11\n  12\n");
        check("exit 4", "exit status: 4; it said nothing");
    }

    /// A shell that serves nothing.
    fn check(script: &str, expected: &str) {
        let directory = std::env::temp_dir().join(format!("rookery-bench-test-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let directory = Directory(directory);
        let path = directory.0.join("server");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        let executable = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o700);
        fs::set_permissions(&path, executable).expect("it is ours");
        let error = Server::Example(path).start().err().expect("it does not start");
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }
}
