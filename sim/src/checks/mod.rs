//! Checkers of the invariants at the end of a run, one file for each invariant, judged by the clients' evidence and the
//! store itself.

mod agreement;
mod durability;
mod feeds;
mod inbox;
mod liveness;
mod membership;
mod once;
mod order;
mod origin;
mod presence;
mod removal;
mod revocation;
mod store;

use kv::memory::MemoryEngine;
use schema::UserId;

use crate::facts::Facts;
use crate::outcome::Violation;
use crate::world::{Room, World};

pub(crate) use liveness::is_well;
pub(crate) use removal::races;
pub(crate) use store::{Log, all_rows, reopen, unreadable};

pub(crate) type Check = Result<(), Violation>;

/// All of them; the first that does not hold.
pub(crate) fn all(world: &World) -> Check {
    let (facts, rooms) = (world.facts.borrow(), world.rooms.borrow());
    let log = without_sessions(&reopen(&world.store.disk), &rooms, &world.users, &facts)?;
    liveness::check(world)?;
    revocation::check(&facts, world.healed_ms.get().unwrap_or_default())?;
    presence::check(world, &log, &facts)?;
    feeds::check(&log, &facts)
}

/// Those that need no more than what clients did and saw, and the store, which a new process has opened.
pub(crate) fn without_sessions(
    engine: &MemoryEngine,
    rooms: &[Room],
    users: &[UserId],
    facts: &Facts,
) -> Result<Log, Violation> {
    store::check(engine)?;
    let log = Log::read(engine, rooms, users)?;
    durability::check(&log, facts)?;
    agreement::check(&log, facts)?;
    once::check(&log, facts)?;
    origin::check(&log, facts)?;
    order::check(facts)?;
    if let Some(complaint) = facts.complaints.first() {
        return Err(complaint.clone());
    }
    membership::check(&log, facts)?;
    removal::check(rooms, facts)?;
    inbox::check(&log, facts)?;
    Ok(log)
}
