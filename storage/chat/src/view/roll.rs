//! Roll of nodes that register, say each second that they live, and see who else does.
//!
//! Owns the rows `node` and `heartbeat`. Decides nothing: [`super::Lease`] makes of what is seen who is dead.
//! A node's heartbeat is written only beside its registration, so that a life that was declared dead, whose rows are
//! gone, never appears again; and what it says of others it reads without conflicts, so that heartbeats never fail each
//! other.

use std::collections::{BTreeMap, BTreeSet};

use schema::limits::NODES_MAX;
use schema::record::{FenceRecord, NodeRecord};
use schema::{Epoch, Incarnation, View};

use crate::keys;
use crate::packed::{self, Said, ViewRow};
use crate::{LayerError, commit, read, unreadable};
use kv::join::try_all;
use kv::transaction::{Begin, Engine, Transaction};

/// The nodes of a store, as one transaction saw them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roll {
    /// The partition table's epoch; 0 in a store that no node has claimed yet.
    pub epoch: Epoch,
    /// The partition table; none if the last node left.
    pub view: Option<View>,
    /// The version of the store at which this was seen.
    pub version: u64,
    /// Every node of the view, and those that are registered, at most `NODES_MAX` of these.
    pub nodes: BTreeMap<Incarnation, Node>,
}

/// What a store knows of one node's life.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Whether its registration stands: it does not if the node has left, was declared dead, or never registered, as
    /// nodes of stores that are not shared.
    pub registered: bool,
    /// What it says there, if this program can read it: another version's words are no reason to hold one's breath.
    pub record: Option<NodeRecord>,
    /// The last number of its heartbeat.
    pub beat: Option<u64>,
    /// All that the heartbeat says.
    pub said: Option<Said>,
}

/// What a node learns from a heartbeat of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Who is there.
    pub roll: Roll,
    /// Whether this node's registration stands. If not, nothing was written: another node has declared this one dead.
    pub registered: bool,
    /// The epoch under which this node may append, if it may at all.
    pub fence: Option<Epoch>,
}

impl Node {
    fn take(&mut self, key: &[u8], record: &[u8]) {
        self.registered = true;
        self.record = unreadable::skip(key, NodeRecord::decode(record));
    }
}

impl Roll {
    /// The nodes that may append.
    pub fn active(&self) -> impl Iterator<Item = Incarnation> {
        self.view.iter().flat_map(View::members).map(|member| member.incarnation)
    }

    /// The first node that is active, and what is known of it.
    #[must_use]
    pub fn first_active(&self) -> Option<(Incarnation, &Node)> {
        let first = self.active().next()?;
        self.nodes.get(&first).map(|node| (first, node))
    }
}

/// Registers a node's life, before its first heartbeat. Again is safe.
///
/// # Errors
/// The store's.
///
/// # Panics
/// If the record's name or address is longer than it may be.
pub async fn register<E: Engine>(engine: &E, me: Incarnation, record: &NodeRecord) -> Result<(), LayerError> {
    let row = &record.encode();
    commit!(engine, Begin::Fresh, |tx, _| {
        tx.set(&keys::node(me), row);
        Ok(())
    })
}

/// Says that a node's life goes on, and looks around.
///
/// # Errors
/// The store's, and damage in the rows. Then the heartbeat may or may not be written; the next one says it as well.
pub async fn beat<E: Engine>(engine: &E, me: Incarnation, said: &Said) -> Result<Seen, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let wanted = [keys::node(me), keys::fence(me)];
        let own = tx.get_all(&wanted).await?;
        // Without a fence that can be read this node may append nothing, and another has to take over.
        let fence = own[1].as_ref().and_then(|row| unreadable::skip(&wanted[1], FenceRecord::decode(row)));
        let registered = own[0].is_some();
        let roll = roll(&tx).await?;
        if registered {
            tx.set(&keys::heartbeat(me), &packed::row(*said));
        }
        let fence = fence.filter(|fence| fence.incarnation == me).map(|fence| fence.epoch);
        Ok(Seen { roll, registered, fence })
    })
}

/// Who is there, for one who is no node: an operator's question.
///
/// # Errors
/// The store's, and damage in the rows.
pub async fn look<E: Engine>(engine: &E) -> Result<Roll, LayerError> {
    read!(engine, Begin::Fresh, |tx| roll(&tx).await)
}

/// Reads without conflicts: nodes come, go and say that they live all the time.
async fn roll<T: Transaction>(tx: &T) -> Result<Roll, LayerError> {
    let (key, view) = (keys::view(), tx.snapshot_get(&keys::view()).await?);
    let view = unreadable::refuse_some(&key, view.as_ref(), packed::view)?;
    let view: ViewRow = view.unwrap_or_default();
    let version = tx.read_version().await?.0;
    let page = tx.snapshot_get_range(&keys::nodes().rows(NODES_MAX)).await?;
    let mut nodes: BTreeMap<Incarnation, Node> = BTreeMap::new();
    for row in &page.rows {
        let Some(node) = unreadable::skip(&row.key, keys::node_of(&row.key)) else { continue };
        nodes.entry(node).or_default().take(&row.key, &row.value);
    }
    let active = view.members().iter().map(|member| member.incarnation);
    let beyond: BTreeSet<Incarnation> = active.filter(|node| !nodes.contains_key(node)).collect();
    let records = beyond.iter().map(|&node| keys::node(node));
    let beats = nodes.keys().chain(&beyond).map(|&node| keys::heartbeat(node));
    let wanted: Vec<Vec<u8>> = records.chain(beats).collect();
    let rows = try_all(wanted.iter().map(|key| tx.snapshot_get(key))).await?;
    let mut rows = wanted.iter().zip(rows);
    let mut next = || rows.next().and_then(|(key, row)| Some((key, row?)));
    // In the order in which they were asked for.
    let mut found = BTreeMap::new();
    for &node in &beyond {
        let of: &mut Node = found.entry(node).or_default();
        if let Some((key, row)) = next() {
            of.take(key, &row);
        }
    }
    for node in nodes.values_mut().chain(found.values_mut()) {
        node.said = next().and_then(|(key, row)| unreadable::skip(key, packed::beat(&row)));
        node.beat = node.said.map(|said| said.count);
    }
    nodes.append(&mut found);
    Ok(Roll { epoch: view.epoch, view: view.into_view(), version, nodes })
}
