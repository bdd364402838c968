//! Ranges of keys, and keys whose fields follow from others.

use std::cmp::Reverse;

use schema::limits::PARTITIONS;
use schema::record::{PushItem, PushRecord, RecordError};
use schema::{
    ChannelId, ClientMsgId, Emoji, Incarnation, MediaId, Medium, NoticeId, Owner, Partition, Position, Seq, Stamp,
    UnixMs, UserId,
};
use xxhash_rust::xxh3::xxh3_64;

use super::table::{self, Table, Transfer};
use crate::fields::{Field, Writer};
use kv::transaction::{RangeRequest, key_after, prefix_end};

/// Milliseconds of the days by which dedup rows are cleared.
pub const DAY_MS: u64 = 24 * 3600 * 1000;

/// The day of a wall time, from 1970-01-01 UTC.
#[must_use]
pub fn day(wall: UnixMs) -> u32 {
    u32::try_from(wall.0 / DAY_MS).unwrap_or(u32::MAX)
}

/// Spreads neighbours over the store's servers.
pub(super) fn hash_byte(id: u64) -> u8 {
    xxh3_64(&id.to_be_bytes()).to_be_bytes()[0]
}

/// The hash byte of a node's life.
pub(crate) fn hash_of_life(incarnation: Incarnation) -> u8 {
    hash_byte(incarnation.0)
}

/// The first fields of keys of a table.
fn key(table: Table, fields: impl Field) -> Vec<u8> {
    Writer::behind(table as u8).and(fields).0
}

/// Every row of a table whose key begins with these fields.
pub(crate) fn all(table: Table, fields: impl Field) -> RangeRequest {
    RangeRequest::prefix(&key(table, fields))
}

/// Those behind the row that has `last` for its next field; all of them without one.
fn after(table: Table, fields: impl Field, last: Option<impl Field>) -> RangeRequest {
    let begin = Writer::behind(table as u8).and(fields);
    let end = prefix_end(&begin.0);
    match last {
        Some(last) => RangeRequest::new(key_after(&begin.and(last).0), end),
        None => RangeRequest::new(begin.0, end),
    }
}

/// Those whose next field is less than `end`.
fn before(table: Table, fields: impl Field, end: impl Field) -> RangeRequest {
    let begin = Writer::behind(table as u8).and(fields);
    RangeRequest::new(begin.0.clone(), begin.and(end).0)
}

/// From the first row that begins with these fields up to the row `last` and with it.
fn through(table: Table, first: impl Field, last: impl Field) -> RangeRequest {
    RangeRequest::new(key(table, first), key_after(&key(table, last)))
}

/// What comes after all rows of a user in a table that is by user.
fn next_user(table: Table, last: Option<UserId>) -> RangeRequest {
    match last {
        Some(last) => RangeRequest::new(prefix_end(&key(table, last)), prefix_end(&[table as u8])),
        None => all(table, ()),
    }
}

/// Declares ranges: `name(what it is of) = the range`.
macro_rules! ranges {
    ($($(#[doc = $doc:literal])+ $name:ident($($field:ident: $type:ty),*) = $range:expr;)*) => {$(
        $(#[doc = $doc])+
        #[must_use]
        pub fn $name($($field: $type),*) -> RangeRequest {
            $range
        }
    )*};
}

ranges! {
    /// The refresh tokens that expired before a time, the oldest first.
    refreshes_due(time: UnixMs) = before(Table::RefreshDue, (), time);
    /// Every device of an account, by name.
    devices(user: UserId) = all(Table::Device, user);
    /// Every contact of a user, by medium and device.
    contacts(user: UserId) = all(Table::Contact, user);
    /// The codes by which a user proves addresses.
    codes(user: UserId) = all(Table::Code, user);
    /// The logins of a user that live.
    families(user: UserId) = all(Table::Family, user);
    /// What became of jobs of notices of every day before one.
    deliveries_before(day: u32) = before(Table::Delivery, (), day);
    /// What became of a notice, for every target.
    deliveries_of(notice: NoticeId) = all(Table::Delivery, (day(notice.made_at()), notice));
    /// What became of a notice for one user, for every target.
    deliveries_to(notice: NoticeId, user: UserId) = all(Table::Delivery, (day(notice.made_at()), notice, user));
    /// The events of an application after a place.
    notice_events_after(app: u64, last: Position) = after(Table::NoticeEvent, app, Some(last));
    /// The events of an application, the newest first.
    notice_events_newest(app: u64) = all(Table::NoticeEvent, app).reversed();
    /// The media of which it is to be looked at by a time whether they are still held, the earliest first.
    media_due_before(time: UnixMs) = before(Table::MediaDue, (), time);
    /// The messages that hold a media, and the media whose poster it is.
    media_uses(media: MediaId) = all(Table::MediaUse, media);
    /// The media and uploads of a user.
    media_of_users(user: UserId) = all(Table::MediaOf, user);
    /// Every hook.
    hooks() = all(Table::Hook, ());
    /// What a hook is to be told, or was, of a partition, after a place.
    hooked_after(hook: u64, partition: u16, last: Position) = after(Table::Hooked, (hook, partition), Some(last));
    /// The same of every partition.
    hooked_of_hook(hook: u64) = all(Table::Hooked, hook);
    /// The same of a partition and those behind it.
    hooked_from(hook: u64, partition: u16) =
        RangeRequest::new(key(Table::Hooked, (hook, partition)), prefix_end(&key(Table::Hooked, hook)));
    /// The partitions behind one of which a hook may have something to be told; all of them without one.
    hooks_due_after(hook: u64, last: Option<u16>) = after(Table::HookDue, hook, last);
    /// The same up to one, and with it.
    hooks_due_through(hook: u64, last: u16) = through(Table::HookDue, hook, (hook, last));
    /// The log of a hook's calls.
    hook_calls(hook: u64) = all(Table::HookCall, hook);
    /// Every application.
    apps() = all(Table::App, ());
    /// An application's templates after one, by name.
    templates_after(app: u64, last: Option<&str>) = after(Table::Template, app, last);
    /// The notices that were made before a time.
    notices_before(time: UnixMs) = before(Table::Notice, (), NoticeId::new(time, 0));
    /// What applications have spent on days before one.
    spent_before(day: u32) = before(Table::AppSpent, (), day);
    /// The jobs of a medium that were given up, the earliest first.
    given_up(medium: Medium) = all(Table::Dead, medium);
    /// The jobs of a medium that were given up before a time.
    given_up_before(medium: Medium, time: UnixMs) = before(Table::Dead, medium, time);
    /// A user's friends and requests after one, ascending by the other's id.
    friends_after(user: UserId, last: Option<UserId>) = after(Table::Friend, user, last);
    /// Whom a user blocks after one, ascending by id.
    blocks_after(by: UserId, last: Option<UserId>) = after(Table::Block, by, last);

    /// A channel's members after one, ascending by id.
    members_after(channel: ChannelId, last: Option<UserId>) = after(Table::Member, channel, last);
    /// Those who have a role in a large channel, ascending by id.
    officers(channel: ChannelId) = all(Table::Officer, channel);
    /// A user's memberships after one, ascending by channel.
    memberships_after(user: UserId, last: Option<ChannelId>) = after(Table::Membership, user, last);
    /// The memberships of every user after one.
    memberships_of_users_after(last: Option<UserId>) = next_user(Table::Membership, last);
    /// The large channels of a user, ascending.
    larges(user: UserId) = all(Table::Large, user);
    /// The channels that a user has left, those made last first.
    left_newest(user: UserId) = all(Table::Left, user).reversed();

    /// The messages `first..=last` of a channel.
    messages(channel: ChannelId, first: Seq, last: Seq) = through(Table::Message, (channel, first), (channel, last));
    /// The parts of one revision of a body, in order.
    body_parts(channel: ChannelId, seq: Seq, revision: u32) = all(Table::Body, (channel, seq, revision));
    /// Every reaction to a message.
    reactions(channel: ChannelId, seq: Seq) = all(Table::Reaction, (channel, seq));
    /// Every reaction to every message; ascending by channel, seq and emoji.
    reactions_to_all() = all(Table::Reaction, ());
    /// The tallies of the messages `first..=last` of a channel.
    tallies_within(channel: ChannelId, first: Seq, last: Seq) =
        through(Table::Tallies, (channel, first), (channel, last));
    /// The dedup rows behind one hash byte whose day is before `day`.
    dedups_before(hash: u8, day: u32) = before(Table::Dedup, hash, day);
    /// The idempotency rows of every day before one.
    idempotencies_before(day: u32) = before(Table::Idempotency, (), day);

    /// The messages of a channel that the index of words has to read again, ascending.
    edits(channel: ChannelId) = all(Table::Edited, channel);
    /// Every row of a segment of the index, in order.
    postings(channel: ChannelId, segment: u32) = all(Table::Posting, (channel, segment));

    /// A user's inbox after a place.
    inbox_after(user: UserId, last: Position) = after(Table::Inbox, user, Some(last));
    /// A user's inbox up to a place and with it.
    inbox_through(user: UserId, last: Position) = through(Table::Inbox, user, (user, last));
    /// The inboxes of every user after one.
    inboxes_after(last: Option<UserId>) = next_user(Table::Inbox, last);
    /// A home shard's arrivals after a transaction.
    arrivals_after(home: Owner, last: Stamp) = after(Table::Arrival, hashed(home), Some(last));
    /// A home shard's arrivals up to a transaction and with it.
    arrivals_through(home: Owner, last: Stamp) =
        through(Table::Arrival, hashed(home), (hashed(home), last));
    /// The arrivals of all shards of a node's life.
    arrivals_of(incarnation: Incarnation) = all(Table::Arrival, (hash_of_life(incarnation), incarnation));
    /// The arrivals of every life of every node.
    arrivals() = all(Table::Arrival, ());
    /// The lives that are over and have left arrivals.
    ended_lives() = all(Table::Ended, ());

    /// Whom a user follows after one, ascending by id.
    follows_after(user: UserId, last: Option<UserId>) = after(Table::Follow, user, last);
    /// Who follows an author after one, ascending by id.
    followers_after(author: UserId, last: Option<UserId>) = after(Table::Follower, author, last);
    /// The posts of a feed, the newest first.
    posts(channel: ChannelId) = all(Table::Post, channel);
    /// The replies to a post after one, the oldest first.
    replies_after(channel: ChannelId, post: Seq, last: Option<Seq>) = after(Table::Reply, (channel, post), last);
    /// Who put an emoji to a message after one, ascending by id.
    reactors_after(channel: ChannelId, seq: Seq, emoji: &Emoji, last: Option<UserId>) =
        after(Table::Reaction, (channel, seq, emoji), last);
    /// The slots of a counter.
    slots(kind: u8, of: u64) = all(Table::Counter, (kind, of));
    /// The feeds behind one that may have posts which are in no timeline yet, by partition.
    fans_due_after(last: Option<(u16, ChannelId)>) = after(Table::FanDue, (), last);
    /// A user's timeline, the newest first.
    timeline_of(user: UserId) = all(Table::Timeline, user);
    /// The state of every user's timeline behind one.
    timeline_states_after(last: Option<UserId>) = after(Table::TimelineState, (), last);
    /// The authors of whom posts are missing in a user's timeline.
    owed_to(user: UserId) = all(Table::TimelineOwed, user);
    /// The authors into whose posts a reader's pages look.
    heavies_of(reader: UserId) = all(Table::Heavy, reader);
    /// The readers of such an author behind one whose pages look into enough others.
    heavy_rest_after(author: UserId, last: Option<UserId>) = after(Table::HeavyRest, author, last);

    /// Every node's row.
    nodes() = all(Table::Node, ());
    /// The batch rows of all shards of a node's life.
    batches(incarnation: Incarnation) = all(Table::Batch, incarnation);
    /// Every row that was set aside.
    sets_aside() = all(Table::SetAside, ());
}

/// Every row of a channel's segments and of their list, without `indexed`.
#[must_use]
pub fn index_rows(channel: ChannelId) -> [RangeRequest; 2] {
    [Table::Posting, Table::Segments].map(|table| all(table, channel))
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
    let of_user = key(Table::Mention, user);
    let end = before.map_or_else(|| prefix_end(&of_user), MentionKey::to_key);
    RangeRequest::new(of_user, end)
}

/// What a dedup row is about: whose id, in which channel. Rows lie by day, so that a day of them is cleared at once.
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
        as_made(Self { channel, user, id }, |dedup| dedup.to_key(), "dedup", key)
    }
}

/// What was read of a key, if the whole key follows from it.
fn as_made<T>(read: T, make: impl FnOnce(&T) -> Vec<u8>, what: &'static str, key: &[u8]) -> Result<T, RecordError> {
    let why = "it is not where its fields belong";
    if make(&read) == key { Ok(read) } else { Err(RecordError::Damaged { what, bytes: key.len(), why: why.into() }) }
}

/// The channel of two users, in either order.
#[must_use]
pub fn direct(one: UserId, other: UserId) -> Vec<u8> {
    table::direct_of(one.min(other), one.max(other))
}

/// What precedes the stamp in the keys of a user's inbox. The ordinal, two bytes big-endian, follows the stamp.
#[must_use]
pub fn inbox_prefix(user: UserId) -> Vec<u8> {
    key(Table::Inbox, user)
}

/// What precedes the stamp in the keys of an application's events. The ordinal follows it, as in an inbox.
#[must_use]
pub fn notice_events_prefix(app: u64) -> Vec<u8> {
    key(Table::NoticeEvent, app)
}

/// What precedes the stamp in the keys of what a hook is told of a partition. The ordinal follows it, as in an inbox.
#[must_use]
pub fn hooked_prefix(hook: u64, partition: u16) -> Vec<u8> {
    key(Table::Hooked, (hook, partition))
}

/// The tables whose keys begin with a hook, without its own.
const OF_HOOKS: [Table; 4] = [Table::Hooked, Table::HookDue, Table::HookCursor, Table::HookCall];

/// All that lies under a hook, beside its own row.
#[must_use]
pub fn hook_rows(hook: u64) -> [RangeRequest; 4] {
    OF_HOOKS.map(|table| all(table, hook))
}

/// The same of every hook, table by table.
#[must_use]
pub fn tables_of_hooks() -> [RangeRequest; 4] {
    OF_HOOKS.map(|table| all(table, ()))
}

/// The hook of a key of one of these tables.
///
/// # Errors
/// If it is too short for one.
pub fn hook_of_row(key: &[u8]) -> Result<u64, RecordError> {
    let hook = key.get(1..9).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    let short = || RecordError::Damaged { what: "hook", bytes: key.len(), why: "the key names no hook".into() };
    hook.ok_or_else(short)
}

/// What precedes the stamp in the keys of a home shard's arrivals. No epoch: what a home is told under one view and the
/// next is one stream, which it reads on across the change.
#[must_use]
pub fn arrival_prefix(home: Owner) -> Vec<u8> {
    key(Table::Arrival, hashed(home))
}

fn hashed(home: Owner) -> (u8, Owner) {
    (hash_of_life(home.incarnation), home)
}

/// At which home a transaction arrived, and the transaction.
///
/// # Errors
/// If it is no key of an arrival.
pub fn arrival_place(key: &[u8]) -> Result<(Owner, Stamp), RecordError> {
    table::arrival_of(key).map(|(_hash, incarnation, shard, stamp)| (Owner { incarnation, shard }, stamp))
}

// Push items: by the partition of the user and then by when they are due, so that a worker of some partitions reads
// what is due in order, and what nobody fetched goes range by range.

/// One push item.
#[must_use]
pub fn push(item: &PushItem) -> Vec<u8> {
    let partition = number(Partition::of_user(item.user).index());
    table::push_of(partition, item.due_ms, item.user, item.channel, item.seq)
}

/// A place in the table of partitions.
fn number(partition: usize) -> u16 {
    assert!(partition < usize::from(PARTITIONS), "partition {partition} of {PARTITIONS}");
    u16::try_from(partition).expect("below 4,096")
}

/// Every item of the users of a partition, the one that is due first at the front.
///
/// # Panics
/// If `partition` is no place in the table.
#[must_use]
pub fn pushes_of(partition: usize) -> RangeRequest {
    all(Table::Push, number(partition))
}

/// The items of the users of a partition that were due before a time.
///
/// # Panics
/// If `partition` is no place in the table.
#[must_use]
pub fn pushes_due(partition: usize, time: UnixMs) -> RangeRequest {
    before(Table::Push, number(partition), time)
}

/// The item of a `push` row.
///
/// # Errors
/// If the key is none of an item, or the value is damaged.
pub fn push_item(key: &[u8], value: &[u8]) -> Result<PushItem, RecordError> {
    let PushRecord { from, sent_ms } = PushRecord::decode(value)?;
    let (_partition, due_ms, user, channel, seq) = table::push_fields(key)?;
    as_made(PushItem { due_ms, user, channel, seq, from, sent_ms }, push, "push", key)
}

/// Rows that are taken when they are due, by partition and then by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Push items.
    Pushes,
    /// Users who are to be told notices.
    Notices,
    /// Jobs of one medium.
    Jobs(Medium),
}

impl Queue {
    /// Where a partition's rows begin; of 4,096, where the queue ends.
    ///
    /// # Panics
    /// If it is beyond.
    #[must_use]
    pub fn key(self, partition: usize) -> Vec<u8> {
        let (table, medium) = match self {
            Self::Pushes => (Table::Push, None),
            Self::Notices => (Table::NoticeDue, None),
            Self::Jobs(medium) => (Table::Job, Some(medium)),
        };
        let begin = medium.map_or_else(|| key(table, ()), |medium| key(table, medium));
        if partition == usize::from(PARTITIONS) {
            return prefix_end(&begin);
        }
        [begin, number(partition).to_be_bytes().to_vec()].concat()
    }

    /// The partition of a row, and when it is due. `None` if it is no row of this queue.
    #[must_use]
    pub fn place(self, key: &[u8]) -> Option<(usize, UnixMs)> {
        let (partition, due) = match self {
            Self::Pushes => table::push_fields(key).map(|(partition, due, ..)| (partition, due)),
            Self::Notices => table::notice_due_fields(key).map(|(partition, due, ..)| (partition, due)),
            Self::Jobs(_) => table::job_fields(key).map(|(_, partition, due, ..)| (partition, due)),
        }
        .ok()?;
        Some((usize::from(partition), due))
    }
}

/// One job.
#[must_use]
pub fn job(medium: Medium, due: UnixMs, notice: NoticeId, user: UserId, device: &str) -> Vec<u8> {
    table::job_of(medium, number(Partition::of_user(user).index()), due, notice, user, device)
}

/// That a user is to be told a notice.
#[must_use]
pub fn notice_due(due: UnixMs, user: UserId, notice: NoticeId) -> Vec<u8> {
    table::notice_due_of(number(Partition::of_user(user).index()), due, user, notice)
}

/// What became of a job.
#[must_use]
pub fn delivery(notice: NoticeId, user: UserId, medium: Medium, device: &str) -> Vec<u8> {
    table::delivery_of(day(notice.made_at()), notice, user, medium, device)
}

/// That a feed may have posts that are in no timeline yet.
#[must_use]
pub fn fan_due(channel: ChannelId) -> Vec<u8> {
    table::fan_due_of(number(Partition::of_channel(channel).index()), channel)
}

/// The feeds of a partition and those behind it that may have posts which are in no timeline yet.
#[must_use]
pub fn fans_due_from(partition: u16) -> RangeRequest {
    RangeRequest::new(key(Table::FanDue, partition), prefix_end(&[Table::FanDue as u8]))
}

/// The posts of a feed from a time on, with those of that very time, the newest first.
#[must_use]
pub fn posts_through(channel: ChannelId, time: UnixMs) -> RangeRequest {
    RangeRequest::new(key(Table::Post, (channel, Reverse(time))), prefix_end(&key(Table::Post, channel)))
}

/// The posts of a feed from before a time, the newest first.
#[must_use]
pub fn posts_before(channel: ChannelId, time: UnixMs) -> RangeRequest {
    RangeRequest::new(prefix_end(&key(Table::Post, (channel, Reverse(time)))), prefix_end(&key(Table::Post, channel)))
}

/// Whether a node's life may append.
#[must_use]
pub fn fence(incarnation: Incarnation) -> Vec<u8> {
    table::fence_of(hash_of_life(incarnation), incarnation)
}

/// The last batch that a shard committed of those that have this lane, overwritten by the next.
#[must_use]
pub fn batch(owner: Owner, lane: u8) -> Vec<u8> {
    table::batch_of(owner.incarnation, owner.shard, lane)
}

/// The name of the table that a key is of. `None` if this program has no such table.
#[must_use]
pub fn table_name(key: &[u8]) -> Option<&'static str> {
    Table::of_key(key).map(Table::name)
}

/// What becomes in another store of the row under this key. `None` if no table of this program has it.
#[must_use]
pub fn transfer(key: &[u8]) -> Option<Transfer> {
    Table::of_key(key).map(Table::transfer)
}

/// The next rows that go along to another store after a key, of one table; of the first without one. `None` behind the
/// last table.
#[must_use]
pub fn transferred_after(last: Option<&[u8]>) -> Option<RangeRequest> {
    let begin = last.map(key_after).unwrap_or_default();
    let tables = Table::ALL.iter().copied().filter(|table| table.transfer() != Transfer::Left);
    let ranges = tables.map(|table| (key(table, ()), prefix_end(&[table as u8])));
    ranges.map(|(first, end)| RangeRequest::new(first.max(begin.clone()), end)).find(|range| range.begin < range.end)
}
