//! One worker process: its start, its orders, what it said last, its end.
//!
//! Owns the child, which is ended when this is dropped; one whose parent was killed ends by itself, since its input ends.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::crowd::protocol::{Order, Said, Setup};
use crate::status::Status;

/// How long a worker may take to close its connections and end.
const END_MAX: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(10);

/// What a worker has said.
#[derive(Debug, Default)]
struct Heard {
    /// The newest, once there is one.
    status: Option<Status>,
    /// The answer to the last `Tell`, until it is taken.
    latencies: Option<BTreeMap<String, String>>,
    failed: Option<String>,
    /// Its output has ended.
    ended: bool,
}

pub(super) struct Worker {
    number: usize,
    child: Child,
    orders: Option<ChildStdin>,
    given: u64,
    heard: Arc<Mutex<Heard>>,
}

impl Worker {
    /// Starts this very program again, with a process group of its own, so that Ctrl-C reaches the parent alone.
    pub(super) fn start(number: usize, setup: &Setup) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program to start workers of it")?;
        let mut command = Command::new(program);
        command.arg("worker").process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start worker {number}"))?;
        let (orders, out) = (child.stdin.take(), child.stdout.take().expect("it is piped"));
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let told = Arc::clone(&heard);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let mut heard = told.lock().unwrap_or_else(PoisonError::into_inner);
                match serde_json::from_str(&line) {
                    Ok(Said::Status(status)) => heard.status = Some(*status),
                    Ok(Said::Latencies(latencies)) => heard.latencies = Some(latencies),
                    Ok(Said::Failed(reason)) => heard.failed = Some(reason),
                    Err(error) => heard.failed = Some(format!("it said {line:?}: {error}")),
                }
            }
            told.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        });
        let mut worker = Self { number, child, orders, given: 0, heard };
        worker.write(&serde_json::to_string(setup)?)?;
        Ok(worker)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&mut self, line: &str) -> anyhow::Result<()> {
        let written = self.orders.as_mut().map(|orders| writeln!(orders, "{line}"));
        match written {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => self.must_live().and_then(|()| bail!("worker {} takes no orders", self.number)),
        }
    }

    pub(super) fn order(&mut self, order: &Order) -> anyhow::Result<()> {
        self.given += 1;
        let line = serde_json::to_string(order)?;
        self.write(&line)
    }

    /// Where it stands, once it has taken all orders.
    pub(super) fn status(&mut self) -> anyhow::Result<Option<Status>> {
        self.must_live()?;
        let given = self.given;
        Ok(self.heard().status.clone().filter(|status| status.orders >= given))
    }

    /// Where it stood last.
    pub(super) fn last_status(&self) -> Status {
        self.heard().status.clone().unwrap_or_default()
    }

    /// The answer to the last `Tell`, once it is there.
    pub(super) fn latencies(&mut self) -> anyhow::Result<Option<BTreeMap<String, String>>> {
        self.must_live()?;
        Ok(self.heard().latencies.take())
    }

    /// Fails with the reason if it has ended.
    fn must_live(&mut self) -> anyhow::Result<()> {
        if !self.heard().ended {
            return Ok(());
        }
        let until = Instant::now() + END_MAX;
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break Some(status),
                None if Instant::now() > until => break None,
                None => std::thread::sleep(LOOK),
            }
        };
        let reason = self.heard().failed.clone();
        bail!("worker {} (process {}) has ended: {}", self.number, self.child.id(), why(status, reason))
    }

    /// Has it close its connections and end; [`Self::wait`] sees to it that it does.
    pub(super) fn end(&mut self) {
        // One that has ended already takes no order and needs none.
        _ = self.order(&Order::End);
        self.orders = None;
    }

    pub(super) fn wait(&mut self) {
        let until = Instant::now() + END_MAX;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(LOOK);
        }
    }
}

/// Why a process ended, in words.
fn why(status: Option<ExitStatus>, said: Option<String>) -> String {
    match (said, status.and_then(|status| status.signal()), status) {
        (Some(said), _, _) => said,
        (None, Some(9), _) => "it was killed (signal 9); was there no memory left? `dmesg` says so".to_owned(),
        (None, Some(signal), _) => format!("signal {signal} ended it"),
        (None, None, Some(status)) => format!("{status}, without a word"),
        (None, None, None) => "it closed its output and runs on".to_owned(),
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as good.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_worker_has_a_reason() {
        let check = |raw: i32, said: Option<&str>, expected: &str| {
            assert_eq!(why(Some(ExitStatus::from_raw(raw)), said.map(str::to_owned)), expected);
        };
        check(0x100, Some("no file is left"), "no file is left");
        check(9, None, "it was killed (signal 9); was there no memory left? `dmesg` says so");
        check(15, None, "signal 15 ended it");
        check(0x200, None, "exit status: 2, without a word");
    }
}
