//! Posts of a run: users who post, befriend and follow each other, the workers that fan posts out, and feeds that are read.
//!
//! Owns the evidence for I15: what pages held while things went wrong, and at the end what each reader's pages hold against
//! a plain reading of all authors' logs. These users are apart from those who chat. Days pass fast for them, so that some
//! are dormant when they come back, and the border of fan-out on read is low.
//!
//! ```text
//! state      who there is, the bounds, and what was answered
//! person     one user's: posts, deletes, likes, replies, befriends, follows, reads
//! worker     one life's: looks for feeds that have posts on their way, and fans them out
//! check      what must hold (I15)
//! ```

mod check;
mod person;
pub(super) mod state;
mod worker;

use std::rc::Rc;

use chat::keys;
use kv::{Begin, Engine as _, Transaction as _};

use super::world::World;

pub(super) use check::check;
pub(super) use person::begin as begin_people;
pub(super) use worker::begin;

/// How long it may take until all posts have come to their readers once nothing goes wrong any more.
const END_MS: u64 = 10_000;

/// Nothing goes wrong any more, and nothing happens: workers go on until no feed is due.
pub(super) async fn finish(world: &Rc<World>) {
    let Some(posts) = &world.posts else { return };
    let until_ms = world.tasks.now_ms() + END_MS;
    while is_due(world).await {
        if world.tasks.now_ms() > until_ms {
            let finding = format!("posts have not come to all their readers {END_MS} ms after all healed");
            world.facts.borrow_mut().complain("I15", finding);
            break;
        }
        world.tasks.sleep(5).await;
    }
    posts.over.set(true);
}

/// Whether a feed may have posts on their way.
async fn is_due(world: &World) -> bool {
    let tx = world.engine().begin(Begin::Fresh);
    let page = tx.snapshot_get_range(&keys::fans_due_after(None).rows(1)).await;
    page.map_or(true, |page| !page.rows.is_empty())
}
