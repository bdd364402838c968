//! View of a store: the partition table, its epoch, and the fences that make a former owner's commits fail.
//!
//! Owns the rows `view` and `fence`. The table in the store is the only truth for routing.
//! Upholds I7: every change of the table rewrites or clears the fence of each node of the old view and of the new one,
//! so that whatever was in flight under the old epoch fails and is decided again.
//!
//! ```text
//! claim      takes a store that no other process can have open         roll        registers nodes, beats, looks around
//! current    the view as it stands                                     lease       who is dead
//! change     nodes come, go and hand over
//! ```

mod change;
mod lease;
mod roll;

use std::sync::{Mutex, PoisonError};

use schema::record::{FenceRecord, RecordError};
use schema::{Epoch, Incarnation, View};

use super::{LayerError, commit, moving, read, unreadable};
use crate::keys;
use crate::packed::{self, ViewRow};
use kv::transaction::{Begin, Engine, Transaction};

pub use crate::packed::{Load, Said};
pub use change::{Proposal, change, end, forget, leave};
pub use lease::{Lease, Verdict};
pub use roll::{Node, Roll, Seen, beat, look, register};

/// Takes every partition for a node that is alone, under the next epoch.
///
/// Called when a node starts, with an incarnation that no life had before, and again by the same life to change its
/// number of shards. Appends of every other life, and of this one under an older epoch, fail from here on (I7). The
/// arrivals of older epochs stay: their homes are gone, whoever connects starts from an inbox, and who does not is told
/// by the push items that [`super::push::adopt`] makes of them.
///
/// # Errors
/// The store's, and damage in the view's row. Then nothing is claimed; claiming again is safe.
///
/// # Panics
/// If `shards` is 0.
pub async fn claim<E: Engine>(engine: &E, incarnation: Incarnation, shards: u16) -> Result<View, LayerError> {
    // What an attempt of this call may have committed.
    let tried = &Mutex::new(None);
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let old = view_row(&tx).await?;
        let earlier = tried.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(view) = earlier.filter(|view| attempt.maybe_committed && old == ViewRow::from(view)) {
            return Ok(view);
        }
        let view = View::alone(Epoch(old.epoch.0 + 1), incarnation, shards);
        *tried.lock().unwrap_or_else(PoisonError::into_inner) = Some(view.clone());
        begin_epoch(&mut tx, &old, ViewRow::from(&view));
        Ok(view)
    })
}

/// The view's row; of epoch 0 in a store that no node has claimed yet.
async fn view_row<T: Transaction>(tx: &T) -> Result<ViewRow, LayerError> {
    let (key, row) = (keys::view(), tx.get(&keys::view()).await?);
    Ok(unreadable::refuse_some(&key, row.as_ref(), packed::view)?.unwrap_or_default())
}

/// The view that a row of `view` holds, if it holds one: for whoever looks at rows themselves.
///
/// # Errors
/// If the row is of a newer format, or damaged.
pub fn of_row(row: &[u8]) -> Result<Option<View>, RecordError> {
    packed::view(row).map(ViewRow::into_view)
}

/// Ends `old` and begins `new`: of who is not in it any more nothing is left, and everybody else is given the fence of
/// its epoch.
fn begin_epoch<T: Transaction>(tx: &mut T, old: &ViewRow, new: ViewRow) {
    for member in old.members().iter().filter(|member| !new.has(member.incarnation)) {
        forget_node(tx, member.incarnation);
        tx.set(&keys::ended(member.incarnation), packed::MARK);
    }
    for &schema::Member { incarnation, .. } in new.members() {
        tx.set(&keys::fence(incarnation), &FenceRecord { incarnation, epoch: new.epoch }.encode());
    }
    tx.set(&keys::view(), &packed::row(new));
}

/// Removes all that a node's life has in the store but what arrived for its homes: its fence above all, whose absence
/// is a mismatch (I7).
fn forget_node<T: Transaction>(tx: &mut T, node: Incarnation) {
    tx.clear(&keys::fence(node));
    tx.clear(&keys::node(node));
    tx.clear(&keys::heartbeat(node));
    let batches = keys::batches(node);
    tx.clear_range(&batches.begin, &batches.end);
}

/// The epoch in which a life stands, as of now.
///
/// # Errors
/// 113 once it is in no view; the store's, and damage in the fence.
pub async fn standing<E: Engine>(engine: &E, life: Incarnation) -> Result<Epoch, LayerError> {
    let key = keys::fence(life);
    let row = read!(engine, Begin::Fresh, |tx| Ok(tx.get(&key).await?))?;
    let fence = unreadable::refuse_some(&key, row.as_ref(), FenceRecord::decode)?;
    fence.filter(|fence| fence.incarnation == life).map(|fence| fence.epoch).ok_or_else(|| moving().into())
}

/// A view, and a version of the store at which it stood: all that was committed under earlier epochs is there to be
/// read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The view.
    pub view: View,
    /// The version at which it was read.
    pub version: u64,
}

/// The view as it stands, for a node that was told of another or found itself fenced. `None` in a store that no node
/// has claimed yet, or whose last node has left.
///
/// # Errors
/// The store's, and damage in the row.
pub async fn current<E: Engine>(engine: &E) -> Result<Option<Current>, LayerError> {
    read!(engine, Begin::Fresh, |tx| {
        let view = view_row(&tx).await?.into_view();
        let version = tx.read_version().await?.0;
        Ok(view.map(|view| Current { view, version }))
    })
}
