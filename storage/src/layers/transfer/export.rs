//! The reading side: a store at rest, part by part.

use schema::{Epoch, UnixMs};

use super::{PART_BYTES, PART_ROWS};
use crate::keys;
use crate::layers::{LayerError, again, push, view};
use crate::transaction::{Begin, Engine, Row, Transaction};

/// Makes push items of what homes left unserved, since arrivals stay behind. Returns the store's epoch: while it stays the same
/// no node has had the store, and what is read belongs together.
///
/// Of a store at rest: a node that has it would lose what it is about to serve.
///
/// # Errors
/// The store's, and damage. Settling again is safe.
pub async fn settle<E: Engine>(engine: &E, wall: UnixMs) -> Result<Epoch, LayerError> {
    let Some(view) = view::current(engine).await? else { return Ok(Epoch(0)) };
    push::adopt(engine, Epoch(view.epoch.0 + 1), wall).await?;
    Ok(view.epoch)
}

/// The next rows that go along after a key, at least one. Empty at the end of the store.
///
/// # Errors
/// The store's.
pub async fn read<E: Engine>(engine: &E, after: Option<&[u8]>) -> Result<Vec<Row>, LayerError> {
    let mut next = keys::moved_after(after);
    while let Some(range) = next {
        let range = range.rows(PART_ROWS).bytes(PART_BYTES);
        let page = again!(async { engine.begin(Begin::Fresh).snapshot_get_range(&range).await })?;
        if !page.rows.is_empty() {
            return Ok(page.rows);
        }
        next = keys::moved_after(Some(&range.end));
    }
    Ok(Vec::new())
}
