//! The network: one thread for all sockets, all timers and all callbacks of the process.
//!
//! Owns the stages in which it is set up, run once and stopped, and the thread's loop. Callbacks run on that thread,
//! after whatever completed their futures let go of its locks.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::connection::Connection;
use super::future::{Call, Future, Value};
use super::line::Line;
use crate::code::Code;
use crate::link::{Signal, wait};

/// Longest wait: what nobody waits for is sent after that at the latest.
const WAIT_MAX: Duration = Duration::from_secs(1);

static NETWORK: OnceLock<Network> = OnceLock::new();

/// The process's network.
pub(super) struct Network {
    signal: Signal,
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    /// Connections that the thread does not know yet.
    connections: Vec<Arc<Connection>>,
    /// Callbacks that other threads left to this one.
    calls: Vec<Call>,
    timers: Vec<(Instant, Arc<Future>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    SetUp,
    Running,
    /// It was asked to stop, and may still run.
    Stopping,
    Stopped,
}

/// Sets it up. Once in a process.
///
/// # Errors
/// 2009 if it was; 1500 if the system has no event left.
pub(super) fn set_up() -> Result<(), Code> {
    let signal = Signal::new().map_err(|_| Code::PLATFORM_ERROR)?;
    let (connections, calls, timers) = (Vec::new(), Vec::new(), Vec::new());
    let state = Mutex::new(State { stage: Stage::SetUp, connections, calls, timers });
    NETWORK.set(Network { signal, state }).map_err(|_| Code::NETWORK_ALREADY_SETUP)
}

/// The network, once it is set up.
///
/// # Errors
/// 2008.
pub(super) fn get() -> Result<&'static Network, Code> {
    NETWORK.get().ok_or(Code::NETWORK_NOT_SETUP)
}

/// Runs callbacks that are due, on the network thread if there is one.
pub(super) fn defer(call: Call) {
    // A future without a network was ready from the beginning, and has no callback left.
    if let Some(network) = NETWORK.get() {
        network.state().calls.push(call);
        network.raise();
    }
}

impl Network {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the thread's wait.
    pub(super) fn raise(&self) {
        self.signal.raise();
    }

    /// Connects `connection`, and again whenever it breaks.
    pub(super) fn add(&self, connection: Arc<Connection>) {
        self.state().connections.push(connection);
        self.raise();
    }

    /// Completes `future` after `pause`.
    pub(super) fn after(&self, pause: Duration, future: Arc<Future>) {
        self.state().timers.push((Instant::now() + pause, future));
        self.raise();
    }

    /// Ends [`Self::run`], now or when it begins.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.stage = match state.stage {
            Stage::Running | Stage::Stopping => Stage::Stopping,
            Stage::SetUp | Stage::Stopped => Stage::Stopped,
        };
        drop(state);
        self.raise();
    }

    /// Whether its thread is still there.
    pub(super) fn runs(&self) -> bool {
        matches!(self.state().stage, Stage::Running | Stage::Stopping)
    }

    /// Runs until it is stopped.
    ///
    /// # Errors
    /// 2025 if it ran before, or was stopped; 1500 if the system cannot wait.
    pub(super) fn run(&self) -> Result<(), Code> {
        {
            let mut state = self.state();
            if state.stage != Stage::SetUp {
                return Err(Code::NETWORK_CANNOT_BE_RESTARTED);
            }
            state.stage = Stage::Running;
        }
        let ended = self.turn_until_stopped();
        self.state().stage = Stage::Stopped;
        ended
    }

    fn turn_until_stopped(&self) -> Result<(), Code> {
        let mut lines: Vec<Line> = Vec::new();
        loop {
            self.signal.lower();
            let now = Instant::now();
            let mut due = now + WAIT_MAX;
            let mut calls = Vec::new();
            if !self.take(now, &mut lines, &mut due, &mut calls) {
                return Ok(());
            }
            lines.retain(|line| !line.is_closed());
            lines.iter_mut().for_each(|line| line.turn(now, &mut calls));
            calls.into_iter().for_each(Call::run);
            due = lines.iter().map(Line::due).fold(due, Instant::min);
            self.wait(&mut lines, due)?;
        }
    }

    /// Takes over what other threads left. `false` once stopped.
    fn take(&self, now: Instant, lines: &mut Vec<Line>, due: &mut Instant, calls: &mut Vec<Call>) -> bool {
        let mut state = self.state();
        lines.extend(state.connections.drain(..).map(|connection| Line::new(connection, now)));
        calls.append(&mut state.calls);
        let ended: Vec<_> = state.timers.extract_if(.., |(at, _)| *at <= now).collect();
        *due = state.timers.iter().map(|(at, _)| *at).fold(*due, Instant::min);
        let goes_on = state.stage == Stage::Running;
        drop(state);
        calls.extend(ended.into_iter().filter_map(|(_, future)| future.complete(Ok(Value::Nothing))));
        goes_on
    }

    fn wait(&self, lines: &mut [Line], due: Instant) -> Result<(), Code> {
        let mut fds = vec![PollFd::new(&self.signal, PollFlags::IN)];
        let wanted: Vec<Option<PollFd<'_>>> = lines.iter().map(Line::wanted).collect();
        let waits: Vec<bool> = wanted.iter().map(Option::is_some).collect();
        fds.extend(wanted.into_iter().flatten());
        wait(&mut fds, Some(due)).map_err(|_| Code::PLATFORM_ERROR)?;
        let found: Vec<PollFlags> = fds[1..].iter().map(PollFd::revents).collect();
        let waiting = lines.iter_mut().zip(waits).filter(|(_, waits)| *waits);
        waiting.zip(found).for_each(|((line, _), found)| line.set_found(found));
        Ok(())
    }
}
