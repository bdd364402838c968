//! View of a store: the partition table, its epoch, and the fences that make a former owner's commits fail.
//!
//! Owns the rows `view`, `partition` and `fence`. The table in the store is the only truth for routing.
//! Upholds I7: every change of the table rewrites or clears the fence of each node of the old view and of the new one,
//! so that whatever was in flight under the old epoch fails. A view has one node, which is active, or none, once it has
//! left; several that share the work will be changes of the same kind.
//!
//! ```text
//! claim      takes a store that no other process can have open         roll        registers nodes, beats, looks around
//! current    the view as it stands                                     lease       who is dead
//!                                                                      takeover    takes over, leaves, forgets
//! ```

mod lease;
mod roll;
mod takeover;

use std::sync::atomic::{AtomicU64, Ordering};

use schema::limits::PARTITIONS;
use schema::record::FenceRecord;
use schema::{Epoch, Incarnation, Owner, ShardIndex, View};

use super::packed::{self, ViewRow};
use super::{LayerError, commit, read, unreadable};
use crate::keys;
use kv::transaction::{Begin, Engine, Transaction};

pub use lease::{Lease, Verdict};
pub use roll::{Node, Roll, Seen, beat, look, register};
pub use takeover::{forget, leave, take_over};

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
    // The epoch that an attempt of this call may have committed. 0, which is none, until there was one.
    let tried = &AtomicU64::new(0);
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let old = view_row(&tx).await?;
        if attempt.maybe_committed && stands(&old, incarnation, tried) {
            return Ok(View::alone(old.epoch, incarnation, shards));
        }
        Ok(begin_epoch(&mut tx, &old, incarnation, shards, tried))
    })
}

/// The view's row; of epoch 0 in a store that no node has claimed yet.
async fn view_row<T: Transaction>(tx: &T) -> Result<ViewRow, LayerError> {
    let (key, row) = (keys::view(), tx.get(&keys::view()).await?);
    Ok(unreadable::refuse_some(&key, row.as_ref(), packed::view)?.unwrap_or_default())
}

/// Whether a view is the one that an earlier attempt of this node began.
fn stands(view: &ViewRow, me: Incarnation, tried: &AtomicU64) -> bool {
    view.epoch.0 == tried.load(Ordering::Relaxed) && view.nodes == [me]
}

/// Ends `old`, and begins the view of a node that is alone, whose shards have the partitions in turn. Its epoch is what
/// is `tried` then.
fn begin_epoch<T: Transaction>(
    tx: &mut T,
    old: &ViewRow,
    incarnation: Incarnation,
    shards: u16,
    tried: &AtomicU64,
) -> View {
    for &node in old.nodes.iter().filter(|&&node| node != incarnation) {
        forget_node(tx, node);
    }
    let epoch = Epoch(old.epoch.0 + 1);
    tried.store(epoch.0, Ordering::Relaxed);
    tx.set(&keys::fence(incarnation), &FenceRecord { incarnation, epoch }.encode());
    tx.set(&keys::view(), &packed::row(ViewRow { epoch, nodes: vec![incarnation] }));
    let owners: Vec<_> = (0..PARTITIONS).map(|at| Owner { incarnation, shard: ShardIndex(at % shards) }).collect();
    for (partition, &owner) in owners.iter().enumerate() {
        tx.set(&keys::partition(partition), &packed::row(owner));
    }
    View::new(epoch, owners)
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

/// The view as it stands, for a node that was told of another or found itself fenced. `None` in a store that no node
/// has claimed yet, or whose last node has left.
///
/// # Errors
/// The store's, and damage in the rows.
pub async fn current<E: Engine>(engine: &E) -> Result<Option<View>, LayerError> {
    read!(engine, Begin::Fresh, |tx| {
        let ViewRow { epoch, nodes } = view_row(&tx).await?;
        if nodes.is_empty() {
            return Ok(None);
        }
        let page = tx.get_range(&keys::partitions().rows(u32::from(PARTITIONS))).await?;
        let owner = |row: &kv::Row| unreadable::refuse(&row.key, packed::owner(&row.value));
        let owners: Vec<_> = page.rows.iter().map(owner).collect::<Result<_, _>>()?;
        if owners.len() != usize::from(PARTITIONS) {
            let why = format!("{} of {PARTITIONS} partitions have a row", owners.len());
            return Err(schema::record::RecordError::Damaged { what: "partition", bytes: 0, why }.into());
        }
        Ok(Some(View::new(epoch, owners)))
    })
}
