//! The reading side: a store at rest, part by part.

use schema::{Epoch, UnixMs};

use super::{PART_BYTES, PART_ROWS};
use crate::keys;
use crate::share::Share;
use crate::{LayerError, push, read, view};
use kv::transaction::{Begin, Engine, Row, Transaction};

/// Ends the view, and makes push items of what its homes left unserved, since arrivals stay behind. Returns the epoch,
/// which is no node's: while it stays the same no node has had the store, and what is read belongs together.
///
/// Of a store at rest, where it ends nothing that lives. A node that merely stood still finds itself fenced when it
/// goes on, as after a takeover (I7).
///
/// # Errors
/// The store's, and damage. Settling again is safe, and changes nothing.
pub async fn settle<E: Engine>(engine: &E, wall: UnixMs) -> Result<Epoch, LayerError> {
    view::end(engine).await?;
    let epoch = epoch(engine).await?;
    push::adopt(engine, wall, &Share::whole()).await?;
    Ok(epoch)
}

/// The store's epoch.
///
/// # Errors
/// The store's, and damage.
pub async fn epoch<E: Engine>(engine: &E) -> Result<Epoch, LayerError> {
    Ok(view::look(engine).await?.epoch)
}

/// The next rows that go along after a key, at least one. Empty at the end of the store.
///
/// # Errors
/// The store's.
pub async fn read<E: Engine>(engine: &E, after: Option<&[u8]>) -> Result<Vec<Row>, LayerError> {
    let mut next = keys::transferred_after(after);
    while let Some(range) = next {
        let range = range.rows(PART_ROWS).bytes(PART_BYTES);
        let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
        if !page.rows.is_empty() {
            return Ok(page.rows);
        }
        next = keys::transferred_after(Some(&range.end));
    }
    Ok(Vec::new())
}
