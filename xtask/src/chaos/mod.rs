//! A cluster on this machine under load while its nodes are killed, paused, drained or joined by another.
//!
//! Owns what is done to them and when, said with its time; `loadgen` owns the load and the verdict, which is the exit
//! code. Everything ends with the load: `--seconds` and what loadgen waits after it.

mod figures;
mod plan;

use std::fs;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use rustix::process::Signal;
use signal_hook::consts::{SIGINT, SIGTERM};

use self::figures::{Figures, PARTITIONS};
use self::plan::{Act, Plan};
use crate::nodes::{Layout, NODES_MAX, Nodes, PATIENCE, Profile, Programs, Running, name, say};

/// How often all is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long a killed node is away before it is started again, as a supervisor would.
const AWAY: Duration = Duration::from_secs(1);
/// How long a paused node stands still: beyond its lease of 5 s and the time that others take to notice.
const PAUSE: Duration = Duration::from_secs(9);
/// How long it may take then until it knows that its life is over.
const FENCED: Duration = Duration::from_secs(20);
/// How long partitions may take to be spread evenly.
const SPREAD: Duration = Duration::from_secs(60);
/// How long loadgen may take to make its accounts.
const MAKING: Duration = Duration::from_secs(900);

/// What kind of cluster, of load and of chaos.
#[derive(Debug, Clone, Args)]
pub(crate) struct Chaos {
    /// What is done to the nodes
    #[arg(long, value_enum, default_value_t = Plan::Kills)]
    plan: Plan,
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..i64::from(NODES_MAX)))]
    nodes: u16,
    /// Shards of each
    #[arg(long, default_value_t = 2)]
    shards: u16,
    /// The API of the first node; the others' ports are ten apart each
    #[arg(long, default_value_t = 8100)]
    port: u16,
    /// Accounts, each with a device
    #[arg(long, default_value_t = 300)]
    clients: u32,
    /// Members of each channel
    #[arg(long, default_value_t = 2)]
    group: u32,
    /// Messages a second over all
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// How long the load lasts
    #[arg(long, default_value_t = 90)]
    seconds: u64,
    /// When the first thing is done, and of kills how long after each the next one is
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// How the programs are built
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// Run what was built before
    #[arg(long)]
    no_build: bool,
    /// Have loadgen report one JSON object
    #[arg(long)]
    json: bool,
}

/// Builds, starts, disturbs and stops all. The exit code is loadgen's, or 1 if a node ended that should not have, or
/// did not that should.
///
/// # Errors
/// If something cannot be built or started, or the store ends.
pub(crate) fn run(chaos: &Chaos) -> Result<ExitCode> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let programs = if chaos.no_build {
        Programs::built(chaos.profile)?
    } else {
        Programs::build(&["standin", "gateway", "loadgen"], chaos.profile)?
    };
    let &Chaos { shards, port, .. } = chaos;
    let mut nodes = Nodes::start(programs.clone(), Layout { shards, port, shown: false })?;
    let directory = nodes.directory().to_owned();
    say(&format!("logs are in {}", directory.display()));
    for number in 1..=chaos.nodes {
        nodes.spawn_ready(number)?;
    }
    let loading = Arc::new(AtomicBool::new(false));
    let load = start_load(chaos, &programs, &nodes, &loading)?;
    let mut run = Chaotic {
        nodes,
        load,
        interrupted,
        began: Instant::now(),
        code: None,
        unexpected: 0,
        before: Figures::default(),
    };
    run.until(MAKING, |_| Ok(loading.load(Ordering::Relaxed)))?;
    run.began = Instant::now();
    let ended = run.through(&chaos.plan.acts(chaos.nodes, chaos.seconds, chaos.every));
    let Chaotic { nodes, load, unexpected, .. } = run;
    drop(load);
    let stopped = nodes.stop();
    let code = ended?;
    stopped?;
    if code == 0 && unexpected == 0 {
        fs::remove_dir_all(&directory)?;
    } else {
        say(&format!("{unexpected} times a node did what it should not; logs stay in {}", directory.display()));
    }
    Ok(if code == 0 && unexpected > 0 { ExitCode::FAILURE } else { ExitCode::from(code) })
}

/// Starts loadgen against all nodes, one that joins later too. `loading` is set once it sends.
fn start_load(chaos: &Chaos, programs: &Programs, nodes: &Nodes, loading: &Arc<AtomicBool>) -> Result<Running> {
    let mut load = Command::new(programs.path("loadgen"));
    load.arg("chat").args(["--connections", &chaos.clients.to_string(), "--group", &chaos.group.to_string()]);
    load.args(["--rate", &chaos.rate.to_string(), "--seconds", &chaos.seconds.to_string(), "--warmup", "0"]);
    load.arg("--accounts").arg(nodes.directory().join("accounts.json"));
    match chaos.plan {
        Plan::Kills => {}
        // Whoever drains a node expects that nobody notices.
        Plan::Rolling | Plan::Join => _ = load.arg("--announced-only"),
    }
    for number in 1..=chaos.nodes {
        load.args(["--url", &format!("ws://{}", nodes.address(number, 1))]);
    }
    for number in 1..=chaos.nodes {
        load.args(["--api", &format!("http://{}", nodes.address(number, 0))]);
    }
    if chaos.json {
        load.arg("--json");
    }
    let loading = Arc::clone(loading);
    let mut said = say_as("loadgen");
    Running::start("loadgen", load.stdout(Stdio::inherit()), move |line| {
        if line.contains(SENDING) {
            loading.store(true, Ordering::Relaxed);
        }
        said(line);
    })
}

/// Shows what a program says.
fn say_as(program: &'static str) -> impl FnMut(String) + Send + 'static {
    move |line| say(&format!("         {program}  {line}"))
}

/// What loadgen says when its load begins.
const SENDING: &str = "loadgen chat: sending";

/// A run under way.
struct Chaotic {
    nodes: Nodes,
    load: Running,
    interrupted: Arc<AtomicBool>,
    began: Instant,
    /// How loadgen ended.
    code: Option<u8>,
    /// Nodes that ended though nobody asked them to, or did not though they should have, or did not start.
    unexpected: u32,
    /// Of the nodes, when they were looked at last.
    before: Figures,
}

impl Chaotic {
    fn say(&self, text: &str) {
        say(&format!("{:7.1} s  {text}", self.began.elapsed().as_secs_f64()));
    }

    /// Waits until something is so, at most so long. `false` if it took too long, the load has ended or the user has
    /// had enough.
    fn until(&mut self, most: Duration, mut is_so: impl FnMut(&mut Self) -> Result<bool>) -> Result<bool> {
        let until = Instant::now() + most;
        while !is_so(self)? {
            if Instant::now() > until || self.is_over()? {
                return Ok(false);
            }
            thread::sleep(LOOK);
        }
        Ok(true)
    }

    fn is_over(&mut self) -> Result<bool> {
        if self.code.is_none()
            && let Some(status) = self.load.ended()?
        {
            self.code = Some(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2));
        }
        Ok(self.code.is_some() || self.interrupted.load(Ordering::Relaxed))
    }

    /// Does what is planned, and waits for loadgen's report; its exit code.
    fn through(&mut self, plan: &[(Duration, Act)]) -> Result<u8> {
        self.even()?;
        self.before = self.figures();
        self.disturb(plan)?;
        let code = self.until_load_ends()?;
        self.show("at the end");
        Ok(code)
    }

    /// Does what is planned, one after the other.
    fn disturb(&mut self, plan: &[(Duration, Act)]) -> Result<()> {
        for &(at, act) in plan {
            self.rest(at.saturating_sub(self.began.elapsed()))?;
            if self.is_over()? {
                break;
            }
            self.act(act)?;
        }
        Ok(())
    }

    /// Lets time pass. A node that ends by itself meanwhile is named and started again.
    fn rest(&mut self, length: Duration) -> Result<()> {
        let until = Instant::now() + length;
        while Instant::now() < until && !self.is_over()? {
            self.revive()?;
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn revive(&mut self) -> Result<()> {
        while let Some((number, status)) = self.nodes.any_ended()? {
            self.unexpected += 1;
            self.say(&format!("{} ended by itself: {status}", name(number)));
            self.start(number)?;
        }
        Ok(())
    }

    fn act(&mut self, act: Act) -> Result<()> {
        self.show("before");
        self.say(&act.to_string());
        match act {
            Act::Join(number) => {
                let moved = self.moved()?;
                self.start(number)?;
                self.even()?;
                self.before = self.figures();
                let (moved, has) = (self.moved()? - moved, self.before.partitions(number));
                let part = 100.0 * moved as f64 / PARTITIONS as f64;
                self.say(&format!("{moved} partitions of {PARTITIONS} moved, {part:.1} %; {} has {has}", name(number)));
                Ok(())
            }
            Act::Kill(number) => {
                self.nodes.signal(number, Signal::KILL);
                self.ends(number, PATIENCE)?;
                thread::sleep(AWAY);
                self.start(number)
            }
            Act::Restart(number) => {
                let mut drain = Running::start("drain", &mut self.nodes.drain(number), say_as("drain"))?;
                self.until(PATIENCE, |_| Ok(drain.ended()?.is_some()))?;
                if self.ends(number, PATIENCE)? {
                    self.start(number)?;
                    self.even()?;
                }
                Ok(())
            }
            Act::Pause(number) => {
                self.nodes.signal(number, Signal::STOP);
                let paused = Instant::now();
                self.until(PAUSE + LOOK, |_| Ok(paused.elapsed() > PAUSE))?;
                self.nodes.signal(number, Signal::CONT);
                self.say(&format!("{} goes on", name(number)));
                if self.ends(number, FENCED)? { self.start(number) } else { Ok(()) }
            }
        }
    }

    fn figures(&self) -> Figures {
        Figures::ask(self.nodes.running().map(|number| (number, self.nodes.address(number, 9))))
    }

    /// Says how the work is spread over the nodes, and how it was since this was said last.
    fn show(&mut self, when: &str) {
        let now = self.figures();
        self.say(&format!("{when}: {}", now.spread(&self.before)));
        self.before = now;
    }

    /// How many partitions were moved so far.
    fn moved(&self) -> Result<u64> {
        self.nodes.running().map(|number| figures::moves(&self.nodes.log(number))).sum()
    }

    /// Waits until the partitions are spread over the nodes that run.
    fn even(&mut self) -> Result<()> {
        let since = Instant::now();
        let even = self.until(SPREAD, |run| Ok(run.figures().is_even()))?;
        let took = since.elapsed().as_secs_f64();
        if even {
            self.say(&format!("partitions are spread evenly after {took:.1} s"));
        } else if !self.is_over()? {
            self.unexpected += 1;
            self.say(&format!("partitions are not spread evenly after {took:.1} s"));
        }
        Ok(())
    }

    /// Waits until a node has ended, and says how. `false` if it does not.
    fn ends(&mut self, number: u16, most: Duration) -> Result<bool> {
        let (asked, mut ended) = (Instant::now(), None);
        self.until(most, |run| {
            ended = run.nodes.ended(number)?;
            Ok(ended.is_some())
        })?;
        let took = asked.elapsed().as_secs_f64();
        match ended {
            Some(status) => self.say(&format!("{} has ended after {took:.1} s: {status}", name(number))),
            None => {
                let over = self.is_over()?;
                self.unexpected += u32::from(!over);
                self.say(&format!("{} has not ended after {took:.1} s", name(number)));
            }
        }
        Ok(ended.is_some())
    }

    /// Starts a node and waits until it is ready, or until all is over.
    fn start(&mut self, number: u16) -> Result<()> {
        let started = Instant::now();
        self.nodes.spawn(number)?;
        let ready = self.until(PATIENCE, |run| run.nodes.is_ready(number));
        let took = started.elapsed().as_secs_f64();
        match ready {
            Ok(true) => self.say(&format!("{} is ready after {took:.1} s", name(number))),
            Ok(false) => {
                let over = self.is_over()?;
                self.unexpected += u32::from(!over);
                self.say(&format!("{} is not ready after {took:.1} s", name(number)));
            }
            Err(error) => {
                self.unexpected += 1;
                self.say(&format!("{error:#}"));
            }
        }
        Ok(())
    }

    /// Waits for loadgen's report; its exit code.
    fn until_load_ends(&mut self) -> Result<u8> {
        let mut told = false;
        loop {
            let over = self.is_over()?;
            if let Some(code) = self.code {
                return Ok(code);
            }
            if over && !told {
                // It reports what it has so far.
                self.load.signal(Signal::INT);
                told = true;
            }
            if !over {
                self.revive()?;
            }
            thread::sleep(LOOK);
        }
    }
}
