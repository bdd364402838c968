//! Keys of who is there and who owns what: nodes, heartbeats, fences, the partition table, batch rows, arrivals.

use schema::limits::PARTITIONS;
use schema::record::RecordError;
use schema::{Epoch, Incarnation, Owner, Stamp};

use super::{Fields, Key, Table, damaged, hash_byte};
use kv::transaction::{RangeRequest, key_after};

/// `node`: a node's life on this store, active or standing by.
#[must_use]
pub fn node(incarnation: Incarnation) -> Vec<u8> {
    Key::of(Table::Node).u64(incarnation.0).0
}

/// Every node's row.
#[must_use]
pub fn nodes() -> RangeRequest {
    Key::of(Table::Node).all()
}

/// The life of a node's row.
///
/// # Errors
/// If it is no key of a node.
pub fn node_of(key: &[u8]) -> Result<Incarnation, RecordError> {
    let parse = || {
        let mut fields = Fields::of(Table::Node, key)?;
        let incarnation = Incarnation(fields.u64()?);
        fields.end(incarnation)
    };
    parse().ok_or_else(|| damaged("node", key))
}

/// `heartbeat`: what a node's life counts up while it lives. Apart from its registration, which others read less often.
#[must_use]
pub fn heartbeat(incarnation: Incarnation) -> Vec<u8> {
    Key::of(Table::Heartbeat).u64(incarnation.0).0
}

/// `fence`: whether a node's life may append.
#[must_use]
pub fn fence(incarnation: Incarnation) -> Vec<u8> {
    Key::of(Table::Fence).u8(hash_byte(incarnation.0)).u64(incarnation.0).0
}

/// `partition`: who owns one of the 1,024, by its place in the table.
///
/// # Panics
/// If `index` is no place in the table.
#[must_use]
pub fn partition(index: usize) -> Vec<u8> {
    assert!(index < usize::from(PARTITIONS), "partition {index} of {PARTITIONS}");
    Key::of(Table::Partition).u16(u16::try_from(index).expect("below 1,024")).0
}

/// Every row of the partition table, in order.
#[must_use]
pub fn partitions() -> RangeRequest {
    Key::of(Table::Partition).all()
}

/// `view`: the epoch and the nodes of the partition table.
#[must_use]
pub fn view() -> Vec<u8> {
    Key::of(Table::View).0
}

/// `batch`: the last batch that a shard committed, overwritten by the next.
#[must_use]
pub fn batch(owner: Owner) -> Vec<u8> {
    Key::of(Table::Batch).u64(owner.incarnation.0).u16(owner.shard.0).0
}

/// The batch rows of all shards of a node's life.
#[must_use]
pub fn batches(incarnation: Incarnation) -> RangeRequest {
    Key::of(Table::Batch).u64(incarnation.0).all()
}

/// What precedes the stamp in the keys of a home shard's arrivals.
#[must_use]
pub fn arrival_prefix(epoch: Epoch, home: Owner) -> Vec<u8> {
    Key::of(Table::Arrival).u64(epoch.0).u64(home.incarnation.0).u16(home.shard.0).0
}

/// A home shard's arrivals after a transaction, under one epoch.
#[must_use]
pub fn arrivals_after(epoch: Epoch, home: Owner, after: Stamp) -> RangeRequest {
    let prefix = arrival_prefix(epoch, home);
    let last = [prefix.as_slice(), &after.to_bytes()].concat();
    Key(prefix).all_after(Some(last))
}

/// A home shard's arrivals up to a transaction and with it.
#[must_use]
pub fn arrivals_through(epoch: Epoch, home: Owner, through: Stamp) -> RangeRequest {
    let prefix = arrival_prefix(epoch, home);
    let last = [prefix.as_slice(), &through.to_bytes()].concat();
    RangeRequest::new(prefix, key_after(&last))
}

/// The arrivals of every epoch before this one.
#[must_use]
pub fn arrivals_before(epoch: Epoch) -> RangeRequest {
    RangeRequest::new(Key::of(Table::Arrival).0, Key::of(Table::Arrival).u64(epoch.0).0)
}

/// The transaction of an arrival row.
///
/// # Errors
/// If it is no key of an arrival.
pub fn arrival_stamp(key: &[u8]) -> Result<Stamp, RecordError> {
    arrival_place(key).map(|(_, stamp)| stamp)
}

/// Under which epoch a transaction arrived, and the transaction.
///
/// # Errors
/// If it is no key of an arrival.
pub fn arrival_place(key: &[u8]) -> Result<(Epoch, Stamp), RecordError> {
    let parse = || {
        let mut fields = Fields::of(Table::Arrival, key)?;
        let (epoch, _incarnation, _shard) = (Epoch(fields.u64()?), fields.u64()?, fields.take::<2>()?);
        let stamp = Stamp::from_bytes(fields.take()?);
        fields.end((epoch, stamp))
    };
    parse().ok_or_else(|| damaged("arrival", key))
}
