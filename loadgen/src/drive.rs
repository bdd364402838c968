//! The measured stretch of a run: sends when something is due, keeps the window, waits for what is outstanding.
//!
//! Owns the window and the order of phases (warm-up, measurement, drain). What a message is, and when it counts as
//! answered, is the workload's.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime};

use crate::cli::LoadArgs;
use crate::engine::{Engine, Workload};
use crate::machine::{runqueue_wait_ns, thread_cpu_ns};
use crate::pace::Pace;
use crate::progress::Progress;
use crate::report::{Counts, Packed, Second};
use crate::run::{Run, TURN_MAX};
use crate::sampler::{Sampler, Seen};

/// How long answers are waited for after the last send. What is missing then is lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Until none has come for this long,
    pub(crate) quiet: Duration,
    /// and no longer than this in all.
    pub(crate) most: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { quiet: Duration::from_secs(3), most: Duration::from_secs(30) }
    }
}

/// Connections that get their first message between two turns, so that the first answers do not wait for the last
/// sends.
const STARTS_PER_TURN: usize = 64;

/// How and when a workload may send. Times are on the engine's clock.
#[derive(Debug)]
pub(crate) struct Schedule {
    pace: Pace,
    /// What is measured. Nothing is due from its end on.
    window_ns: Range<u64>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    Running,
    /// A closed loop sends nothing more; an open one only what was due before.
    Draining,
}

impl Schedule {
    /// Nothing is due until [`drive`] begins.
    pub(crate) fn new(pipeline: NonZeroU32) -> Self {
        Self { pace: Pace::Closed { pipeline }, window_ns: 0..1, phase: Phase::Before }
    }

    /// Every message of `connection` numbered below this may be sent now; see [`Pace::allowance`].
    #[inline]
    pub(crate) fn allowance(&self, connection: usize, unanswered: u64, now_ns: u64) -> u64 {
        match (self.phase, self.pace) {
            (Phase::Before, _) | (Phase::Draining, Pace::Closed { .. }) => 0,
            (Phase::Running | Phase::Draining, _) => {
                self.pace.allowance(connection, unanswered, now_ns.min(self.window_ns.end - 1))
            }
        }
    }

    /// When a message was meant to be sent; see [`Pace::intended_ns`].
    #[inline]
    pub(crate) fn intended_ns(&self, connection: usize, seq: u64, now_ns: u64) -> u64 {
        self.pace.intended_ns(connection, seq, now_ns)
    }

    /// Whether what happened at `at_ns` is measured.
    #[inline]
    pub(crate) fn measures(&self, at_ns: u64) -> bool {
        self.window_ns.contains(&at_ns)
    }

    /// How long after the beginning of what is measured `at_ns` is.
    pub(crate) fn measured_ns(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.window_ns.start)
    }

    /// Messages of the whole run that are due by `now_ns`, in an open loop.
    pub(crate) fn due(&self, now_ns: u64) -> u64 {
        self.pace.due(now_ns.min(self.window_ns.end - 1))
    }

    /// Messages of the whole run that an open loop has to send.
    pub(crate) fn due_in_all(&self) -> u64 {
        self.pace.due(self.window_ns.end - 1)
    }
}

/// A workload with a schedule.
pub(crate) trait Driven: Workload {
    fn schedule(&mut self) -> &mut Schedule;

    /// Whether answers are missing, or messages that are due are not sent yet.
    fn outstanding(&mut self) -> bool;

    /// Answers so far: while it grows, the drain waits on.
    fn answers(&self) -> u64;

    /// Of now.
    fn patience(&self) -> Patience {
        Patience::default()
    }

    /// Whether no connection is left to wait for.
    fn is_over(&self, engine: &Engine) -> bool {
        engine.open_now() == 0
    }

    /// Counts so far, and the latencies of what was answered since this was called last.
    fn second(&mut self) -> (Counts, BTreeMap<&'static str, Packed>);

    /// Where the run stands, for the progress.
    fn describe(&self) -> String;

    /// Called between turns, for what is due by the clock.
    ///
    /// # Errors
    /// The run cannot go on.
    fn between_turns(&mut self, _engine: &mut Engine, _now_ns: u64) -> anyhow::Result<()> {
        Ok(())
    }
}

/// The window as it was, and what it took of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) started: SystemTime,
    pub(crate) length: Duration,
    pub(crate) cpu_ns: u64,
    /// How long the thread could have run but had no core. `None` where the kernel does not say.
    pub(crate) wait_ns: Option<u64>,
    pub(crate) by_second: Vec<Second>,
}

/// Warms up, measures, drains. Ends early when interrupted, or when no connection is left.
pub(crate) fn drive<W: Driven>(
    run: &mut Run,
    work: &mut W,
    &LoadArgs { rate, warmup, .. }: &LoadArgs,
    length: Duration,
) -> anyhow::Result<Measured> {
    let start_ns = run.engine.now_ns();
    let window_start_ns = start_ns + warmup.as_nanos() as u64;
    let schedule = work.schedule();
    schedule.window_ns = window_start_ns..window_start_ns + (length.as_nanos() as u64).max(1);
    if let Some(rate) = rate {
        let connections = u32::try_from(run.engine.connections()).ok().and_then(NonZeroU32::new);
        let connections = connections.expect("connections are counted by a NonZeroU32");
        schedule.pace = Pace::Open { rate, connections, start_ns };
    }
    schedule.phase = Phase::Running;
    let mut due = DueMessages::default();
    if rate.is_none() {
        start_closed_loop(run, work)?;
    }
    let mut stopwatch = None;
    let mut sampler: Option<Sampler> = None;
    let mut progress = Progress::new(run.command, (warmup + length).as_millis() as u64);
    loop {
        let now_ns = run.engine.now_ns();
        let window_ns = work.schedule().window_ns.clone();
        if now_ns >= window_ns.start {
            stopwatch.get_or_insert_with(Stopwatch::start);
            if let Some(second) = look(run, work, &mut sampler, window_ns.start, now_ns) {
                progress.second(second);
            }
        }
        if now_ns >= window_ns.end || run.interrupt.requested() || work.is_over(&run.engine) {
            break;
        }
        work.between_turns(&mut run.engine, now_ns)?;
        let next_ns = due.pump(&mut run.engine, work, now_ns);
        let second_ns = sampler.as_ref().map_or(window_ns.start, Sampler::next_ns);
        let boundary_ns = second_ns.min(window_ns.end);
        let wait = Duration::from_nanos(next_ns.min(boundary_ns).saturating_sub(run.engine.now_ns()));
        run.engine.turn(work, wait.min(TURN_MAX))?;
        progress.show((now_ns - start_ns) / 1_000_000, || work.describe());
    }
    let ended_ns = run.engine.now_ns();
    let measured = stopwatch.unwrap_or_else(Stopwatch::start).stop();
    let schedule = work.schedule();
    schedule.phase = Phase::Draining;
    schedule.window_ns.end = schedule.window_ns.end.min(ended_ns.max(1));
    schedule.window_ns.start = schedule.window_ns.start.min(schedule.window_ns.end);
    let length = Duration::from_nanos(schedule.window_ns.end - schedule.window_ns.start);
    drain(run, work, &mut due, &mut sampler)?;
    let end_ns = run.engine.now_ns();
    let by_second = sampler.map(|sampler| sampler.end(end_ns, seen(run, work))).unwrap_or_default();
    Ok(Measured { length, by_second, ..measured })
}

/// Takes the running second of the window that began at `start_ns` if it is over.
fn look<'a, W: Driven>(
    run: &Run,
    work: &mut W,
    sampler: &'a mut Option<Sampler>,
    start_ns: u64,
    now_ns: u64,
) -> Option<&'a Second> {
    match sampler {
        None => {
            *sampler = Some(Sampler::new(start_ns, seen(run, work)));
            None
        }
        Some(sampler) if now_ns >= sampler.next_ns() => Some(sampler.take(now_ns, seen(run, work))),
        Some(_) => None,
    }
}

fn seen<W: Driven>(run: &Run, work: &mut W) -> Seen {
    let (counts, latencies) = work.second();
    Seen { counts, latencies, ..run.seen() }
}

fn start_closed_loop<W: Driven>(run: &mut Run, work: &mut W) -> anyhow::Result<()> {
    for connection in 0..run.engine.connections() {
        run.engine.pump(connection, work);
        if connection % STARTS_PER_TURN == STARTS_PER_TURN - 1 {
            run.engine.turn(work, Duration::ZERO)?;
        }
    }
    Ok(())
}

fn drain<W: Driven>(
    run: &mut Run,
    work: &mut W,
    due: &mut DueMessages,
    sampler: &mut Option<Sampler>,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let (mut answers, mut answered_at) = (work.answers(), started);
    while work.outstanding() && !work.is_over(&run.engine) {
        let now_ns = run.engine.now_ns();
        work.between_turns(&mut run.engine, now_ns)?;
        due.pump(&mut run.engine, work, now_ns);
        run.engine.turn(work, TURN_MAX)?;
        if sampler.is_some() {
            look(run, work, sampler, now_ns, now_ns);
        }
        if work.answers() != answers {
            (answers, answered_at) = (work.answers(), Instant::now());
        }
        let patience = work.patience();
        if answered_at.elapsed() > patience.quiet || started.elapsed() > patience.most {
            break;
        }
    }
    Ok(())
}

/// Which messages of an open loop have had their connection pumped.
#[derive(Debug, Default)]
struct DueMessages {
    pumped: u64,
}

impl DueMessages {
    /// Sends what is due; gives when the next message is.
    fn pump<W: Driven>(&mut self, engine: &mut Engine, work: &mut W, now_ns: u64) -> u64 {
        let (connections, due) = (engine.connections() as u64, work.schedule().due(now_ns));
        // One pump sends all that is due on its connection, so one for each is enough however far behind we are.
        for message in self.pumped..due.min(self.pumped + connections) {
            engine.pump((message % connections) as usize, work);
        }
        self.pumped = due.max(self.pumped);
        work.schedule().pace.due_ns(self.pumped).unwrap_or(u64::MAX)
    }
}

/// What time passes, and what this thread takes of the machine meanwhile.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    started_at: SystemTime,
    started: Instant,
    cpu_ns: u64,
    wait_ns: Option<u64>,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self {
            started_at: SystemTime::now(),
            started: Instant::now(),
            cpu_ns: thread_cpu_ns(),
            wait_ns: runqueue_wait_ns(),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn stop(&self) -> Measured {
        let wait_ns = self.wait_ns.and_then(|before| Some(runqueue_wait_ns()?.saturating_sub(before)));
        Measured {
            started: self.started_at,
            length: self.elapsed(),
            cpu_ns: thread_cpu_ns() - self.cpu_ns,
            wait_ns,
            by_second: Vec::new(),
        }
    }
}
