//! Faults of a run's store, of all its openings: drawn from the seed until the world heals, and counted.
//!
//! Letting others run, and reading a little behind, is no fault and goes on. A store that is away answers nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kv::Error;
use kv::memory::{CommitFault, FaultRates, Faults, SeededFaults};

use crate::counts::Injected;
use crate::plan::NODES_MAX;

/// Whether anything goes wrong in the world, and what did in its store.
#[derive(Debug, Default)]
pub(crate) struct FaultState {
    healed: AtomicBool,
    away: AtomicBool,
    /// Nodes that do not reach the store.
    cut_off: [AtomicBool; NODES_MAX],
    injected: Mutex<Injected>,
}

impl FaultState {
    /// Nothing goes wrong from here on.
    pub(crate) fn heal(&self) {
        self.healed.store(true, Ordering::Relaxed);
        self.set_away(false);
        (0..NODES_MAX).for_each(|node| self.cut_off(node, false));
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// Whether the store answers nothing.
    pub(crate) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// Cuts a node off from the store, or not any more.
    pub(crate) fn cut_off(&self, node: usize, off: bool) {
        self.cut_off[node].store(off, Ordering::Relaxed);
    }

    /// Whether a node is answered nothing by the store, alone or as all are.
    pub(crate) fn is_cut_off(&self, node: usize) -> bool {
        self.is_away() || self.cut_off[node].load(Ordering::Relaxed)
    }

    pub(crate) fn injected(&self) -> MutexGuard<'_, Injected> {
        self.injected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The faults of one opening of the store.
#[derive(Debug)]
pub(crate) struct DrawnFaults {
    faults: SeededFaults,
    state: Arc<FaultState>,
}

impl DrawnFaults {
    pub(crate) fn new(seed: u64, rates: FaultRates, state: &Arc<FaultState>) -> Self {
        Self { faults: SeededFaults::new(seed, rates), state: Arc::clone(state) }
    }
}

impl Faults for DrawnFaults {
    fn read(&mut self) -> Option<Error> {
        let error = match (self.state.is_away(), self.state.is_healed()) {
            (true, _) => Error::Unavailable,
            (false, true) => return None,
            (false, false) => self.faults.read()?,
        };
        let mut injected = self.state.injected();
        match error {
            Error::TooOld => injected.too_old += 1,
            Error::Throttled => injected.throttled += 1,
            Error::Unavailable => injected.unavailable += 1,
            ref other => unreachable!("reads are not drawn to end in {other}"),
        }
        Some(error)
    }

    fn commit(&mut self) -> CommitFault {
        let fate = match (self.state.is_away(), self.state.is_healed()) {
            (true, _) => CommitFault::UnknownLost,
            (false, true) => CommitFault::None,
            (false, false) => self.faults.commit(),
        };
        let mut injected = self.state.injected();
        match fate {
            CommitFault::None => {}
            CommitFault::Conflict => injected.conflicts += 1,
            CommitFault::Throttled => injected.throttled += 1,
            CommitFault::TooOld => injected.too_old += 1,
            CommitFault::UnknownCommitted => injected.unknown_stored += 1,
            CommitFault::UnknownLost => injected.unknown_lost += 1,
        }
        fate
    }

    fn yields(&mut self) -> u32 {
        self.faults.yields()
    }

    fn cached_lag(&mut self) -> u64 {
        let lag = self.faults.cached_lag();
        self.state.injected().behind += u64::from(lag > 0);
        lag
    }
}
