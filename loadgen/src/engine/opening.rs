//! From a vacant slot to an open WebSocket connection, a bounded number at a time.
//!
//! Owns the order of dialling and the time that each may take. A connection that cannot be opened ends the run,
//! unless its workload tries it again.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::connection::{Phase, Upgrade};
use super::error::EngineError;
use super::poller::Token;
use super::{Engine, Workload};
use crate::target::Target;

/// How long one connection may take from `connect` to the answer to its upgrade.
pub(super) const OPENING_MAX: Duration = Duration::from_secs(10);

/// How often the caller of `open` is asked whether to go on, when nothing else happens.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// What one read takes of the answer to an upgrade, which has some 200 bytes.
const ANSWER_CHUNK_BYTES: usize = 2048;

/// What is being opened.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// The first slot that was never dialled.
    next: usize,
    /// How often one became open, including those that were lost since.
    opened: usize,
    in_flight: usize,
    /// When each was dialled, oldest first; those that are open by now are dropped when they reach the front.
    dialled: VecDeque<(Token, u64)>,
}

impl Engine {
    /// Opens the first `count` connections, while at most `parallel` are on their way or open and not
    /// [`ready`](Workload::ready), which none is waited for that takes longer than opening may. `go_on` is asked with the
    /// number opened so far, and may end it early. One that its workload will try again may still be on its way.
    ///
    /// # Errors
    /// One could not be opened.
    pub(crate) fn open(
        &mut self,
        count: usize,
        parallel: usize,
        workload: &mut impl Workload,
        mut go_on: impl FnMut(usize) -> bool,
    ) -> Result<(), EngineError> {
        let (mut most_ready, mut since_ns) = (0, self.now_ns());
        while (self.opening.next < count || self.opening.in_flight > 0) && go_on(self.opening.opened) {
            let ready = workload.ready().unwrap_or(self.open);
            if ready > most_ready {
                (most_ready, since_ns) = (ready, self.now_ns());
            }
            // Whoever waits for them in the end gives up on a server that makes none ready.
            let is_late = self.now_ns() - since_ns > OPENING_MAX.as_nanos() as u64;
            let not_ready = if is_late { 0 } else { self.open.saturating_sub(ready) };
            let room = parallel.saturating_sub(self.opening.in_flight + not_ready);
            self.dial_next(count.min(self.opening.next + room), workload)?;
            self.turn(workload, ASK_INTERVAL)?;
        }
        Ok(())
    }

    /// Dials the first `count` connections as far as they have not been; which ones.
    ///
    /// # Errors
    /// One cannot be dialled; whether it opens is seen in a later turn.
    pub(crate) fn dial_next(
        &mut self,
        count: usize,
        workload: &mut impl Workload,
    ) -> Result<Range<usize>, EngineError> {
        let from = self.opening.next;
        while self.opening.next < count {
            let index = self.opening.next;
            self.opening.next += 1;
            self.dial(index, self.dialer.target(index), workload)?;
        }
        Ok(from..self.opening.next)
    }

    /// Dials a connection again that was cut.
    ///
    /// # Errors
    /// It cannot be dialled; whether it opens is seen in a later turn.
    pub(crate) fn redial(&mut self, index: usize) -> Result<(), EngineError> {
        self.try_dial(index, self.dialer.target(index))
    }

    /// Dials a connection that is vacant.
    pub(super) fn dial(
        &mut self,
        index: usize,
        target: Arc<Target>,
        workload: &mut impl Workload,
    ) -> Result<(), EngineError> {
        match self.try_dial(index, target) {
            Err(error) if !error.is_ours() && workload.unopened(index, &error, self.now_ns()) => Ok(()),
            dialled => dialled,
        }
    }

    fn try_dial(&mut self, index: usize, target: Arc<Target>) -> Result<(), EngineError> {
        let address = target.address;
        let socket = self.dialer.dial(index, &target);
        let socket = socket.map_err(|source| EngineError::Connect { address, number: index, source })?;
        let token = Token { index: index as u32, generation: self.connections[index].generation };
        self.poller.add(&socket, token).map_err(EngineError::Poll)?;
        let (handshake, _) = self.dialer.handshake(&target);
        self.connections[index].occupy(socket, Upgrade { handshake, target });
        self.opening.in_flight += 1;
        self.opening.dialled.push_back((token, self.now_ns()));
        Ok(())
    }

    /// A connection could not be opened: it is tried again, or the run ends.
    pub(super) fn unopened(
        &mut self,
        index: usize,
        error: EngineError,
        workload: &mut impl Workload,
    ) -> Result<(), EngineError> {
        if error.is_ours() || !workload.unopened(index, &error, self.now_ns()) {
            return Err(error);
        }
        self.abandon();
        self.connections[index].vacate();
        Ok(())
    }

    /// One is no longer being opened.
    pub(super) fn abandon(&mut self) {
        self.opening.in_flight -= 1;
    }

    pub(super) fn refuse_overdue(&mut self, workload: &mut impl Workload) -> Result<(), EngineError> {
        while let Some(&(token, dialled_ns)) = self.opening.dialled.front() {
            let number = token.index as usize;
            let connection = &mut self.connections[number];
            let pending = matches!(connection.phase, Phase::Connecting | Phase::Upgrading);
            if pending && connection.generation == token.generation {
                let Some(upgrade) = connection.upgrade() else { break };
                let address = upgrade.target.address;
                if self.now_ns() - dialled_ns <= OPENING_MAX.as_nanos() as u64 {
                    break;
                }
                self.unopened(number, EngineError::Timeout { address, number }, workload)?;
            }
            self.opening.dialled.pop_front();
        }
        Ok(())
    }

    /// The connect has ended: asks for the upgrade, or says why not.
    pub(super) fn connected(&mut self, index: usize) -> Result<(), EngineError> {
        let connection = &mut self.connections[index];
        let refused = match &connection.socket {
            Some(socket) => socket.take_error().unwrap_or_else(Some),
            None => None,
        };
        let upgrade = connection.upgrade().expect("a connection that is connecting has an upgrade to ask for");
        let target = Arc::clone(&upgrade.target);
        let sent = match refused {
            Some(error) => Err(error),
            None => connection.send(&self.dialer.handshake(&target).1),
        };
        sent.map_err(|source| EngineError::Connect { address: target.address, number: index, source })?;
        self.connections[index].phase = Phase::Upgrading;
        Ok(())
    }

    /// Reads the answer to the upgrade. `true` once the connection is open; what followed the answer is understood.
    pub(super) fn upgraded(&mut self, index: usize, workload: &mut impl Workload) -> Result<bool, EngineError> {
        let mut chunk = [0; ANSWER_CHUNK_BYTES];
        loop {
            let connection = &mut self.connections[index];
            let read = connection.read(&mut chunk);
            let upgrade = connection.upgrade().expect("a connection that is upgrading has an upgrade");
            let address = upgrade.target.address;
            let read = match read {
                Ok(Some(0)) => return Err(EngineError::Closed { address, number: index }),
                Ok(Some(read)) => read,
                Ok(None) => return Ok(false),
                Err(source) => return Err(EngineError::Connect { address, number: index, source }),
            };
            let agreed = match upgrade.handshake.feed(&chunk[..read]) {
                Ok(Some(agreed)) => agreed,
                Ok(None) => continue,
                Err(source) => {
                    let path = upgrade.target.path.clone();
                    return Err(EngineError::Upgrade { address, number: index, path, source });
                }
            };
            connection.opened();
            self.opening.in_flight -= 1;
            self.opening.opened += 1;
            self.open += 1;
            if let Err(lost) = self.understand(index, &mut chunk[agreed.consumed..read], workload) {
                self.lose(index, &lost, workload);
            }
            return Ok(true);
        }
    }
}
