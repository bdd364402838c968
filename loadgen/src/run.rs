//! Skeleton of every subcommand: look at the machine, open the connections, measure the server's memory, close.
//!
//! Owns the order of these. What is said over the connections is a workload's.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use schema::Encoding;

use crate::accounts::{self, Book};
use crate::cli::{Common, Devices};
use crate::drive::{Measured, Stopwatch};
use crate::engine::dialer::Dialer;
use crate::engine::{Engine, Workload};
use crate::interrupt::Interrupt;
use crate::machine::{self, thread_cpu_ns};
use crate::process::{Memory, Process};
use crate::progress::{self, Progress};
use crate::reconnect::Reconnect;
use crate::report::{FiguresOf, Provenance, Report, percent_of};
use crate::sampler::Seen;
use crate::session::{Sessions, Talk, Who};
use crate::target::{ECHO_PATH, SESSION_PATH, Target};

/// What the server may still do for connections that are open, before its memory is read.
const SETTLE: Duration = Duration::from_millis(300);

/// How long the server may take for what must be done before anything is measured.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Longest wait in one turn: how late an interrupt or the progress may come.
pub(crate) const TURN_MAX: Duration = Duration::from_millis(100);

/// A run in progress.
pub(crate) struct Run {
    pub(crate) engine: Engine,
    pub(crate) interrupt: Interrupt,
    pub(crate) command: &'static str,
    targets: Vec<Arc<Target>>,
    encoding: Option<Encoding>,
    opening: Duration,
    /// One mask for all frames, different in each run: the server must unmask, and the frames can be made beforehand.
    pub(crate) mask: [u8; 4],
    connections: u32,
    parallel: usize,
    process: Option<Process>,
}

impl Run {
    /// Checks what can be checked before the first connection, and says what the run will be.
    /// Without an `encoding` connections offer no subprotocol.
    fn prepare(
        command: &'static str,
        common: &Common,
        default_path: &str,
        encoding: Option<Encoding>,
    ) -> anyhow::Result<Self> {
        let interrupt = Interrupt::install()?;
        let targets = common.url.iter().map(|url| Target::parse(url, default_path).map(Arc::new));
        let targets = targets.collect::<anyhow::Result<Vec<_>>>()?;
        let connections = common.connections.get();
        let allowed = machine::connections_allowed();
        machine::ensure_files(connections, allowed)?;
        if let Some(core) = common.cpu {
            machine::pin(core)?;
        }
        machine::sharpen_timers()?;
        let process = common.pid.map(Process::new).transpose()?;
        let (ports, key) = (machine::local_ports()?, random().to_be_bytes());
        let dialer = Dialer::new(targets.clone(), encoding.map(Encoding::subprotocol), connections, ports, key)?;
        let announced = format!(
            "loadgen {command}: {}, {connections} connections{}; the file limit allows {allowed}",
            said(&targets),
            match dialer.sources() {
                0 => String::new(),
                sources => format!(" from {sources} local addresses"),
            }
        );
        if !progress::is_silent() {
            eprintln!("{announced}");
        }
        // Never all zero, which would let a server skip the work.
        let mask = (random() as u32 | 1).to_be_bytes();
        Ok(Self {
            engine: Engine::new(dialer, connections, mask)?,
            interrupt,
            command,
            targets,
            encoding,
            opening: Duration::ZERO,
            mask,
            connections,
            parallel: common.opening.get() as usize,
            process,
        })
    }

    /// Opens all connections, unless interrupted, and measures the server's memory on the way.
    fn open(&mut self, workload: &mut impl Workload) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut progress = Progress::new("opening", u64::from(self.connections));
        if let Some(base) = self.process.as_ref().map(|_| Process::base_connections(self.connections)) {
            self.open_until(base, workload, &mut progress)?;
            self.settle(workload)?;
            if let Some(process) = &mut self.process {
                process.measure_base(self.engine.open_now() as u32)?;
            }
        }
        self.open_until(self.connections, workload, &mut progress)?;
        self.opening = started.elapsed();
        if self.process.is_some() {
            self.settle(workload)?;
        }
        Ok(())
    }

    /// Connects a workload that needs no sessions, which `workload` makes.
    pub(crate) fn connect_raw<W: Workload>(
        command: &'static str,
        common: &Common,
        workload: impl FnOnce(&Self) -> W,
    ) -> anyhow::Result<(Self, W)> {
        let mut run = Self::prepare(command, common, ECHO_PATH, None)?;
        let mut workload = workload(&run);
        run.open(&mut workload)?;
        Ok((run, workload))
    }

    /// Has a session connected over each connection, so many `devices` of each account. Accounts are made first, with
    /// tokens that last for `span`; then `talk` makes what else is missing, and what is said. Where it `reconnects`,
    /// sessions that are lost come back.
    pub(crate) fn connect<T: Talk>(
        command: &'static str,
        common: &Common,
        span: Duration,
        devices: Devices,
        reconnects: bool,
        talk: impl FnOnce(&mut Book, &Interrupt) -> anyhow::Result<T>,
    ) -> anyhow::Result<(Self, Sessions<T>)> {
        ensure!(!common.raw, "{command} needs sessions: leave out --raw");
        let encoding = common.sessions.encoding;
        let mut run = Self::prepare(command, common, SESSION_PATH, Some(encoding))?;
        let mut book =
            accounts::prepare(&common.sessions, common.connections.get().div_ceil(devices.each), span, &run.interrupt)?;
        let talk = talk(&mut book, &run.interrupt)?;
        let sessions = run.engine.connections();
        let reconnect = reconnects.then(|| Reconnect::new(run.targets.clone(), sessions, random() as u64));
        let who = Who::new(book.logins(sessions.div_ceil(devices.each as usize)), devices, 0);
        let mut sessions = Sessions::new(sessions, run.mask, encoding, who, talk, reconnect);
        run.open(&mut sessions)?;
        run.wait_until("every session to be connected", &mut sessions, |engine, sessions| {
            sessions.connected() == engine.connections()
        })?;
        Ok((run, sessions))
    }

    /// Plays rounds one after the other, unless interrupted.
    pub(crate) fn rounds(
        &mut self,
        what: &'static str,
        count: u64,
        mut play: impl FnMut(&mut Self, u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<Measured> {
        let stopwatch = Stopwatch::start();
        let mut progress = Progress::new(what, count);
        for round in 0..count {
            if self.interrupt.requested() {
                break;
            }
            progress.show(round, || format!("{round} of {count} {what}"));
            play(self, round)?;
        }
        Ok(stopwatch.stop())
    }

    /// Turns until `done`, unless interrupted.
    ///
    /// # Errors
    /// It took too long, or a connection was lost meanwhile.
    pub(crate) fn wait_until<W: Workload>(
        &mut self,
        what: &str,
        workload: &mut W,
        done: impl Fn(&Engine, &W) -> bool,
    ) -> anyhow::Result<()> {
        let give_up = Instant::now() + WAIT_MAX;
        while !done(&self.engine, workload) && !self.interrupt.requested() {
            if let Some((reason, _)) = self.engine.counts().reasons.first_key_value() {
                bail!(
                    "{} of the connections were lost while waiting for {what}: {reason}",
                    self.engine.counts().closed
                );
            }
            ensure!(Instant::now() < give_up, "gave up waiting for {what} after {} s", WAIT_MAX.as_secs());
            self.engine.turn(workload, TURN_MAX)?;
        }
        Ok(())
    }

    /// Completes `report` with what the run itself knows, and closes the connections.
    pub(crate) fn finish(mut self, measured: Measured, report: Report) -> anyhow::Result<Report> {
        let counts = self.engine.counts();
        let cpu_percent = percent_of(measured.cpu_ns, measured.length);
        let length_seconds = measured.length.as_secs_f64();
        let within = measured.by_second.iter().take_while(|second| (second.at as f64) < length_seconds).count();
        let report = Report {
            command: self.command,
            url: said(&self.targets),
            run: Provenance::new(measured.started),
            encoding: self.encoding.map(Encoding::subprotocol),
            connections: self.connections,
            seconds: measured.length.as_secs_f64(),
            opening_seconds: self.opening.as_secs_f64(),
            closed: counts.closed,
            closed_reasons: counts.reasons.clone(),
            pings: counts.pings,
            cpu_percent,
            figures_of: FiguresOf::new(cpu_percent, &measured.by_second[..within]),
            starved_percent: measured.wait_ns.map(|wait_ns| percent_of(wait_ns, measured.length)),
            interrupted: self.interrupt.requested(),
            by_second: measured.by_second,
            ..report
        };
        self.engine.close()?;
        Ok(report)
    }

    fn open_until(&mut self, count: u32, workload: &mut impl Workload, progress: &mut Progress) -> anyhow::Result<()> {
        let (total, interrupt) = (self.connections, &self.interrupt);
        self.engine.open(count as usize, self.parallel, workload, |opened| {
            progress.show(opened as u64, || format!("{opened} of {total} connections"));
            !interrupt.requested()
        })?;
        Ok(())
    }

    fn settle(&mut self, workload: &mut impl Workload) -> anyhow::Result<()> {
        let until = Instant::now() + SETTLE;
        while Instant::now() < until && !self.interrupt.requested() {
            self.engine.turn(workload, until.saturating_duration_since(Instant::now()).min(TURN_MAX))?;
        }
        Ok(())
    }

    /// What a second's boundary sees of the run itself.
    pub(crate) fn seen(&self) -> Seen {
        let usage = self.process.as_ref().and_then(Process::usage);
        Seen { open: self.engine.open_now() as u64, cpu_ns: vec![thread_cpu_ns()], usage, ..Seen::default() }
    }

    /// The server's memory now, if a process was named. `None` too when the run was interrupted before all were open.
    pub(crate) fn memory(&self) -> anyhow::Result<Option<Memory>> {
        match &self.process {
            Some(process) if self.engine.open_now() > 0 => process.measure_all(self.engine.open_now() as u32).map(Some),
            Some(_) | None => Ok(None),
        }
    }
}

fn said(targets: &[Arc<Target>]) -> String {
    targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The system's randomness, which hashers are keyed with.
pub(crate) fn random() -> u128 {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    half() << 64 | half()
}
