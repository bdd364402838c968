//! I13: soon after nothing goes wrong any more all is as if nothing had. Every device is connected, has nothing left to say
//! and no question open, and holds its account's inbox to the end; and until it is so each comes on by itself, whatever
//! the others do. Who is there is known later, as I8 says.

use chat::keys;
use futures_lite::future::block_on;
use kv::{Begin, Engine as _, Transaction as _};

use crate::facts::{Debt, Facts, Pushed};
use crate::outcome::violated;
use crate::world::World;

use super::Check;

/// How long a device may come on with nothing: as long as others wait for a node that ended just before, and for the
/// pauses of those who try again.
const STANDSTILL_MS_MAX: u64 = 10_000;
/// How much longer where a frame between two shards of a node was lost, which no node does but one that has more to do
/// than it may hold: an inbox is asked for again after 25 s, and an operation answered after 20 s.
const MADE_GOOD_MS: u64 = 20_000;
/// How much longer where what was missed comes in pieces of a few bytes.
const SLOW_MS: u64 = 60_000;
/// The longest such pieces.
const SLOW_BYTES: u64 = 40;

/// Looks at what each device has left to do. Returns whether that is nothing.
pub(crate) fn is_well(world: &World) -> bool {
    let now_ms = world.trace.now_ms();
    let Facts { standing, pushed, debts, .. } = &mut *world.facts.borrow_mut();
    let mut is_well = true;
    for (device, standing) in standing {
        for debt in Debt::ALL {
            let is_left = match debt {
                Debt::Connection => !standing.is_live,
                Debt::Sends => standing.unsent > 0,
                Debt::Answers => standing.unanswered > 0,
                Debt::Inbox => pushed.get(device).is_some_and(|pushed| is_behind(world, pushed)),
            };
            is_well &= !is_left;
            // Who does not read comes on with nothing, and who is not connected with nothing else.
            let may_come_on = standing.listens && (standing.is_live || debt == Debt::Connection);
            if is_left && may_come_on {
                debts.is_left(device, debt, now_ms);
            } else {
                debts.came_on(device, debt, now_ms);
            }
        }
    }
    is_well
}

/// Whether the inbox goes on behind what a device holds. Nothing goes wrong in the store any more.
fn is_behind(world: &World, pushed: &Pushed) -> bool {
    let Some(engine) = world.store.engine() else { return true };
    let held = pushed.events.last().map_or(pushed.base, |event| event.position);
    let next = keys::inbox_after(pushed.user, held).rows(1);
    block_on(engine.begin(Begin::Fresh).snapshot_get_range(&next)).is_ok_and(|page| !page.rows.is_empty())
}

/// Whether no device stood still for too long, and all was well in the end.
pub(super) fn check(world: &World) -> Check {
    let has_lost = world.has_lost.get() || world.of_shards.borrow().values().any(|&(dropped, _)| dropped > 0);
    let is_slow = world.plan.piece_bytes <= SLOW_BYTES;
    let made_good_ms = if has_lost { MADE_GOOD_MS } else { 0 } + if is_slow { SLOW_MS } else { 0 };
    let due_ms = STANDSTILL_MS_MAX + made_good_ms;
    let facts = world.facts.borrow();
    if let Some(longest) = facts.debts.longest().filter(|longest| longest.long_ms > due_ms) {
        violated!("I13", "{longest}, {due_ms} ms are allowed");
    }
    if world.well_ms.get().is_none() {
        violated!("I13", "all was never well, at last {:?}", facts.standing);
    }
    Ok(())
}
