//! The memory engine keeps the contract, in both durabilities, and loses in a power loss what it may lose.

use std::sync::Arc;

use storage::contract::Subject;
use storage::memory::{Durability, MemoryEngine, MemoryOptions, MemoryStore};
use storage::{Generation, ManualClock};

fn open(durability: Durability) -> Subject<MemoryEngine> {
    let clock = Arc::new(ManualClock::default());
    let options = MemoryOptions { clock: Arc::clone(&clock) as _, durability, ..MemoryOptions::default() };
    let engine = MemoryEngine::open(&MemoryStore::new(Generation(1)), options);
    let syncing = engine.clone();
    let sync = move || {
        syncing.sync();
    };
    Subject { engine, clock: Some(clock), sync: Box::new(sync) }
}

mod immediate {
    storage::contract_tests!(|| super::open(super::Durability::Immediate), cases: 300);
}

mod stepped {
    storage::contract_tests!(|| super::open(super::Durability::Stepped), cases: 300);
}
