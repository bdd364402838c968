//! From one view to the next: nodes join, hand over, leave and are declared dead.
//!
//! Owns the one transaction of them all. Upholds I7: a change reads in its own transaction what it relies on, the view's
//! epoch, the registration of who comes and the heartbeat of each node that it declares dead. So of two proposals one
//! commits and the other finds that it did, and so do a proposal and a heartbeat of the node that comes back in that
//! instant.

use std::collections::BTreeMap;

use schema::{Epoch, Incarnation, Member, Owner, Standing, View};

use super::lease::Verdict;
use super::{begin_epoch, forget_node, view_row};
use crate::keys;
use crate::packed::{Table, ViewRow};
use crate::{LayerError, commit, packed, unreadable};
use kv::transaction::{Begin, Engine, Transaction};

/// The next view, as one node wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The view that it takes the place of.
    pub after: Epoch,
    /// The nodes, in any order.
    pub members: Vec<Member>,
    /// An owner for each partition, in order.
    pub owners: Vec<Owner>,
    /// Who is dead, each with the heartbeat that did not change.
    pub dead: BTreeMap<Incarnation, Option<u64>>,
}

/// Changes the view as `by`, a node that is registered, proposes. One transaction: from its commit on nothing commits
/// that was in flight under the old epoch (I7), and of who left or is dead nothing is left but its arrivals.
///
/// `None` if what it relies on does not hold: the view is another already, somebody who is to come is not registered,
/// somebody who is to go has said a word, or still owns something and is not dead, `by` itself has been declared dead,
/// or an import is under way. Then look around again, with the next heartbeat.
///
/// # Errors
/// The store's, and damage in the rows. Then it may or may not have changed; a heartbeat tells, by the fence.
///
/// # Panics
/// If the proposal is no view: see [`View::new`].
pub async fn change<E: Engine>(engine: &E, by: Incarnation, proposal: &Proposal) -> Result<Option<View>, LayerError> {
    let Proposal { after, members, owners, dead } = proposal;
    let alone = &View::new(Epoch(after.0 + 1), members.clone(), owners.clone());
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let old = view_row(&tx).await?;
        if attempt.maybe_committed && old.epoch == alone.epoch {
            let is_ours = |view: &View| view.members() == alone.members() && view.owners() == alone.owners();
            return Ok(old.into_view().filter(is_ours));
        }
        let view = match old.clone().into_view() {
            Some(before) => before.next(members.clone(), owners.clone()),
            None => alone.clone(),
        };
        let new = ViewRow::from(&view);
        if old.epoch != *after || !may_change(&tx, by, &old, &new, dead).await? {
            return Ok(None);
        }
        begin_epoch(&mut tx, &old, new);
        Ok(Some(view))
    })
}

/// Whether a change may be, as things stand in this transaction.
async fn may_change<T: Transaction>(
    tx: &T,
    by: Incarnation,
    old: &ViewRow,
    new: &ViewRow,
    dead: &BTreeMap<Incarnation, Option<u64>>,
) -> Result<bool, LayerError> {
    let come = new.members().iter().map(|member| member.incarnation).filter(|&node| !old.has(node) && node != by);
    // Rows of another store may be written there: what is there is no history yet.
    let mut wanted = vec![keys::import(), keys::node(by)];
    wanted.extend(come.map(keys::node));
    let rows = tx.get_all(&wanted).await?;
    let gone = || old.members().iter().filter(|member| !new.has(member.incarnation));
    let may_go = |member: &&Member| {
        let node = member.incarnation;
        node == by || dead.contains_key(&node) || member.standing == Standing::Draining && !owns(old, node)
    };
    if rows[0].is_some() || rows[1..].iter().any(Option::is_none) || !gone().all(|member| may_go(&member)) {
        return Ok(false);
    }
    let dead_gone: Vec<_> = gone().map(|member| member.incarnation).filter(|node| dead.contains_key(node)).collect();
    silent(tx, &dead_gone, dead).await
}

fn owns(view: &ViewRow, node: Incarnation) -> bool {
    view.table.iter().flat_map(|table: &Table| &table.owners).any(|owner| owner.incarnation == node)
}

/// Whether none of `nodes` has said a word since it was declared dead.
async fn silent<T: Transaction>(
    tx: &T,
    nodes: &[Incarnation],
    dead: &BTreeMap<Incarnation, Option<u64>>,
) -> Result<bool, LayerError> {
    let wanted: Vec<_> = nodes.iter().map(|&node| keys::heartbeat(node)).collect();
    for (node, row) in nodes.iter().zip(tx.get_all(&wanted).await?) {
        // As the one who declared it dead has read it.
        let beat =
            row.and_then(|row| unreadable::skip(&keys::heartbeat(*node), packed::beat(&row))).map(|said| said.count);
        if dead.get(node) != Some(&beat) {
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
            let gone = !view_row(&tx).await?.has(node) && silent(&tx, &[node], &verdict.dead).await?;
            if gone {
                forget_node(&mut tx, node);
            }
            Ok(usize::from(gone))
        })?;
    }
    Ok(forgotten)
}

/// Leaves the store for good, as the last of its nodes or as one that owns nothing: the view that is left has no nodes,
/// or the others. Returns whether this node is in no view any more; another than the last hands over first, by
/// [`change`].
///
/// To be called once nothing of this node is under way: what still were would be refused by the fence, which is
/// cleared, and the batch rows, which would tell whether it had committed, are gone.
///
/// # Errors
/// The store's, and damage in the rows. Leaving again is safe; without it the others wait for the lease.
pub async fn leave<E: Engine>(engine: &E, me: Incarnation) -> Result<bool, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let old = view_row(&tx).await?;
        if old.has(me) {
            let others: Vec<Member> = old.members().iter().copied().filter(|node| node.incarnation != me).collect();
            if !others.is_empty() && owns(&old, me) {
                return Ok(false);
            }
            let table = old.table.as_ref().filter(|_| !others.is_empty());
            let table = table.map(|table| Table { members: others, ..table.clone() });
            begin_epoch(&mut tx, &old, ViewRow { epoch: Epoch(old.epoch.0 + 1), table });
        }
        forget_node(&mut tx, me);
        Ok(true)
    })
}

/// Ends the view of a store at rest, whoever is in it: a node that merely stood still finds itself fenced when it goes
/// on (I7).
///
/// # Errors
/// The store's, and damage in the rows. Ending again is safe, and changes nothing.
pub async fn end<E: Engine>(engine: &E) -> Result<(), LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let old = view_row(&tx).await?;
        if old.table.is_some() {
            begin_epoch(&mut tx, &old, ViewRow { epoch: Epoch(old.epoch.0 + 1), table: None });
        }
        Ok(())
    })
}
