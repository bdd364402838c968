//! I13: soon after nothing goes wrong any more all is as if nothing had. Every device is connected, has nothing left to say
//! and no question open, and holds its account's inbox to the end. Who is there is known later, as I8 says.

use chat::keys;
use futures_lite::future::block_on;
use kv::{Begin, Engine as _, Transaction as _};

use crate::facts::Standing;
use crate::outcome::violated;
use crate::world::World;

use super::Check;

/// How long that may take nodes: as long as others wait for one that ended just before, and for the pauses of those who
/// try again.
const CONVERGED_MS_MAX: u64 = 10_000;
/// How much longer where a frame between two shards of a node was lost, which no node does but one that has more to do
/// than it may hold: a question is asked again after 10 s, and an operation answered after 20 s.
const MADE_GOOD_MS: u64 = 20_000;
/// How much longer where what was missed comes in pieces of a few bytes.
const SLOW_MS: u64 = 60_000;
/// The longest such pieces.
const SLOW_BYTES: u64 = 40;

/// What is not so yet, if anything is.
pub(crate) fn lacks(world: &World) -> Option<String> {
    let facts = world.facts.borrow();
    if world.pending() > 0 {
        return Some(format!("shards have not answered {} operations", world.pending()));
    }
    let is_busy = |device: &&Standing| !device.is_live || device.unsent > 0 || device.unanswered > 0;
    if let Some((device, standing)) = facts.standing.iter().find(|(_, standing)| is_busy(standing)) {
        return Some(format!("{device} is at {standing:?}"));
    }
    let Some(engine) = world.store.engine() else { return Some("the store is closed".to_owned()) };
    for (device, pushed) in &facts.pushed {
        let held = pushed.events.last().map_or(pushed.base, |event| event.position);
        let next = keys::inbox_after(pushed.user, held).rows(1);
        // Nothing goes wrong in the store any more.
        let next = block_on(engine.begin(Begin::Fresh).snapshot_get_range(&next));
        if next.is_ok_and(|page| !page.rows.is_empty()) {
            return Some(format!("{device} holds its inbox up to {held}, and there is more"));
        }
    }
    None
}

/// Whether all was well in time.
pub(super) fn check(world: &World) -> Check {
    let has_lost = world.met.borrow().lost > 0 || world.of_shards.borrow().values().any(|&(dropped, _)| dropped > 0);
    let is_slow = world.plan.piece_bytes <= SLOW_BYTES;
    let made_good_ms = if has_lost { MADE_GOOD_MS } else { 0 } + if is_slow { SLOW_MS } else { 0 };
    let due_ms = CONVERGED_MS_MAX + made_good_ms;
    let converged_ms = world.converged_ms.get();
    if converged_ms.is_none_or(|converged_ms| converged_ms > due_ms) {
        let lacked = world.lacked.borrow();
        violated!(
            "I13",
            "nobody heard anything for {converged_ms:?} ms before all was well, {due_ms} ms are allowed; at last {lacked}"
        );
    }
    Ok(())
}
