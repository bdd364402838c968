//! The node of a run: its program, data, addresses, lives and metrics.
//!
//! Owns the process, which may be killed and started again on the same data and addresses, and the directory, which goes in
//! the end. Accounts and friendships are made while it is at rest, by the commands that operators use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use schema::UserId;

use super::graph::Account;
use crate::launch::{Directory, Running, child, find, secret, unconfigured};

/// How long a node may take to be ready, and to stop.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(10);
/// The prefix of the accounts' names, and of the directory's.
const PREFIX: &str = "load_";
const DIRECTORY: &str = "rookery-feed-";

/// A node, which runs or rests.
pub(super) struct Node {
    program: PathBuf,
    port: u16,
    settings: Settings,
    // The process goes before its directory.
    running: Option<Running>,
    directory: Directory,
    agent: ureq::Agent,
}

/// What a node is told beside where it is; without it its own defaults hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) shards: u16,
    /// The readers from which an author's posts are fanned out on read.
    pub(super) read_fanout_from: Option<u32>,
    pub(super) rows_per_second: Option<u32>,
}

/// Samples of a node's metrics: names with their labels, and figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Samples(Vec<(String, f64)>);

impl Samples {
    fn parse(text: &str) -> Self {
        let sample = |line: &str| {
            let (name, figure) = line.rsplit_once(' ')?;
            Some((name.to_owned(), figure.parse().ok()?))
        };
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// The sum of all of one name that have this label, `name="value"`; of all if it is empty.
    pub(super) fn sum(&self, name: &str, label: &str) -> f64 {
        let is = |sample: &str| {
            let (of, labels) = sample.split_once('{').unwrap_or((sample, ""));
            of == name && labels.contains(label)
        };
        self.0.iter().filter(|(sample, _)| is(sample)).map(|&(_, figure)| figure).sum()
    }

    /// The values of a label among the samples of one name, each once.
    pub(super) fn values(&self, name: &str, label: &str) -> Vec<String> {
        let mut values: Vec<String> = Vec::new();
        for (sample, _) in &self.0 {
            let Some((of, labels)) = sample.split_once('{') else { continue };
            let value = labels.split_once(&format!("{label}=\"")).and_then(|(_, rest)| rest.split('"').next());
            values.extend(value.filter(|_| of == name).map(str::to_owned));
        }
        values.sort();
        values.dedup();
        values
    }
}

impl Node {
    /// One that has never run, in a directory of its own. Its ports are `port`, the next, and the ninth from there.
    pub(super) fn new(program: Option<&Path>, port: u16, settings: Settings) -> anyhow::Result<Self> {
        let program = find(program, "rookery", "--rookery", "gateway")?;
        let directory = Directory::make(DIRECTORY)?;
        fs::create_dir(directory.join("data")).context("cannot make the node's data directory")?;
        secret(&directory.join("token.key"))?;
        let agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(5))).build().new_agent();
        Ok(Self { program, port, settings, running: None, directory, agent })
    }

    fn address(&self, offset: u16) -> String {
        format!("127.0.0.1:{}", self.port + offset)
    }

    pub(super) fn api(&self) -> String {
        format!("http://{}", self.address(0))
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}", self.address(1))
    }

    pub(super) fn token_key(&self) -> PathBuf {
        self.directory.join("token.key")
    }

    /// A file of the run's own.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// What a command of the node's program on its data says.
    fn said(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.program);
        command.args(words).arg("--data").arg(self.directory.join("data"));
        unconfigured(&mut command);
        let output = command.output().context("cannot run rookery")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "rookery {}: {}", words.join(" "), said.trim());
        String::from_utf8(output.stdout).context("rookery says no text")
    }

    /// Makes accounts without a password.
    pub(super) fn accounts(&self, count: u32) -> anyhow::Result<Vec<UserId>> {
        let text = self.said(&["store", "accounts", "--prefix", PREFIX, "--count", &count.to_string()])?;
        let user = |line: &str| line.split(' ').next()?.parse().ok();
        let users: Option<Vec<_>> = text.lines().map(user).collect();
        users.filter(|users| users.len() == count as usize).context("rookery says something else than accounts")
    }

    /// Makes friends of pairs of these accounts.
    pub(super) fn befriend(&self, users: &[UserId], pairs: &[(Account, Account)]) -> anyhow::Result<()> {
        let path = self.file("pairs");
        let line = |&(one, other): &(Account, Account)| format!("{} {}\n", users[one as usize], users[other as usize]);
        fs::write(&path, pairs.iter().map(line).collect::<String>()).context("cannot write the pairs of friends")?;
        self.said(&["store", "friends", "--pairs", &path.to_string_lossy()]).map(drop)
    }

    /// Walks the store of a node at rest: order, duplicates, inboxes.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.said(&["store", "check"]).map(drop)
    }

    /// Starts it, and waits until it is ready; how long that took. It dies with the thread that calls this.
    pub(super) fn start(&mut self) -> anyhow::Result<Duration> {
        assert!(self.running.is_none(), "a node runs once at a time");
        let began = Instant::now();
        let mut command = child(&self.program);
        command.args(["run", "--data.free_bytes_min", "0", "--data"]);
        command.arg(self.directory.join("data")).arg("--auth.key_file").arg(self.token_key());
        command.args(["--api", &self.address(0), "--ws", &self.address(1), "--internal", &self.address(9)]);
        let Settings { shards, read_fanout_from, rows_per_second } = self.settings;
        command.args(["--shards", &shards.to_string()]);
        for (key, value) in [("read_fanout_from", read_fanout_from), ("rows_per_second", rows_per_second)] {
            command.args(value.map(|value| format!("--feed.{key}={value}")));
        }
        self.running = Some(Running::start("node", command, self.directory.path())?);
        while !self.is_ready() {
            self.must_live()?;
            ensure!(began.elapsed() < PATIENCE, "the node was not ready within {} s", PATIENCE.as_secs());
            std::thread::sleep(LOOK);
        }
        Ok(began.elapsed())
    }

    fn is_ready(&self) -> bool {
        self.agent.get(format!("http://{}/health/ready", self.address(9))).call().is_ok()
    }

    /// Fails with the last line of its log if it has ended.
    pub(super) fn must_live(&mut self) -> anyhow::Result<()> {
        match &mut self.running {
            Some(running) => running.must_live(self.directory.path()),
            None => Ok(()),
        }
    }

    /// Ends it by SIGKILL, in the middle of whatever it does.
    pub(super) fn kill(&mut self) {
        self.running = None;
    }

    /// Asks it to stop, and waits until it has.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        let pid = i32::try_from(running.id()).ok().and_then(Pid::from_raw).context("a process has a number")?;
        kill_process(pid, Signal::TERM).context("cannot ask the node to stop")?;
        let until = Instant::now() + PATIENCE;
        // That it has ended is no failure here.
        while running.must_live(self.directory.path()).is_ok() {
            if Instant::now() > until {
                bail!("the node did not stop within {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Its metrics now; none while it does not answer.
    pub(super) fn metrics(&self) -> Option<Samples> {
        let mut answer = self.agent.get(format!("http://{}/metrics", self.address(9))).call().ok()?;
        Some(Samples::parse(&answer.body_mut().read_to_string().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_name_and_label() {
        let samples = Samples::parse(
            "# HELP hits x\n# TYPE hits counter\nhits{cache=\"a\",shard=\"0\"} 3\nhits{cache=\"a\",shard=\"1\"} 4\n\
             hits{cache=\"b\"} 5\nhits_all 9\n",
        );
        let sums = ["cache=\"a\"", "cache=\"b\"", ""].map(|label| samples.sum("hits", label));
        assert_eq!((sums, samples.sum("hits_all", ""), samples.sum("none", "")), ([7.0, 5.0, 12.0], 9.0, 0.0));
        assert_eq!(
            (samples.values("hits", "cache"), samples.values("hits_all", "cache")),
            (vec!["a".into(), "b".into()], vec![])
        );
    }
}
