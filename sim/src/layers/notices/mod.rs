//! Notifications of a run: devices that users are told at, applications' notices, workers, and a provider.
//!
//! Owns the evidence for I9: who was registered when, what was asked for, and what the provider took. Users who are absent
//! have push items for all that arrives for them; what the provider does with a notification is drawn, until the world
//! heals. A provider that takes the same id again does nothing, so what counts is which ids it took.
//!
//! ```text
//! state       what is known of it: the evidence, and how the provider fares
//! start       what the store holds of it before a run
//! people      devices come, go and change hands; applications ask
//! worker      one life's: plans, leases, says, sends, settles
//! provider    takes it, or not, and answers, or not
//! check       what must hold (I9)
//! ```

mod check;
mod people;
mod provider;
pub(super) mod start;
pub(super) mod state;
mod worker;

use std::rc::Rc;

use chat::LayerError;
use chat::notices::Count;
use chat::notices::accept::cancel;
use chat::share::Share;
use schema::UnixMs;

use crate::world::WALL;

use super::homes;
use super::world::World;

use state::{Request, SPEED};

pub(super) use check::check;
pub(super) use people::live;
pub(super) use worker::begin;

/// How long it may take until nothing is left to be told once nothing goes wrong any more, in the world's time: the
/// waits between attempts and a lease, which are minutes of notifications' time, and some more.
const END_MS: u64 = 20_000;

/// The time of notifications.
fn now(world: &World) -> UnixMs {
    WALL.plus_ms(world.tasks.now_ms() * SPEED)
}

/// Nothing goes wrong any more, and nothing arrives: what is left becomes items, and workers go on until nothing waits.
pub(super) async fn finish(world: &Rc<World>) {
    let Some(notices) = &world.notices else { return };
    while !notices.are_people_done.get() {
        world.tasks.sleep(1).await;
    }
    homes::clear_all(world).await;
    let engine = world.engine();
    loop {
        if matches!(homes::adopt_noted(world, &engine, &Share::whole()).await, Ok(0)) {
            break;
        }
        world.tasks.sleep(1).await;
    }
    let recurring = |request: &&mut Request| request.record.every_ms > 0;
    let mut ids = Vec::new();
    for request in notices.evidence.borrow_mut().requests.iter_mut().filter(recurring) {
        request.cancelled = true;
        ids.extend_from_slice(&request.ids);
    }
    for id in ids {
        // Of an attempt that came to nothing there is none.
        while matches!(cancel(&engine, notices.app.id, id, now(world)).await, Err(LayerError::Store(_))) {
            world.tasks.sleep(1).await;
        }
    }
    let until_ms = world.tasks.now_ms() + END_MS;
    while let Some(left) = left(world).await {
        if world.tasks.now_ms() > until_ms {
            let finding = format!("{left} {END_MS} ms after all healed and nothing was sent any more");
            world.facts.borrow_mut().complain("I9", finding);
            break;
        }
        world.tasks.sleep(25).await;
    }
    notices.over.set(true);
}

/// What waits in the queues, if anything does.
async fn left(world: &World) -> Option<String> {
    let (engine, mut count) = (world.engine(), Count::default());
    loop {
        match count.next_page(&engine, None, now(world)).await {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => return Some(format!("{error}")),
        }
    }
    count.depths.retain(|(_, depth)| depth.rows > 0);
    (!count.depths.is_empty()).then(|| format!("{:?} waits", count.depths))
}
