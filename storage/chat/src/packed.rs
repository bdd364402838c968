//! The smallest rows of the layers: numbers and places that no other program reads.
//!
//! Owns their bytes: a format, then big-endian fields. Counters are the store's own little-endian numbers.

use bytes::Bytes;
use schema::record::RecordError;
use schema::{ChannelId, Epoch, Incarnation, Owner, Position, ShardIndex, Stamp, UserId};

/// The format of all of them.
const FORMAT: u8 = 1;

fn damaged(what: &'static str, bytes: &[u8]) -> RecordError {
    RecordError::Damaged { what, bytes: bytes.len(), why: format!("{bytes:02x?}") }
}

fn fields<const N: usize>(what: &'static str, bytes: &[u8]) -> Result<[u8; N], RecordError> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => rest.try_into().map_err(|_| damaged(what, bytes)),
        Some((&found, _)) if found > FORMAT => Err(RecordError::Newer { what, found, known: FORMAT }),
        Some(_) | None => Err(damaged(what, bytes)),
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
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
    let Some(bytes) = row else { return Ok(0) };
    let bytes: &[u8] = bytes;
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
    [&[FORMAT][..], &user.0.to_be_bytes()].concat()
}

/// `username`.
pub(super) fn user(bytes: &[u8]) -> Result<UserId, RecordError> {
    fields("username", bytes).map(|id| UserId(u64::from_be_bytes(id)))
}

/// `inbox floor`.
pub(super) fn floor_row(floor: Position) -> Vec<u8> {
    [&[FORMAT][..], &floor.to_bytes()].concat()
}

/// `inbox floor` at the end of the transaction that writes it: what stands before its stamp, and what after.
pub(super) fn floor_row_around_stamp() -> (Vec<u8>, [u8; 2]) {
    (vec![FORMAT], u16::MAX.to_be_bytes())
}

/// `inbox floor`; the start where there is none.
pub(super) fn floor(row: Option<&Bytes>) -> Result<Position, RecordError> {
    row.map_or(Ok(Position::START), |bytes| fields("inbox floor", bytes).map(Position::from_bytes))
}

/// `dedup floor`.
pub(super) fn day_row(day: u32) -> Vec<u8> {
    [&[FORMAT][..], &day.to_be_bytes()].concat()
}

/// `dedup floor`; the first day where there is none.
pub(super) fn day(row: Option<&Bytes>) -> Result<u32, RecordError> {
    row.map_or(Ok(0), |bytes| fields("dedup floor", bytes).map(u32::from_be_bytes))
}

/// `partition`.
pub(super) fn owner_row(owner: Owner) -> Vec<u8> {
    [&[FORMAT][..], &owner.incarnation.0.to_be_bytes(), &owner.shard.0.to_be_bytes()].concat()
}

/// `partition`.
pub(super) fn owner(bytes: &[u8]) -> Result<Owner, RecordError> {
    let fields: [u8; 10] = fields("partition", bytes)?;
    let shard = ShardIndex(u16::from_be_bytes([fields[8], fields[9]]));
    Ok(Owner { incarnation: Incarnation(u64_at(&fields, 0)), shard })
}

/// `view`: the epoch of the partition table and the nodes that may append under it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ViewRow {
    pub(super) epoch: Epoch,
    pub(super) nodes: Vec<Incarnation>,
}

impl ViewRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&self.epoch.0.to_be_bytes());
        self.nodes.iter().for_each(|node| bytes.extend_from_slice(&node.0.to_be_bytes()));
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let rest = match bytes.split_first() {
            Some((&found, _)) if found > FORMAT => {
                return Err(RecordError::Newer { what: "view", found, known: FORMAT });
            }
            Some((&FORMAT, rest)) if !rest.is_empty() && rest.len().is_multiple_of(8) => rest,
            Some(_) | None => return Err(damaged("view", bytes)),
        };
        let mut numbers = rest.chunks_exact(8).map(|chunk| u64_at(chunk, 0));
        let epoch = Epoch(numbers.next().expect("not empty"));
        Ok(Self { epoch, nodes: numbers.map(Incarnation).collect() })
    }
}

/// `heartbeat`: how often a node's life has said that it lives.
pub(super) fn beat_row(count: u64) -> Vec<u8> {
    [&[FORMAT][..], &count.to_be_bytes()].concat()
}

/// `heartbeat`.
pub(super) fn beat(bytes: &[u8]) -> Result<u64, RecordError> {
    fields("heartbeat", bytes).map(u64::from_be_bytes)
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
        [&[FORMAT][..], &number.to_be_bytes(), &attempt.to_be_bytes()].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let fields: [u8; 12 + Stamp::BYTES] = fields("batch", bytes)?;
        let (number, rest) = fields.split_at(8);
        let (attempt, stamp) = rest.split_at(4);
        Ok(Self {
            number: u64_at(number, 0),
            attempt: u32::from_be_bytes(attempt.try_into().expect("four bytes")),
            stamp: Stamp::from_bytes(stamp.try_into().expect("ten bytes")),
        })
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
        [&[FORMAT][..], &self.dump.to_be_bytes(), &self.parts.to_be_bytes()].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let fields: [u8; 16] = fields("import", bytes)?;
        Ok(Self { dump: u64_at(&fields, 0), parts: u64_at(&fields, 8) })
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
