//! The servers that are compared: each started anew on core 0, and stopped.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// How long one may take until it accepts.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);

/// A program that echoes.
pub(super) enum Server {
    /// This one, or another build of it.
    Rookery(PathBuf),
    /// An example that takes `--addr`.
    Example(PathBuf),
}

/// One that runs, until this is dropped.
pub(super) struct Started {
    child: Child,
    url: String,
    directory: PathBuf,
}

impl Server {
    /// Starts it, and waits until it accepts.
    ///
    /// # Errors
    /// If it does not.
    pub(super) fn start(&self) -> Result<Started> {
        let directory = std::env::temp_dir().join(format!("rookery-bench-{}", std::process::id()));
        fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
        let address = free_address()?;
        // Whoever serves has one core, and no choice.
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", "0"]);
        match self {
            Self::Rookery(path) => {
                ensure_there(path)?;
                let [api, internal] = [free_address()?, free_address()?];
                command.arg(path).args(["run", "--shards", "1", "--debug.echo", "true", "--data"]).arg(&directory);
                command.args(["--ws", &address.to_string(), "--api", &api.to_string()]);
                command.args(["--internal", &internal.to_string()]);
            }
            Self::Example(path) => {
                ensure_there(path)?;
                command.arg(path).args(["--addr", &address.to_string()]);
            }
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.context("cannot run taskset, of util-linux")?;
        let mut started = Started { child, url: format!("ws://{address}/debug/echo"), directory };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = started.child.try_wait()? {
                bail!("it ended before it accepted: {status}");
            }
            ensure!(began.elapsed() < PATIENCE, "it does not accept within {PATIENCE:?}");
            thread::sleep(LOOK);
        }
        Ok(started)
    }
}

impl Started {
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// `taskset` becomes what it runs.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and ends it if it does not.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub(super) fn stop(mut self, within: Duration) -> Result<()> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        let began = Instant::now();
        while self.child.try_wait()?.is_none() && began.elapsed() < within {
            thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // One that has ended already needs nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
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
