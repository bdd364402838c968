//! Faults of the store while the world is busy, and none after. A store that is away answers nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kv::Error;
use kv::memory::{CommitFault, Faults, SeededFaults};

use crate::world::World;

/// Faults of a seed until the world heals. Letting others run, and reading a little behind, is no fault and goes on.
#[derive(Debug)]
pub(super) struct BusyFaults {
    faults: SeededFaults,
    healed: Arc<AtomicBool>,
    away: Arc<AtomicBool>,
}

impl BusyFaults {
    pub(super) fn new(world: &World, seed: u64) -> Self {
        Self {
            faults: SeededFaults::new(seed, world.plan.faults),
            healed: Arc::clone(&world.healed),
            away: Arc::clone(&world.store_away),
        }
    }

    fn is_healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }
}

impl Faults for BusyFaults {
    fn read(&mut self) -> Option<Error> {
        match (self.is_away(), self.is_healed()) {
            (true, _) => Some(Error::Unavailable),
            (false, true) => None,
            (false, false) => self.faults.read(),
        }
    }

    fn commit(&mut self) -> CommitFault {
        match (self.is_away(), self.is_healed()) {
            (true, _) => CommitFault::UnknownLost,
            (false, true) => CommitFault::None,
            (false, false) => self.faults.commit(),
        }
    }

    fn yields(&mut self) -> u32 {
        self.faults.yields()
    }

    fn cached_lag(&mut self) -> u64 {
        self.faults.cached_lag()
    }
}
