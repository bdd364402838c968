//! What must hold at the end of a run, one file for each invariant, judged by the clients' evidence and the store itself.

mod agreement;
mod durability;
mod feeds;
mod inbox;
mod membership;
mod once;
mod order;
mod origin;
mod presence;
mod removal;
mod store;

use crate::world::{Violation, World};

pub(crate) use removal::races;
use store::Log;

type Check = Result<(), Violation>;

/// All of them; the first that does not hold.
pub(crate) fn all(world: &World) -> Check {
    let facts = world.facts.borrow();
    let engine = store::reopen(world);
    store::check(&engine)?;
    let log = Log::read(world, &engine)?;
    durability::check(&log, &facts)?;
    agreement::check(&log, &facts)?;
    once::check(&log, &facts)?;
    origin::check(&log, &facts)?;
    order::check(&facts)?;
    if let Some((invariant, finding)) = facts.complaints.first() {
        return violated(invariant, finding.clone());
    }
    membership::check(&log, &facts)?;
    removal::check(world, &facts)?;
    presence::check(world, &log, &facts)?;
    feeds::check(&log, &facts)?;
    inbox::check(&log, &facts)
}

fn violated(invariant: &str, finding: String) -> Check {
    Err(Violation::new(invariant, finding))
}
