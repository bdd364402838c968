//! A result that comes later, and who is told.
//!
//! Owns the result until the future is destroyed: pointers that were given out point into it.

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::task::AbortHandle;

use super::network;
use crate::code::Code;
use crate::frame::Reply;

/// What a future comes to.
pub(super) type Outcome = Result<Reply, Code>;

/// A result that comes later.
#[derive(Default)]
pub(super) struct Future {
    outcome: OnceLock<Outcome>,
    callback: Mutex<Option<Callback>>,
    /// What works out the result, while anybody wants it.
    work: OnceLock<AbortHandle>,
    /// What else lives as long as the future.
    kept: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// What to call when a future is ready.
pub(super) type Callback = Box<dyn FnOnce() + Send>;

impl Future {
    /// One that comes to what `work` comes to, on the network thread.
    pub(super) fn spawn(work: impl std::future::Future<Output = Outcome> + Send + 'static) -> Arc<Self> {
        let future = Arc::new(Self::default());
        let completed = Arc::clone(&future);
        match network::spawn(async move { completed.complete(work.await) }) {
            Ok(work) => future.work.get_or_init(|| work),
            Err(code) => return Self::ready(Err(code)),
        };
        future
    }

    /// One that is ready.
    pub(super) fn ready(outcome: Outcome) -> Arc<Self> {
        Arc::new(Self { outcome: outcome.into(), ..Self::default() })
    }

    fn callback(&self) -> MutexGuard<'_, Option<Callback>> {
        self.callback.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes it ready, unless it is, and calls back, while no lock is held.
    fn complete(&self, outcome: Outcome) {
        let callback = {
            let mut callback = self.callback();
            let _was_ready = self.outcome.set(outcome);
            callback.take()
        };
        if let Some(callback) = callback {
            callback();
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.outcome.get().is_some()
    }

    /// Calls `callback` when the result comes; if it is there, at once.
    pub(super) fn set_callback(&self, callback: Callback) {
        let mut kept = self.callback();
        if !self.is_ready() {
            *kept = Some(callback);
            return;
        }
        drop(kept);
        callback();
    }

    /// Nobody wants the result any more. A callback that is due all the same is called on the network thread.
    pub(super) fn give_up(self: Arc<Self>) {
        if self.is_ready() {
            return;
        }
        self.work.get().into_iter().for_each(AbortHandle::abort);
        // Without a network there is nobody left to be told.
        let _ = network::spawn(async move { self.complete(Err(Code::OPERATION_CANCELLED)) });
    }

    /// The result.
    ///
    /// # Errors
    /// The future's own; 2015 if it is not ready.
    pub(super) fn outcome(&self) -> Result<&Reply, Code> {
        match self.outcome.get() {
            Some(Ok(reply)) => Ok(reply),
            Some(Err(code)) => Err(*code),
            None => Err(Code::FUTURE_NOT_SET),
        }
    }

    /// Keeps what `make` makes for as long as the future lives. Made once.
    pub(super) fn keep<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> &T {
        self.kept.get_or_init(|| Box::new(make())).downcast_ref().expect("a future keeps things of one kind")
    }
}
