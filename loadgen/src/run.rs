//! What every subcommand does alike: look at the machine, open the connections, measure the server's memory, close.
//!
//! Owns the order of these. What is said over the connections is a workload's.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use crate::cli::Common;
use crate::engine::dialer::Dialer;
use crate::engine::{Engine, Workload};
use crate::interrupt::Interrupt;
use crate::machine;
use crate::process::{Memory, Process};
use crate::progress::Progress;
use crate::target::Target;

/// What the server may still do for connections that are open, before its memory is read.
const SETTLE: Duration = Duration::from_millis(300);

/// Longest wait in one turn: how late an interrupt or the progress may come.
pub(crate) const TURN_MAX: Duration = Duration::from_millis(100);

/// A run in progress.
pub(crate) struct Run {
    pub(crate) engine: Engine,
    pub(crate) interrupt: Interrupt,
    pub(crate) url: String,
    pub(crate) opening: Duration,
    /// One mask for all frames, different in each run: the server must unmask, and the frames can be made beforehand.
    pub(crate) mask: [u8; 4],
    connections: u32,
    parallel: usize,
    process: Option<Process>,
}

impl Run {
    /// Checks what can be checked before the first connection, and says what the run will be.
    pub(crate) fn prepare(command: &str, common: &Common, default_path: &str) -> anyhow::Result<Self> {
        let interrupt = Interrupt::install()?;
        let target = Target::parse(&common.url, default_path)?;
        let connections = common.connections.get();
        let allowed = machine::connections_allowed();
        machine::ensure_files(connections, allowed)?;
        if let Some(core) = common.cpu {
            machine::pin(core)?;
        }
        machine::sharpen_timers()?;
        let process = common.pid.map(Process::new).transpose()?;
        let url = target.to_string();
        let dialer = Dialer::new(target, None, connections, machine::local_ports()?, random().to_be_bytes())?;
        eprintln!(
            "loadgen {command}: {url}, {connections} connections{}; the file limit allows {allowed}",
            match dialer.sources() {
                0 => String::new(),
                sources => format!(" from {sources} local addresses"),
            }
        );
        // Never all zero, which would let a server skip the work.
        let mask = (random() as u32 | 1).to_be_bytes();
        Ok(Self {
            engine: Engine::new(dialer, connections, mask)?,
            interrupt,
            url,
            opening: Duration::ZERO,
            mask,
            connections,
            parallel: common.opening.get() as usize,
            process,
        })
    }

    /// Opens all connections, unless interrupted, and measures the server's memory on the way.
    pub(crate) fn open(&mut self, workload: &mut impl Workload) -> anyhow::Result<()> {
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

    /// The server's memory now, if a process was named. `None` too when the run was interrupted before all were open.
    pub(crate) fn memory(&self) -> anyhow::Result<Option<Memory>> {
        match &self.process {
            Some(process) if self.engine.open_now() > 0 => process.measure_all(self.engine.open_now() as u32).map(Some),
            Some(_) | None => Ok(None),
        }
    }
}

/// The system's randomness, which hashers are keyed with.
fn random() -> u128 {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    half() << 64 | half()
}
