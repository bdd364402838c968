//! Watchdog of group commits that take too long: a disk that hangs, or a row store that holds writes back.
//!
//! A thread of its own, because the committing threads are what hangs. It only watches and tells.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::stats::EngineStats;

/// When the group commits in flight began. They end in their order.
#[derive(Debug, Default)]
pub(super) struct Watched {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Of each group commit in flight, the oldest first.
    began: VecDeque<Instant>,
    closed: bool,
}

/// A group commit in flight. Dropping it is its end.
pub(super) struct Begun<'a>(&'a Watched);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).began.pop_front();
    }
}

impl Watched {
    pub(super) fn begin(&self) -> Begun<'_> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).began.push_back(Instant::now());
        Begun(self)
    }

    /// Ends [`Self::watch`].
    pub(super) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changed.notify_all();
    }

    /// Until closed, calls `on_stall` once for each group commit that takes longer than `limit`, while it does.
    pub(super) fn watch(&self, limit: Duration, stats: &EngineStats, on_stall: &dyn Fn(Duration)) {
        let mut told = None;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.closed {
            if let Some(began) = state.began.front().copied().filter(|began| told != Some(*began))
                && began.elapsed() > limit
            {
                told = Some(began);
                drop(state);
                stats.stalls.fetch_add(1, Ordering::Relaxed);
                on_stall(began.elapsed());
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = self.changed.wait_timeout(state, limit / 2);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
