//! The disk under the store: syncs take their time, and now and then a long one.

use std::rc::Rc;
use std::time::Duration;

use kv::memory::MemoryEngine;

use crate::rng::Rng;
use crate::trace::note;
use crate::world::World;

/// The longest sync: what a busy disk shows.
const STALL_MS: u64 = 1_000;

pub(super) async fn run(world: Rc<World>, engine: MemoryEngine, mut rng: Rng) {
    loop {
        let stalls = world.is_hostile() && rng.chance(world.plan.sync_stall_permille);
        let pause_ms = if stalls { rng.within(100..=STALL_MS) } else { rng.within(1..=world.plan.sync_ms) };
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        let commits = engine.sync();
        if commits > 0 {
            note!(world.trace, "disk: {commits} commits are durable");
        }
    }
}
