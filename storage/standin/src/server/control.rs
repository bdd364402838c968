//! State shared by the server's tasks: faults, counts, whether they run, and which connection is whose.
//!
//! Owns the rule that makes 1021 safe: a client that connects again is greeted only when its connection before has
//! ended and every commit of it that was handed in has ended too. So nothing of the old one can still commit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedRwLockReadGuard, RwLock, watch};

use super::calls::Calls;
use super::faults::Fate;
use crate::frame::Session;

/// The server, as its tasks and its handle see it.
#[derive(Debug)]
pub(super) struct Control {
    state: Mutex<State>,
    stage: watch::Sender<Stage>,
    sessions: Mutex<HashMap<Session, Seat>>,
}

/// What is asked for with every operation.
#[derive(Debug)]
pub(super) struct State {
    pub(super) fate: Fate,
    pub(super) calls: Calls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Running,
    /// Nothing is read or answered.
    Paused,
    /// Everything ends.
    Closing,
}

/// The newest connection of a session.
#[derive(Debug)]
struct Seat {
    cut: Arc<Notify>,
    /// Held for reading by a connection and by its commits in flight.
    alive: Arc<RwLock<()>>,
}

/// A connection's own, and of each of its commits in flight: while one is there, the session's next has to wait.
pub(super) type Alive = Arc<OwnedRwLockReadGuard<()>>;

impl Control {
    pub(super) fn new(fate: Fate) -> Self {
        let state = Mutex::new(State { fate, calls: Calls::default() });
        Self { state, stage: watch::Sender::new(Stage::Running), sessions: Mutex::default() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    /// Waits while the server is paused.
    pub(super) async fn resumed(&self) {
        let mut stage = self.stage.subscribe();
        let _running = stage.wait_for(|stage| *stage != Stage::Paused).await.expect("the control sends");
    }

    /// Waits until the server closes.
    pub(super) async fn closing(&self) {
        let mut stage = self.stage.subscribe();
        let _closing = stage.wait_for(|stage| *stage == Stage::Closing).await.expect("the control sends");
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Session, Seat>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every connection.
    pub(super) fn cut(&self) {
        self.sessions().values().for_each(|seat| seat.cut.notify_one());
    }

    /// Ends every connection, and waits until nothing of any can commit any more.
    pub(super) async fn end(&self) {
        self.cut();
        let seats: Vec<_> = self.sessions().drain().map(|(_, seat)| seat.alive).collect();
        for alive in seats {
            let _ended = alive.write().await;
        }
    }

    /// Begins a connection of `session`, which is to end when it is notified, once nothing of the one before can commit
    /// any more. That one is ended.
    pub(super) async fn take_over(&self, session: Session) -> (Arc<Notify>, Alive) {
        let (cut, alive) = {
            let mut sessions = self.sessions();
            // Those of clients that are gone for good.
            sessions.retain(|other, seat| *other == session || Arc::strong_count(&seat.alive) > 1);
            let before = sessions.remove(&session);
            before.iter().for_each(|seat| seat.cut.notify_one());
            let (cut, alive) = (Arc::default(), before.map_or_else(Arc::default, |seat| seat.alive));
            sessions.insert(session, Seat { cut: Arc::clone(&cut), alive: Arc::clone(&alive) });
            (cut, alive)
        };
        (cut, Arc::new(alive.write_owned().await.downgrade()))
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::super::faults::Faults;
    use super::*;

    #[test]
    fn a_session_is_greeted_again_only_when_nothing_of_it_can_commit() {
        block_on(async {
            let control = Control::new(Fate::new(1, Faults::default()));
            let (cut, alive) = control.take_over([1; 16]).await;
            let commit = Arc::clone(&alive);
            let mut again = Box::pin(control.take_over([1; 16]));
            assert!(poll_once(&mut again).await.is_none(), "a commit was handed in");
            cut.notified().await;
            drop(alive);
            assert!(poll_once(&mut again).await.is_none(), "the connection ended");
            let (other, _alive) = control.take_over([2; 16]).await;
            drop(commit);
            again.await;
            assert!(poll_once(other.notified()).await.is_none(), "another session is another client");
        });
    }
}
