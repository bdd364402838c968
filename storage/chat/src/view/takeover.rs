//! From one node to the next: a dead one is taken over, a stopping one leaves.
//!
//! Owns the transactions of both. Upholds I7: a takeover reads in its own transaction what it relies on, the view's
//! epoch and the heartbeat of each node that it declares dead. So of a takeover and a heartbeat of the node that comes
//! back in that instant one commits and the other finds that it did.

use std::sync::atomic::AtomicU64;

use schema::{Epoch, Incarnation, View};

use super::lease::Verdict;
use super::{begin_epoch, forget_node, stands, view_row};
use crate::keys;
use crate::packed::{self, ViewRow};
use crate::{LayerError, commit, unreadable};
use kv::transaction::{Begin, Engine, Transaction};

/// Takes every partition over from the nodes of the view, all of which are dead by `verdict`. One transaction: from its
/// commit on no append of theirs commits (I7), and their registrations are gone.
///
/// `None` if that does not hold any more, or never did: the view is another, somebody of it is not dead or has said a
/// word since, this node itself has been declared dead, or an import is under way. Then look around again, with the
/// next heartbeat.
///
/// # Errors
/// The store's, and damage in the rows. Then it may or may not be taken over; a heartbeat tells, by the fence.
///
/// # Panics
/// If `shards` is 0.
pub async fn take_over<E: Engine>(
    engine: &E,
    me: Incarnation,
    shards: u16,
    verdict: &Verdict,
) -> Result<Option<View>, LayerError> {
    // The epoch that an attempt of this call may have committed. 0, which is none, until there was one.
    let tried = &AtomicU64::new(0);
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let old = view_row(&tx).await?;
        if attempt.maybe_committed && stands(&old, me, tried) {
            return Ok(Some(View::alone(old.epoch, me, shards)));
        }
        if !holds(&tx, me, &old, verdict).await? {
            return Ok(None);
        }
        Ok(Some(begin_epoch(&mut tx, &old, me, shards, tried)))
    })
}

/// Whether a takeover may be, as things stand in this transaction.
async fn holds<T: Transaction>(tx: &T, me: Incarnation, old: &ViewRow, verdict: &Verdict) -> Result<bool, LayerError> {
    let others: Vec<Incarnation> = old.nodes.iter().copied().filter(|&node| node != me).collect();
    let all_dead = others.iter().all(|node| verdict.dead.contains_key(node));
    let own = tx.get_all(&[keys::node(me), keys::import()]).await?;
    // Rows of another store are being written: what is there is no history yet.
    let (registered, whole) = (own[0].is_some(), own[1].is_none());
    if old.epoch != verdict.epoch || !all_dead || !registered || !whole {
        return Ok(false);
    }
    silent(tx, &others, verdict).await
}

/// Whether none of `nodes` has said a word since it was declared dead.
async fn silent<T: Transaction>(tx: &T, nodes: &[Incarnation], verdict: &Verdict) -> Result<bool, LayerError> {
    let wanted: Vec<_> = nodes.iter().map(|&node| keys::heartbeat(node)).collect();
    for (node, row) in nodes.iter().zip(tx.get_all(&wanted).await?) {
        // As the one who declared it dead has read it.
        let beat = row.and_then(|row| unreadable::skip(&keys::heartbeat(*node), packed::beat(&row)));
        if beat != verdict.dead[node] {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Nodes that are forgotten in one go, each in its own transaction: between two heartbeats there is time for them also
/// where a commit takes a tenth of a second.
const FORGET_MAX: usize = 2;

/// Removes the registrations of dead nodes that stood by, two of them at most, so that no heartbeat waits for it: for
/// the active node, which sees that nobody piles them up. Returns how many went. Who has said a word since stays, and
/// so does the view with its nodes, whoever they are.
///
/// # Errors
/// The store's, and damage in the rows. Forgetting again is safe.
pub async fn forget<E: Engine>(engine: &E, verdict: &Verdict) -> Result<usize, LayerError> {
    let mut forgotten = 0;
    for &node in verdict.dead.keys().take(FORGET_MAX) {
        forgotten += commit!(engine, Begin::Fresh, |tx, _| {
            let gone = !view_row(&tx).await?.nodes.contains(&node) && silent(&tx, &[node], verdict).await?;
            if gone {
                forget_node(&mut tx, node);
            }
            Ok(usize::from(gone))
        })?;
    }
    Ok(forgotten)
}

/// Leaves the store for good, at the end of a clean stop: whoever stands by or starts next need not wait for a lease.
///
/// To be called once nothing of this node is under way: what still were would be refused by the fence, which is
/// cleared, and the batch rows, which would tell whether it had committed, are gone. The view that is left has no
/// nodes.
///
/// # Errors
/// The store's, and damage in the rows. Leaving again is safe; without it the next node waits for the lease.
pub async fn leave<E: Engine>(engine: &E, me: Incarnation) -> Result<(), LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let old = view_row(&tx).await?;
        if old.nodes.contains(&me) {
            let row = ViewRow { epoch: Epoch(old.epoch.0 + 1), nodes: Vec::new() };
            tx.set(&keys::view(), &packed::row(row));
        }
        forget_node(&mut tx, me);
        Ok(())
    })
}
