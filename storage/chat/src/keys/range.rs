//! Ranges of keys, and keys whose fields follow from others.

use schema::limits::PARTITIONS;
use schema::record::{PushItem, PushRecord, RecordError};
use schema::{ChannelId, ClientMsgId, Epoch, Incarnation, Owner, Partition, Position, Seq, Stamp, UnixMs, UserId};
use xxhash_rust::xxh3::xxh3_64;

use super::key::Key;
use super::table::{self, Moved, Table};
use kv::transaction::{RangeRequest, key_after, prefix_end};

/// Milliseconds of the days by which dedup rows are cleared.
const DAY_MS: u64 = 24 * 3600 * 1000;

/// The day of a wall time, from 1970-01-01 UTC.
#[must_use]
pub fn day(wall: UnixMs) -> u32 {
    u32::try_from(wall.0 / DAY_MS).unwrap_or(u32::MAX)
}

/// Spreads neighbours over the store's servers.
pub(super) fn hash_byte(id: u64) -> u8 {
    xxh3_64(&id.to_be_bytes()).to_be_bytes()[0]
}

fn damaged(what: &'static str, key: &[u8]) -> RecordError {
    RecordError::Damaged { what, bytes: key.len(), why: format!("the key is {key:02x?}") }
}

/// What comes after all rows of a user in a table that is by user.
fn next_user(table: Table, last: Option<UserId>) -> RangeRequest {
    match last {
        Some(last) => RangeRequest::new(prefix_end(&Key::of(table).and(last).0), prefix_end(&Key::of(table).0)),
        None => Key::of(table).all(),
    }
}

// Accounts.

/// The refresh tokens that expired before a time, the oldest first.
#[must_use]
pub fn refreshes_due(before: UnixMs) -> RangeRequest {
    Key::of(Table::RefreshDue).all_before(before)
}

/// The hash of a `refresh due` key.
///
/// # Errors
/// If it is no such key.
pub fn refresh_hash(key: &[u8]) -> Result<[u8; 32], RecordError> {
    table::refresh_due_of(key).map(|(_expires, hash)| hash)
}

/// Every token family of a user.
#[must_use]
pub fn families(user: UserId) -> RangeRequest {
    Key::of(Table::Family).and(user).all()
}

/// Every device of an account, by name.
#[must_use]
pub fn devices(user: UserId) -> RangeRequest {
    Key::of(Table::Device).and(user).all()
}

// Channels, their members and their messages.

/// Every channel after one, ascending.
#[must_use]
pub fn channels_after(last: Option<ChannelId>) -> RangeRequest {
    Key::of(Table::Channel).all_after(last.map(table::channel))
}

/// The channel of two users, in either order.
#[must_use]
pub fn direct(one: UserId, other: UserId) -> Vec<u8> {
    table::direct_of(one.min(other), one.max(other))
}

/// The messages `first..=last` of a channel.
#[must_use]
pub fn messages(channel: ChannelId, first: Seq, last: Seq) -> RangeRequest {
    RangeRequest::new(table::message(channel, first), key_after(&table::message(channel, last)))
}

/// Every message of every channel after one, ascending by channel and seq.
#[must_use]
pub fn messages_after(last: Option<(ChannelId, Seq)>) -> RangeRequest {
    Key::of(Table::Message).all_after(last.map(|(channel, seq)| table::message(channel, seq)))
}

/// The parts of one revision of a body, in order.
#[must_use]
pub fn body_parts(channel: ChannelId, seq: Seq, revision: u32) -> RangeRequest {
    Key::of(Table::Body).and(channel).and(seq).and(revision).all()
}

/// A channel's members after one, ascending by id.
#[must_use]
pub fn members_after(channel: ChannelId, last: Option<UserId>) -> RangeRequest {
    Key::of(Table::Member).and(channel).all_after(last.map(|user| table::member(channel, user)))
}

/// Those who have a role in a large channel, ascending by id.
#[must_use]
pub fn officers(channel: ChannelId) -> RangeRequest {
    Key::of(Table::Officer).and(channel).all()
}

/// The channels that a user has left, those made last first.
#[must_use]
pub fn left_newest(user: UserId) -> RangeRequest {
    Key::of(Table::Left).and(user).all().reversed()
}

/// A user's memberships after one, ascending by channel.
#[must_use]
pub fn memberships_after(user: UserId, last: Option<ChannelId>) -> RangeRequest {
    Key::of(Table::Membership).and(user).all_after(last.map(|channel| table::membership(user, channel)))
}

/// The memberships of every user after one.
#[must_use]
pub fn memberships_of_users_after(last: Option<UserId>) -> RangeRequest {
    next_user(Table::Membership, last)
}

/// The large channels of a user, ascending.
#[must_use]
pub fn larges(user: UserId) -> RangeRequest {
    Key::of(Table::Large).and(user).all()
}

/// Every reaction to a message.
#[must_use]
pub fn reactions(channel: ChannelId, seq: Seq) -> RangeRequest {
    Key::of(Table::Reaction).and(channel).and(seq).all()
}

/// Every reaction to every message after a key of one; ascending by channel, seq and emoji.
#[must_use]
pub fn reactions_after(last: Option<Vec<u8>>) -> RangeRequest {
    Key::of(Table::Reaction).all_after(last)
}

/// The tallies of the messages `first..=last` of a channel.
#[must_use]
pub fn tallies_within(channel: ChannelId, first: Seq, last: Seq) -> RangeRequest {
    RangeRequest::new(table::tallies(channel, first), key_after(&table::tallies(channel, last)))
}

/// Every message's tallies after one's.
#[must_use]
pub fn tallies_after(last: Option<(ChannelId, Seq)>) -> RangeRequest {
    Key::of(Table::Tallies).all_after(last.map(|(channel, seq)| table::tallies(channel, seq)))
}

/// Where a user is named: by time, then channel and seq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MentionKey {
    /// Who is named.
    pub user: UserId,
    /// When the message was sent.
    pub sent_ms: UnixMs,
    /// Where.
    pub channel: ChannelId,
    /// In which message.
    pub seq: Seq,
}

impl MentionKey {
    /// Its key.
    #[must_use]
    pub fn to_key(self) -> Vec<u8> {
        table::mention(self.user, self.sent_ms, self.channel, self.seq)
    }

    /// The reverse of [`Self::to_key`].
    ///
    /// # Errors
    /// If it is no such key.
    pub fn of_key(key: &[u8]) -> Result<Self, RecordError> {
        table::mention_fields(key).map(|(user, sent_ms, channel, seq)| Self { user, sent_ms, channel, seq })
    }
}

/// Where a user is named, before a place; everywhere without one.
#[must_use]
pub fn mentions_before(user: UserId, before: Option<MentionKey>) -> RangeRequest {
    let of_user = Key::of(Table::Mention).and(user).0;
    let end = before.map_or_else(|| prefix_end(&of_user), MentionKey::to_key);
    RangeRequest::new(of_user, end)
}

/// Every mention of every user after one.
#[must_use]
pub fn mentions_after(last: Option<MentionKey>) -> RangeRequest {
    Key::of(Table::Mention).all_after(last.map(MentionKey::to_key))
}

/// The messages of a channel that the index of words has to read again, ascending.
#[must_use]
pub fn edits(channel: ChannelId) -> RangeRequest {
    Key::of(Table::Edited).and(channel).all()
}

/// Every row of a segment of the index, in order.
#[must_use]
pub fn postings(channel: ChannelId, segment: u32) -> RangeRequest {
    Key::of(Table::Posting).and(channel).and(segment).all()
}

/// Every row of a channel's segments and of their list, without `indexed`.
#[must_use]
pub fn index_rows(channel: ChannelId) -> [RangeRequest; 2] {
    [Table::Posting, Table::Segments].map(|table| Key::of(table).and(channel).all())
}

// First replies, by day, so that a day of them is cleared at once.

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
    /// Its key, behind a hash byte and the day that the id itself tells.
    #[must_use]
    pub fn to_key(self) -> Vec<u8> {
        let Self { channel, user, id } = self;
        table::dedup(hash_byte(channel.0), day(id.made_at()), channel, user, id)
    }

    /// The reverse of [`Self::to_key`].
    ///
    /// # Errors
    /// If it is no such key.
    pub fn of_key(key: &[u8]) -> Result<Self, RecordError> {
        let (_hash, _day, channel, user, id) = table::dedup_fields(key)?;
        Some(Self { channel, user, id }).filter(|dedup| dedup.to_key() == key).ok_or_else(|| damaged("dedup", key))
    }
}

/// The dedup rows behind one hash byte whose day is before `day`.
#[must_use]
pub fn dedups_before(hash: u8, day: u32) -> RangeRequest {
    Key::of(Table::Dedup).and(hash).all_before(day)
}

/// Every dedup row after one.
#[must_use]
pub fn dedups_after(last: Option<DedupKey>) -> RangeRequest {
    Key::of(Table::Dedup).all_after(last.map(DedupKey::to_key))
}

/// The idempotency rows of every day before one.
#[must_use]
pub fn idempotencies_before(day: u32) -> RangeRequest {
    Key::of(Table::Idempotency).all_before(day)
}

// Inboxes.

/// What precedes the stamp in the keys of a user's inbox. The ordinal, two bytes big-endian, follows the stamp.
#[must_use]
pub fn inbox_prefix(user: UserId) -> Vec<u8> {
    Key::of(Table::Inbox).and(user).0
}

/// A user's inbox after a place.
#[must_use]
pub fn inbox_after(user: UserId, after: Position) -> RangeRequest {
    Key::of(Table::Inbox).and(user).all_after(Some(table::inbox(user, after)))
}

/// A user's inbox up to a place and with it.
#[must_use]
pub fn inbox_through(user: UserId, through: Position) -> RangeRequest {
    RangeRequest::new(inbox_prefix(user), key_after(&table::inbox(user, through)))
}

/// The inboxes of every user after one.
#[must_use]
pub fn inboxes_after(last: Option<UserId>) -> RangeRequest {
    next_user(Table::Inbox, last)
}

// Friends and blocks.

/// A user's friends and requests after one, ascending by the other's id.
#[must_use]
pub fn friends_after(user: UserId, last: Option<UserId>) -> RangeRequest {
    Key::of(Table::Friend).and(user).all_after(last.map(|other| table::friend(user, other)))
}

/// Whom a user blocks after one, ascending by id.
#[must_use]
pub fn blocks_after(by: UserId, last: Option<UserId>) -> RangeRequest {
    Key::of(Table::Block).and(by).all_after(last.map(|user| table::block(by, user)))
}

// Push items: by the partition of the user and then by when they are due, so that a worker of some partitions reads what is
// due in order, and what nobody fetched goes range by range.

/// One push item.
#[must_use]
pub fn push(item: &PushItem) -> Vec<u8> {
    table::push_of(partition_of(item.user), item.due_ms, item.user, item.channel, item.seq)
}

fn partition_of(user: UserId) -> u16 {
    number(Partition::of_user(user).index())
}

/// A place in the table of partitions.
fn number(partition: usize) -> u16 {
    assert!(partition < usize::from(PARTITIONS), "partition {partition} of {PARTITIONS}");
    u16::try_from(partition).expect("below 1,024")
}

/// Every item of the users of a partition, the one that is due first at the front.
///
/// # Panics
/// If `partition` is no place in the table.
#[must_use]
pub fn pushes_of(partition: usize) -> RangeRequest {
    Key::of(Table::Push).and(number(partition)).all()
}

/// The items of the users of a partition that were due before a time.
///
/// # Panics
/// If `partition` is no place in the table.
#[must_use]
pub fn pushes_due(partition: usize, before: UnixMs) -> RangeRequest {
    Key::of(Table::Push).and(number(partition)).all_before(before)
}

/// The item of a `push` row.
///
/// # Errors
/// If the key is none of an item, or the value is damaged.
pub fn push_item(key: &[u8], value: &[u8]) -> Result<PushItem, RecordError> {
    let PushRecord { from, sent_ms } = PushRecord::decode(value)?;
    let (_partition, due_ms, user, channel, seq) = table::push_fields(key)?;
    let item = PushItem { due_ms, user, channel, seq, from, sent_ms };
    Some(item).filter(|item| push(item) == key).ok_or_else(|| damaged("push", key))
}

// Who is there and who owns what.

/// Every node's row.
#[must_use]
pub fn nodes() -> RangeRequest {
    Key::of(Table::Node).all()
}

/// Whether a node's life may append.
#[must_use]
pub fn fence(incarnation: Incarnation) -> Vec<u8> {
    table::fence_of(hash_byte(incarnation.0), incarnation)
}

/// Who owns one of the 1,024 partitions, by its place in the table.
///
/// # Panics
/// If `index` is no place in the table.
#[must_use]
pub fn partition(index: usize) -> Vec<u8> {
    table::partition_of(number(index))
}

/// Every row of the partition table, in order.
#[must_use]
pub fn partitions() -> RangeRequest {
    Key::of(Table::Partition).all()
}

/// The last batch that a shard committed, overwritten by the next.
#[must_use]
pub fn batch(owner: Owner) -> Vec<u8> {
    table::batch_of(owner.incarnation, owner.shard)
}

/// The batch rows of all shards of a node's life.
#[must_use]
pub fn batches(incarnation: Incarnation) -> RangeRequest {
    Key::of(Table::Batch).and(incarnation).all()
}

fn arrivals(epoch: Epoch, home: Owner) -> Key {
    Key::of(Table::Arrival).and(epoch).and(home.incarnation).and(home.shard)
}

/// What precedes the stamp in the keys of a home shard's arrivals.
#[must_use]
pub fn arrival_prefix(epoch: Epoch, home: Owner) -> Vec<u8> {
    arrivals(epoch, home).0
}

/// A home shard's arrivals after a transaction, under one epoch.
#[must_use]
pub fn arrivals_after(epoch: Epoch, home: Owner, after: Stamp) -> RangeRequest {
    arrivals(epoch, home).all_after(Some(arrivals(epoch, home).and(after).0))
}

/// A home shard's arrivals up to a transaction and with it.
#[must_use]
pub fn arrivals_through(epoch: Epoch, home: Owner, through: Stamp) -> RangeRequest {
    RangeRequest::new(arrival_prefix(epoch, home), key_after(&arrivals(epoch, home).and(through).0))
}

/// The arrivals of every epoch before this one.
#[must_use]
pub fn arrivals_before(epoch: Epoch) -> RangeRequest {
    Key::of(Table::Arrival).all_before(epoch)
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
    table::arrival_of(key).map(|(epoch, _incarnation, _shard, stamp)| (epoch, stamp))
}

// All tables.

/// The name of the table that a key is of. `None` if this program has no such table.
#[must_use]
pub fn table_name(key: &[u8]) -> Option<&'static str> {
    Table::of_key(key).map(Table::name)
}

/// Every row that was set aside.
#[must_use]
pub fn sets_aside() -> RangeRequest {
    Key::of(Table::SetAside).all()
}

/// What becomes in another store of the row under this key. `None` if no table of this program has it.
#[must_use]
pub fn moved(key: &[u8]) -> Option<Moved> {
    Table::of_key(key).map(Table::moved)
}

/// The next rows that go along after a key, of one table; of the first without one. `None` behind the last table.
#[must_use]
pub fn moved_after(last: Option<&[u8]>) -> Option<RangeRequest> {
    let begin = last.map(key_after).unwrap_or_default();
    let tables = Table::ALL.iter().copied().filter(|table| table.moved() != Moved::Left);
    let ranges = tables.map(|table| (Key::of(table).0, prefix_end(&[table as u8])));
    ranges.map(|(first, end)| RangeRequest::new(first.max(begin.clone()), end)).find(|range| range.begin < range.end)
}
