//! From a vacant slot to an open WebSocket connection, a bounded number at a time.
//!
//! Owns the order of dialling and the time that each may take. A connection that cannot be opened ends the run.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::connection::Phase;
use super::error::EngineError;
use super::poller::Token;
use super::{Engine, Workload};

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
    /// How many became open, including those that were lost since.
    opened: usize,
    in_flight: usize,
    /// When each was dialled, oldest first; those that are open by now are dropped when they reach the front.
    dialled: VecDeque<(Token, u64)>,
}

impl Engine {
    /// Opens connections until `count` have been, at most `parallel` at a time. `go_on` is asked with the number opened
    /// so far, and may end it early.
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
        while self.opening.opened < count && go_on(self.opening.opened) {
            while self.opening.in_flight < parallel && self.opening.next < count {
                self.dial(self.opening.next)?;
                self.opening.next += 1;
            }
            self.turn(workload, ASK_INTERVAL)?;
            self.refuse_overdue()?;
        }
        Ok(())
    }

    /// Dials a connection again that was cut.
    ///
    /// # Errors
    /// It cannot be dialled; whether it opens is seen in a later turn.
    pub(crate) fn redial(&mut self, index: usize) -> Result<(), EngineError> {
        self.dial(index)
    }

    fn dial(&mut self, index: usize) -> Result<(), EngineError> {
        let socket = self.dialer.dial(index).map_err(|source| self.connect_error(index, source))?;
        let token = Token { index: index as u32, generation: self.connections[index].generation };
        self.poller.add(&socket, token).map_err(EngineError::Poll)?;
        self.connections[index].occupy(socket, self.dialer.handshake().0);
        self.opening.in_flight += 1;
        self.opening.dialled.push_back((token, self.now_ns()));
        Ok(())
    }

    fn refuse_overdue(&mut self) -> Result<(), EngineError> {
        while let Some(&(token, dialled_ns)) = self.opening.dialled.front() {
            let number = token.index as usize;
            let connection = &self.connections[number];
            let pending = matches!(connection.phase, Phase::Connecting | Phase::Upgrading);
            if pending && connection.generation == token.generation {
                if self.now_ns() - dialled_ns > OPENING_MAX.as_nanos() as u64 {
                    return Err(EngineError::Timeout { address: self.dialer.target.address, number });
                }
                break;
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
        let sent = match refused {
            Some(error) => Err(error),
            None => connection.send(&self.dialer.handshake().1),
        };
        sent.map_err(|source| self.connect_error(index, source))?;
        self.connections[index].phase = Phase::Upgrading;
        Ok(())
    }

    /// Reads the answer to the upgrade. `true` once the connection is open; what followed the answer is understood.
    pub(super) fn upgraded(&mut self, index: usize, workload: &mut impl Workload) -> Result<bool, EngineError> {
        let address = self.dialer.target.address;
        let mut chunk = [0; ANSWER_CHUNK_BYTES];
        loop {
            let connection = &mut self.connections[index];
            let read = match connection.read(&mut chunk) {
                Ok(Some(0)) => return Err(EngineError::Closed { address, number: index }),
                Ok(Some(read)) => read,
                Ok(None) => return Ok(false),
                Err(source) => return Err(self.connect_error(index, source)),
            };
            let handshake = connection.handshake().expect("a connection that is upgrading has a handshake");
            let agreed = match handshake.feed(&chunk[..read]) {
                Ok(Some(agreed)) => agreed,
                Ok(None) => continue,
                Err(source) => {
                    let path = self.dialer.target.path.clone();
                    return Err(EngineError::Upgrade { address, number: index, path, source });
                }
            };
            connection.opened();
            self.opening.in_flight -= 1;
            self.opening.opened += 1;
            self.open += 1;
            if let Err(lost) = self.understand(index, &mut chunk[agreed.consumed..read], workload) {
                self.lose(index, &lost);
            }
            return Ok(true);
        }
    }

    fn connect_error(&self, number: usize, source: io::Error) -> EngineError {
        EngineError::Connect { address: self.dialer.target.address, number, source }
    }
}
