//! Keys of first replies, by day, so that a day of them is cleared at once.

use schema::record::RecordError;
use schema::{ChannelId, ClientMsgId, UnixMs, UserId};

use super::{Fields, Key, Table, damaged, hash_byte};
use kv::transaction::RangeRequest;

/// Milliseconds of the days by which dedup rows are cleared.
const DAY_MS: u64 = 24 * 3600 * 1000;

/// The day of a wall time, from 1970-01-01 UTC.
#[must_use]
pub fn day(wall: UnixMs) -> u32 {
    u32::try_from(wall.0 / DAY_MS).unwrap_or(u32::MAX)
}

/// What a dedup row is about: whose id, in which channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DedupKey {
    /// The channel.
    pub channel: ChannelId,
    /// Who named it.
    pub user: UserId,
    /// The name, of a message or an operation.
    pub id: ClientMsgId,
}

impl DedupKey {
    /// `dedup`, behind a hash byte and the day that the id itself tells.
    #[must_use]
    pub fn to_key(self) -> Vec<u8> {
        Key::of(Table::Dedup)
            .u8(hash_byte(self.channel.0))
            .u32(day(self.id.made_at()))
            .u64(self.channel.0)
            .u64(self.user.0)
            .bytes(&self.id.0)
            .0
    }

    /// The reverse of [`Self::to_key`].
    ///
    /// # Errors
    /// If it is no such key.
    pub fn of_key(key: &[u8]) -> Result<Self, RecordError> {
        let parse = || {
            let mut fields = Fields::of(Table::Dedup, key)?;
            let (_hash, _day) = (fields.take::<1>()?, fields.u32()?);
            let dedup = Self {
                channel: ChannelId(fields.u64()?),
                user: UserId(fields.u64()?),
                id: ClientMsgId(fields.take()?),
            };
            fields.end(dedup)
        };
        parse().filter(|dedup| dedup.to_key() == key).ok_or_else(|| damaged("dedup", key))
    }
}

/// The dedup rows behind one hash byte whose day is before `day`.
#[must_use]
pub fn dedups_before(hash: u8, day: u32) -> RangeRequest {
    RangeRequest::new(Key::of(Table::Dedup).u8(hash).0, Key::of(Table::Dedup).u8(hash).u32(day).0)
}

/// Every dedup row after one.
#[must_use]
pub fn dedups_after(last: Option<DedupKey>) -> RangeRequest {
    Key::of(Table::Dedup).all_after(last.map(DedupKey::to_key))
}

/// `dedup floor`: the day before which dedup rows were cleared.
#[must_use]
pub fn dedup_floor() -> Vec<u8> {
    Key::of(Table::DedupFloor).0
}

/// `idempotency`: the channel that a creation's key made on a day. `key` is the client's text.
#[must_use]
pub fn idempotency(day: u32, user: UserId, key: &str) -> Vec<u8> {
    Key::of(Table::Idempotency).u32(day).u64(user.0).bytes(key.as_bytes()).0
}

/// The idempotency rows of every day before one.
#[must_use]
pub fn idempotencies_before(day: u32) -> RangeRequest {
    RangeRequest::new(Key::of(Table::Idempotency).0, Key::of(Table::Idempotency).u32(day).0)
}
