//! Keys of push items: by the partition of the user and then by when they are due, so that a worker of some partitions
//! reads what is due in order, and what nobody fetched goes range by range.

use schema::limits::PARTITIONS;
use schema::record::{PushItem, PushRecord, RecordError};
use schema::{ChannelId, Partition, Seq, UnixMs, UserId};

use super::{Fields, Key, Table, damaged};
use kv::transaction::RangeRequest;

/// `push`: one item.
#[must_use]
pub fn push(item: &PushItem) -> Vec<u8> {
    let partition = Partition::of_user(item.user).index();
    pushes(partition).u64(item.due_ms.0).u64(item.user.0).u64(item.channel.0).u64(item.seq.0).0
}

/// Every item of the users of a partition, the one that is due first at the front.
///
/// # Panics
/// If `partition` is no place in the table.
#[must_use]
pub fn pushes_of(partition: usize) -> RangeRequest {
    pushes(partition).all()
}

/// The items of the users of a partition that were due before a time.
///
/// # Panics
/// If `partition` is no place in the table.
#[must_use]
pub fn pushes_due(partition: usize, before: UnixMs) -> RangeRequest {
    RangeRequest::new(pushes(partition).0, pushes(partition).u64(before.0).0)
}

fn pushes(partition: usize) -> Key {
    assert!(partition < usize::from(PARTITIONS), "partition {partition} of {PARTITIONS}");
    Key::of(Table::Push).u16(u16::try_from(partition).expect("below 1,024"))
}

/// The item of a `push` row.
///
/// # Errors
/// If the key is none of an item, or the value is damaged.
pub fn push_item(key: &[u8], value: &[u8]) -> Result<PushItem, RecordError> {
    let PushRecord { from, sent_ms } = PushRecord::decode(value)?;
    let parse = || {
        let mut fields = Fields::of(Table::Push, key)?;
        let _partition = fields.take::<2>()?;
        let (due_ms, user) = (UnixMs(fields.u64()?), UserId(fields.u64()?));
        let (channel, seq) = (ChannelId(fields.u64()?), Seq(fields.u64()?));
        fields.end(PushItem { due_ms, user, channel, seq, from, sent_ms })
    };
    parse().filter(|item| push(item) == key).ok_or_else(|| damaged("push", key))
}
