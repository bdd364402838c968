//! Webhooks of a run: hooks that applications have, the workers that call them, and the server that is called.
//!
//! Owns the evidence for I14: what the server took, in the order in which it took it. Hooks are there before anything
//! happens, so that each of them is to be told all that it wants. What the server does with a call is drawn, until the
//! world heals. It knows what it has had before by its place.
//!
//! ```text
//! state       the hooks, how the server fares, and what it took
//! worker      one life's: looks for lanes that have something to tell, and tells them
//! check       what must hold (I14)
//! ```

mod check;
pub(super) mod state;
mod worker;

use std::rc::Rc;

use chat::keys;
use kv::{Begin, Engine as _, Transaction as _};

use super::world::World;

use state::Hooks;

pub(super) use check::check;
pub(super) use worker::begin;

/// How long it may take until every lane rests once nothing goes wrong any more.
const END_MS: u64 = 10_000;

/// Nothing goes wrong any more, and nothing happens: workers go on until every lane rests.
pub(super) async fn finish(world: &Rc<World>) {
    let Some(hooks) = &world.hooks else { return };
    let until_ms = world.tasks.now_ms() + END_MS;
    while let Some(hook) = due(world, hooks).await {
        if world.tasks.now_ms() > until_ms {
            let finding = format!("hook {hook} is not told all there is {END_MS} ms after all healed");
            world.facts.borrow_mut().complain("I14", finding);
            break;
        }
        world.tasks.sleep(5).await;
    }
    hooks.over.set(true);
}

/// A hook of which a lane may have something to tell.
async fn due(world: &World, hooks: &Hooks) -> Option<u64> {
    let tx = world.engine().begin(Begin::Fresh);
    for hook in &hooks.hooks {
        match tx.snapshot_get_range(&keys::hooks_due_after(hook.id, None).rows(1)).await {
            Ok(page) if page.rows.is_empty() => {}
            Ok(_) | Err(_) => return Some(hook.id),
        }
    }
    None
}
