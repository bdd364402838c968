//! The machine that the store is on: a disk, and a process that has it open.
//!
//! Owns what outlives every node, and the syncs, which take their time, and now and then a long one. Nodes reach it by a
//! way of their own (`node::way`), and find it closed between its end and its return.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kv::memory::{Durability, MemoryEngine, MemoryOptions, MemoryStore};
use kv::{Engine as _, Generation, ManualClock};

use crate::faults::{DrawnFaults, FaultState};
use crate::options::{Options, Planted};
use crate::plan::Plan;
use crate::rng::Rng;
use crate::trace::{Trace, note};

/// The longest sync: what a busy disk shows.
const STALL_MS: u64 = 1_000;

/// One life of the store's process.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    /// From 1.
    pub(crate) opening: u64,
    pub(crate) engine: MemoryEngine,
}

/// See the module.
pub(crate) struct StoreMachine {
    pub(crate) disk: MemoryStore,
    pub(crate) generation: Generation,
    /// The process while it lives.
    pub(crate) open: Arc<Mutex<Option<Opened>>>,
    clock: Arc<ManualClock>,
    rng: RefCell<Rng>,
    openings: Cell<u64>,
    sync_due_ms: Cell<u64>,
}

impl StoreMachine {
    pub(super) fn new(disk: MemoryStore, rng: Rng) -> Self {
        let generation = MemoryEngine::open(&disk, MemoryOptions::default()).generation();
        Self {
            disk,
            generation,
            open: Arc::default(),
            clock: Arc::default(),
            rng: RefCell::new(rng),
            openings: Cell::default(),
            sync_due_ms: Cell::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Opened>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process begins, or begins again.
    pub(super) fn start(&self, options: &Options, plan: &Plan, faults: &Arc<FaultState>) {
        let opening = self.openings.get() + 1;
        self.openings.set(opening);
        let seed = self.rng.borrow().part(&format!("faults {opening}")).bits();
        let options = MemoryOptions {
            clock: Arc::clone(&self.clock) as Arc<dyn kv::Clock>,
            durability: match options.planted {
                Some(Planted::AcknowledgeBeforeDurable) => Durability::Deferred,
                _ => Durability::Stepped,
            },
            faults: Box::new(DrawnFaults::new(seed, plan.faults, faults)),
            ..MemoryOptions::default()
        };
        *self.lock() = Some(Opened { opening, engine: MemoryEngine::open(&self.disk, options) });
    }

    /// The process ends, as by `kill -9`, if it has not.
    pub(crate) fn crash(&self) {
        if self.lock().take().is_some() {
            self.disk.crash();
        }
    }

    /// The machine loses power.
    pub(crate) fn lose_power(&self) {
        self.lock().take();
        self.disk.power_loss();
    }

    /// The engine, while the process lives.
    pub(crate) fn engine(&self) -> Option<MemoryEngine> {
        self.lock().as_ref().map(|opened| opened.engine.clone())
    }

    /// A millisecond passes.
    pub(super) fn step(&self, trace: &Trace, plan: &Plan, is_hostile: bool) {
        self.clock.advance(1);
        if self.sync_due_ms.get() > trace.now_ms() {
            return;
        }
        let mut rng = self.rng.borrow_mut();
        let stalls = is_hostile && rng.chance(plan.sync_stall_permille);
        let pause_ms = if stalls { rng.within(100..=STALL_MS) } else { rng.within(1..=plan.sync_ms) };
        self.sync_due_ms.set(trace.now_ms() + pause_ms);
        // Not under the lock: whoever is answered may begin at once.
        let commits = self.engine().map_or(0, |engine| engine.sync());
        if commits > 0 {
            note!(trace, "disk: {commits} commits are durable");
        }
    }
}
