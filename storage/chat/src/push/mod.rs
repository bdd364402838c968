//! Push items for absent users' phones, each with a time at which a worker decides.
//!
//! Owns the rows `push`. A home writes them in the transaction that clears its arrivals ([`super::arrivals::clear`]),
//! so that no message is neither served nor pushed, and [`adopt`] writes them for homes that are gone. An item follows
//! from its message and its user alone: written twice it is one row. What becomes of them when they are
//! due is [`super::notices`]; what nobody fetched goes a day after that ([`sweep`]).

mod adopt;
mod decide;

use std::collections::BTreeSet;

use schema::UnixMs;
use schema::limits::{PARTITIONS, PUSH_KEPT_MS};
use schema::record::PushItem;

pub use adopt::{Adopted, adopt, adopt_life, ended};
pub(crate) use decide::decide_some;
pub use decide::{Decision, decide};

use super::share::Share;
use super::{LayerError, clock, read, unreadable};
use crate::keys;
use kv::transaction::{Begin, Engine, Transaction};

/// Items that one transaction writes: at some 200 bytes each with the conflict range, a fifth of what a transaction
/// should stay under.
pub(super) const ITEMS_AT_ONCE: usize = 1_000;

/// Items of one listing at most.
pub const LIST_MAX: u32 = 10_000;

/// Writes items. Writing one again changes nothing.
pub(super) fn put<T: Transaction>(tx: &mut T, items: &[PushItem]) {
    for item in items {
        tx.set(&keys::push(item), &item.record().encode());
    }
}

/// Items in the order in which they are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Those that are due first.
    pub items: Vec<PushItem>,
    /// Whether there are more.
    pub more: bool,
}

/// The items that are due first, of every user, at most `limit` and [`LIST_MAX`]: for an operator.
///
/// Reads each partition in a transaction of its own, so what is written meanwhile may be in it or not.
///
/// # Errors
/// The store's, and damage.
pub async fn list<E: Engine>(engine: &E, limit: u32) -> Result<Listed, LayerError> {
    let limit = limit.min(LIST_MAX);
    let mut first = BTreeSet::new();
    let mut more = false;
    for partition in 0..usize::from(PARTITIONS) {
        // One more than wanted tells whether there are more.
        let range = keys::pushes_of(partition).rows(limit + 1);
        let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
        for item in unreadable::readable(&page.rows, |row| keys::push_item(&row.key, &row.value)) {
            first.insert(item);
            if first.len() > limit as usize {
                first.pop_last();
                more = true;
            }
        }
    }
    Ok(Listed { items: first.into_iter().collect(), more })
}

/// Removes what was due more than `PUSH_KEPT_MS` before `wall`, as far as it is of this share. Returns how many items
/// went.
///
/// # Errors
/// The store's. Then some are gone; sweeping again is safe.
pub async fn sweep<E: Engine>(engine: &E, wall: UnixMs, share: &Share) -> Result<u64, LayerError> {
    let wall = clock::believed(&engine.begin(Begin::Fresh), wall).await?;
    let before = UnixMs(wall.0.saturating_sub(PUSH_KEPT_MS));
    let mut swept = 0;
    for partition in share.partitions() {
        swept += super::dedup::clear_range(engine, &keys::pushes_due(partition, before)).await?;
    }
    Ok(swept)
}
