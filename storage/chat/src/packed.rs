//! The smallest rows of the layers: numbers and places that no other program reads.
//!
//! Owns their bytes: a format, then fields as keys have them. Counters are the store's own little-endian numbers.

use bytes::Bytes;
use schema::record::RecordError;
use schema::{ChannelId, Epoch, Incarnation, Owner, Position, ShardIndex, Stamp, UnixMs, UserId};

use super::clock::ClockRow;

use crate::fields::KeyField;

/// The format of all of them.
const FORMAT: u8 = 1;

fn damaged(what: &'static str, bytes: &[u8]) -> RecordError {
    RecordError::Damaged { what, bytes: bytes.len(), why: format!("{bytes:02x?}") }
}

/// A row in the making, behind its format.
struct Row(Vec<u8>);

impl Row {
    fn new() -> Self {
        Self(vec![FORMAT])
    }

    fn and(mut self, field: impl KeyField) -> Self {
        field.put(&mut self.0);
        self
    }
}

/// The fields behind the format.
fn read<T>(what: &'static str, bytes: &[u8], fields: impl FnOnce(&mut &[u8]) -> Option<T>) -> Result<T, RecordError> {
    match bytes.split_first() {
        Some((&FORMAT, mut rest)) => fields(&mut rest).filter(|_| rest.is_empty()).ok_or_else(|| damaged(what, bytes)),
        Some((&found, _)) if found > FORMAT => Err(RecordError::Newer { what, found, known: FORMAT }),
        Some(_) | None => Err(damaged(what, bytes)),
    }
}

/// A row whose key says it all: reactions, mentions, edits to be indexed, and the large channels of a user.
pub(super) fn mark_row() -> Vec<u8> {
    vec![FORMAT]
}

/// `joined`: the operand that changes a counter. Adding wraps, so what was added can be taken away.
pub(super) fn counter_change(change: i64) -> [u8; 8] {
    change.to_le_bytes()
}

/// `joined`: a counter; 0 where there is none.
pub(super) fn counter(row: Option<&Bytes>) -> Result<u64, RecordError> {
    row.map_or(Ok(0), |row| counter_of(row))
}

/// `joined`.
pub(super) fn counter_of(bytes: &[u8]) -> Result<u64, RecordError> {
    bytes.try_into().map(u64::from_le_bytes).map_err(|_| damaged("counter", bytes))
}

/// `direct`: the channel of two users. It has no format.
pub(super) fn direct_row(channel: ChannelId) -> Vec<u8> {
    channel.0.to_be_bytes().to_vec()
}

/// `direct`.
pub(super) fn direct(bytes: &[u8]) -> Result<ChannelId, RecordError> {
    bytes.try_into().map(|number| ChannelId(u64::from_be_bytes(number))).map_err(|_| damaged("direct", bytes))
}

/// `username`: whose it is.
pub(super) fn user_row(user: UserId) -> Vec<u8> {
    Row::new().and(user).0
}

/// `username`.
pub(super) fn user(bytes: &[u8]) -> Result<UserId, RecordError> {
    read("username", bytes, UserId::take)
}

/// `inbox floor`.
pub(super) fn floor_row(floor: Position) -> Vec<u8> {
    Row::new().and(floor).0
}

/// `inbox floor` at the end of the transaction that writes it: what stands before its stamp, and what after.
pub(super) fn floor_row_around_stamp() -> (Vec<u8>, [u8; 2]) {
    (vec![FORMAT], u16::MAX.to_be_bytes())
}

/// `inbox floor`; the start where there is none.
pub(super) fn floor(row: Option<&Bytes>) -> Result<Position, RecordError> {
    row.map_or(Ok(Position::START), |row| floor_of(row))
}

/// `inbox floor`.
pub(super) fn floor_of(bytes: &[u8]) -> Result<Position, RecordError> {
    read("inbox floor", bytes, Position::take)
}

/// `dedup floor`.
pub(super) fn day_row(day: u32) -> Vec<u8> {
    Row::new().and(day).0
}

/// `dedup floor`; the first day where there is none.
pub(super) fn day(row: Option<&Bytes>) -> Result<u32, RecordError> {
    row.map_or(Ok(0), |row| day_of(row))
}

/// `dedup floor`.
pub(super) fn day_of(bytes: &[u8]) -> Result<u32, RecordError> {
    read("dedup floor", bytes, u32::take)
}

/// `clock`.
pub(super) fn clock_row(ClockRow { believed_ms, doubted_ms }: ClockRow) -> Vec<u8> {
    Row::new().and(believed_ms.0).and(doubted_ms).0
}

/// `clock`.
pub(super) fn clock(bytes: &[u8]) -> Result<ClockRow, RecordError> {
    read("clock", bytes, |fields| {
        Some(ClockRow { believed_ms: UnixMs(u64::take(fields)?), doubted_ms: u64::take(fields)? })
    })
}

/// `partition`.
pub(super) fn owner_row(owner: Owner) -> Vec<u8> {
    Row::new().and(owner.incarnation).and(owner.shard).0
}

/// `partition`.
pub(super) fn owner(bytes: &[u8]) -> Result<Owner, RecordError> {
    read("partition", bytes, |rest| {
        Some(Owner { incarnation: Incarnation::take(rest)?, shard: ShardIndex::take(rest)? })
    })
}

/// `view`: the epoch of the partition table and the nodes that may append under it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ViewRow {
    pub(super) epoch: Epoch,
    pub(super) nodes: Vec<Incarnation>,
}

impl ViewRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        self.nodes.iter().fold(Row::new().and(self.epoch), |row, &node| row.and(node)).0
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let nodes = |rest: &mut &[u8]| {
            let epoch = Epoch::take(rest)?;
            let mut nodes = Vec::new();
            while !rest.is_empty() {
                nodes.push(Incarnation::take(rest)?);
            }
            Some(Self { epoch, nodes })
        };
        read("view", bytes, nodes)
    }
}

/// `heartbeat`: how often a node's life has said that it lives.
pub(super) fn beat_row(count: u64) -> Vec<u8> {
    Row::new().and(count).0
}

/// `heartbeat`.
pub(super) fn beat(bytes: &[u8]) -> Result<u64, RecordError> {
    read("heartbeat", bytes, u64::take)
}

/// `batch`: the last batch of a shard that committed, which of its attempts, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchRow {
    pub(super) number: u64,
    pub(super) attempt: u32,
    pub(super) stamp: Stamp,
}

impl BatchRow {
    /// What stands before the versionstamp in the row.
    pub(super) fn prefix(number: u64, attempt: u32) -> Vec<u8> {
        Row::new().and(number).and(attempt).0
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let fields = |rest: &mut &[u8]| {
            Some(Self { number: u64::take(rest)?, attempt: u32::take(rest)?, stamp: Stamp::take(rest)? })
        };
        read("batch", bytes, fields)
    }
}

/// `import`: which dump is being written into this store, and how many of its parts are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ImportRow {
    pub(super) dump: u64,
    pub(super) parts: u64,
}

impl ImportRow {
    pub(super) fn encode(self) -> Vec<u8> {
        Row::new().and(self.dump).and(self.parts).0
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        read("import", bytes, |rest| Some(Self { dump: u64::take(rest)?, parts: u64::take(rest)? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_back_and_nothing_else_is_one() {
        let owner_ = Owner { incarnation: Incarnation(u64::MAX - 1), shard: ShardIndex(513) };
        let floor_ = Stamp { version: 1 << 40, batch: 7 }.at(9);
        let view = ViewRow { epoch: Epoch(3), nodes: vec![Incarnation(1), Incarnation(u64::MAX)] };
        let stamp = Stamp { version: 258, batch: 1 };
        let batch = [BatchRow::prefix(5, 6).as_slice(), &stamp.to_bytes()].concat();
        assert_eq!(owner(&owner_row(owner_)), Ok(owner_));
        assert_eq!(floor(Some(&floor_row(floor_).into())), Ok(floor_));
        assert_eq!(day(Some(&day_row(20_000).into())), Ok(20_000));
        let time = ClockRow { believed_ms: UnixMs(1 << 41), doubted_ms: 7 };
        assert_eq!(clock(&clock_row(time)), Ok(time));
        assert_eq!(ViewRow::decode(&view.encode()), Ok(view));
        let import = ImportRow { dump: u64::MAX - 3, parts: 9 };
        assert_eq!(ImportRow::decode(&import.encode()), Ok(import));
        assert_eq!(beat(&beat_row(u64::MAX - 1)), Ok(u64::MAX - 1));
        assert_eq!(BatchRow::decode(&batch), Ok(BatchRow { number: 5, attempt: 6, stamp }));
        assert_eq!((floor(None), day(None), counter(None)), (Ok(Position::START), Ok(0), Ok(0)));
        for bad in [&batch[1..], &batch[..batch.len() - 1], &[]] {
            assert!(matches!(BatchRow::decode(bad), Err(RecordError::Damaged { .. })), "{bad:?}");
        }
        assert!(matches!(owner(&[2; 11]), Err(RecordError::Newer { found: 2, known: 1, .. })));
        assert!(matches!(ViewRow::decode(&[1, 2]), Err(RecordError::Damaged { .. })));
    }
}
