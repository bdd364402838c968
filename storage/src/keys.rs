//! Where everything lies: the keys of every table, by hand, fixed width, big-endian.
//!
//! Owns the layout of keys and of ranges. Values are `schema::record`. Part of the stored format: what is here changes only
//! with the format version of the data directory.
//! Keys of one table order as their fields do, in the order in which a function names them.
//!
//! ```text
//! arrival · epoch · home incarnation · home shard · stamp     batch · incarnation · shard          body · channel · seq · revision · part
//! channel · id        dedup · hash byte · day · channel · user · client_msg_id     dedup floor     direct · low user · high user
//! family · user · family     fence · hash byte · incarnation     former · channel · user           head · channel
//! idempotency · day · user · key     inbox · user · stamp · ordinal      inbox floor · user                 joined · user
//! member · channel · user    membership · user · channel         message · channel · seq            partition · number
//! read · user · channel      refresh · hash      refresh due · time · hash      user · id           username · name
//! view
//! ```

use schema::limits::PARTITIONS;
use schema::record::RecordError;
use schema::{ChannelId, ClientMsgId, Epoch, Incarnation, Owner, Position, Seq, Stamp, UnixMs, UserId};
use xxhash_rust::xxh3::xxh3_64;

use crate::transaction::{RangeRequest, key_after, prefix_end};

/// The first byte of a key. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Table {
    Arrival = 1,
    Batch = 2,
    Body = 3,
    Channel = 4,
    Dedup = 5,
    DedupFloor = 6,
    Direct = 7,
    Family = 8,
    Fence = 9,
    Former = 10,
    Head = 11,
    Idempotency = 12,
    Inbox = 13,
    InboxFloor = 14,
    Joined = 15,
    Member = 16,
    Membership = 17,
    Message = 18,
    Partition = 19,
    Read = 20,
    Refresh = 21,
    User = 22,
    Username = 23,
    View = 24,
    RefreshDue = 25,
}

/// A key in the making.
struct Key(Vec<u8>);

impl Key {
    /// Bytes that hold most keys without growing: the longest of fixed width has 42.
    const CAPACITY: usize = 48;

    fn of(table: Table) -> Self {
        let mut bytes = Vec::with_capacity(Self::CAPACITY);
        bytes.push(table as u8);
        Self(bytes)
    }

    fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn all(&self) -> RangeRequest {
        RangeRequest::prefix(&self.0)
    }

    /// What begins with this key and comes after `last` of them; all of it if there is none.
    fn all_after(&self, last: Option<Vec<u8>>) -> RangeRequest {
        match last {
            Some(last) => RangeRequest::new(key_after(&last), prefix_end(&self.0)),
            None => self.all(),
        }
    }
}

/// A key being read: fields in order, `None` once it is too short.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn of(table: Table, key: &'a [u8]) -> Option<Self> {
        let (&first, rest) = key.split_first()?;
        (first == table as u8).then_some(Self(rest))
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    /// `value` if nothing is left of the key.
    fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

fn damaged(what: &'static str, key: &[u8]) -> RecordError {
    RecordError::Damaged { what, bytes: key.len(), why: format!("the key is {key:02x?}") }
}

/// Spreads neighbours over the store's servers.
fn hash_byte(id: u64) -> u8 {
    xxh3_64(&id.to_be_bytes()).to_be_bytes()[0]
}

// Ownership

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

// Arrivals

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
    let parse = || {
        let mut fields = Fields::of(Table::Arrival, key)?;
        let (_epoch, _incarnation, _shard) = (fields.u64()?, fields.u64()?, fields.take::<2>()?);
        let stamp = Stamp::from_bytes(fields.take()?);
        fields.end(stamp)
    };
    parse().ok_or_else(|| damaged("arrival", key))
}

// Channels

/// `channel`: what a channel is.
#[must_use]
pub fn channel(channel: ChannelId) -> Vec<u8> {
    Key::of(Table::Channel).u64(channel.0).0
}

/// Every channel after one, ascending.
#[must_use]
pub fn channels_after(last: Option<ChannelId>) -> RangeRequest {
    Key::of(Table::Channel).all_after(last.map(channel))
}

/// The channel of a `channel` key.
///
/// # Errors
/// If it is no such key.
pub fn channel_id(key: &[u8]) -> Result<ChannelId, RecordError> {
    let parse = || {
        let mut fields = Fields::of(Table::Channel, key)?;
        let channel = ChannelId(fields.u64()?);
        fields.end(channel)
    };
    parse().ok_or_else(|| damaged("channel", key))
}

/// `head`: a channel's newest seq.
#[must_use]
pub fn head(channel: ChannelId) -> Vec<u8> {
    Key::of(Table::Head).u64(channel.0).0
}

/// `direct`: the channel of two users, in either order.
#[must_use]
pub fn direct(one: UserId, other: UserId) -> Vec<u8> {
    Key::of(Table::Direct).u64(one.0.min(other.0)).u64(one.0.max(other.0)).0
}

/// `message`: one message.
#[must_use]
pub fn message(channel: ChannelId, seq: Seq) -> Vec<u8> {
    Key::of(Table::Message).u64(channel.0).u64(seq.0).0
}

/// The messages `first..=last` of a channel.
#[must_use]
pub fn messages(channel: ChannelId, first: Seq, last: Seq) -> RangeRequest {
    RangeRequest::new(message(channel, first), key_after(&message(channel, last)))
}

/// Every message of every channel after one, ascending by channel and seq.
#[must_use]
pub fn messages_after(last: Option<(ChannelId, Seq)>) -> RangeRequest {
    Key::of(Table::Message).all_after(last.map(|(channel, seq)| message(channel, seq)))
}

/// The channel and seq of a `message` key.
///
/// # Errors
/// If it is no such key.
pub fn message_place(key: &[u8]) -> Result<(ChannelId, Seq), RecordError> {
    let parse = || {
        let mut fields = Fields::of(Table::Message, key)?;
        let place = (ChannelId(fields.u64()?), Seq(fields.u64()?));
        fields.end(place)
    };
    parse().ok_or_else(|| damaged("message", key))
}

/// `body`: one part of a long body.
#[must_use]
pub fn body_part(channel: ChannelId, seq: Seq, revision: u32, part: u32) -> Vec<u8> {
    Key::of(Table::Body).u64(channel.0).u64(seq.0).u32(revision).u32(part).0
}

/// The parts of one revision of a body, in order.
#[must_use]
pub fn body_parts(channel: ChannelId, seq: Seq, revision: u32) -> RangeRequest {
    Key::of(Table::Body).u64(channel.0).u64(seq.0).u32(revision).all()
}

// Members

/// `member`: a user who is a member now.
#[must_use]
pub fn member(channel: ChannelId, user: UserId) -> Vec<u8> {
    Key::of(Table::Member).u64(channel.0).u64(user.0).0
}

/// A channel's members after one, ascending by id.
#[must_use]
pub fn members_after(channel: ChannelId, last: Option<UserId>) -> RangeRequest {
    Key::of(Table::Member).u64(channel.0).all_after(last.map(|user| member(channel, user)))
}

/// The channel and user of a `member` key.
///
/// # Errors
/// If it is no such key.
pub fn member_of(key: &[u8]) -> Result<(ChannelId, UserId), RecordError> {
    let parse = || {
        let mut fields = Fields::of(Table::Member, key)?;
        let member = (ChannelId(fields.u64()?), UserId(fields.u64()?));
        fields.end(member)
    };
    parse().ok_or_else(|| damaged("member", key))
}

/// `former`: what is kept of a user who was a member: the ranges that it may still read.
///
/// Apart from `member`, so that a list of members is as long as there are members, however many have left.
#[must_use]
pub fn former(channel: ChannelId, user: UserId) -> Vec<u8> {
    Key::of(Table::Former).u64(channel.0).u64(user.0).0
}

/// `membership`: the same record as `member`, by user.
#[must_use]
pub fn membership(user: UserId, channel: ChannelId) -> Vec<u8> {
    Key::of(Table::Membership).u64(user.0).u64(channel.0).0
}

/// A user's memberships after one, ascending by channel.
#[must_use]
pub fn memberships_after(user: UserId, last: Option<ChannelId>) -> RangeRequest {
    Key::of(Table::Membership).u64(user.0).all_after(last.map(|channel| membership(user, channel)))
}

/// The memberships of every user after one.
#[must_use]
pub fn memberships_of_users_after(last: Option<UserId>) -> RangeRequest {
    next_user(Table::Membership, last)
}

/// The user and channel of a `membership` key.
///
/// # Errors
/// If it is no such key.
pub fn membership_of(key: &[u8]) -> Result<(UserId, ChannelId), RecordError> {
    let parse = || {
        let mut fields = Fields::of(Table::Membership, key)?;
        let membership = (UserId(fields.u64()?), ChannelId(fields.u64()?));
        fields.end(membership)
    };
    parse().ok_or_else(|| damaged("membership", key))
}

/// `joined`: how many channels a user is a member of, as a little-endian number.
#[must_use]
pub fn joined(user: UserId) -> Vec<u8> {
    Key::of(Table::Joined).u64(user.0).0
}

/// `read`: a user's mark in a channel, as a little-endian number.
#[must_use]
pub fn read(user: UserId, channel: ChannelId) -> Vec<u8> {
    Key::of(Table::Read).u64(user.0).u64(channel.0).0
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

// Dedup

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

// Inboxes

/// What precedes the stamp in the keys of a user's inbox. The ordinal, two bytes big-endian, follows the stamp.
#[must_use]
pub fn inbox_prefix(user: UserId) -> Vec<u8> {
    Key::of(Table::Inbox).u64(user.0).0
}

/// `inbox`: one event of a user's inbox.
#[must_use]
pub fn inbox(user: UserId, position: Position) -> Vec<u8> {
    Key::of(Table::Inbox).u64(user.0).bytes(&position.to_bytes()).0
}

/// A user's inbox after a place.
#[must_use]
pub fn inbox_after(user: UserId, after: Position) -> RangeRequest {
    Key::of(Table::Inbox).u64(user.0).all_after(Some(inbox(user, after)))
}

/// A user's inbox up to a place and with it.
#[must_use]
pub fn inbox_through(user: UserId, through: Position) -> RangeRequest {
    RangeRequest::new(inbox_prefix(user), key_after(&inbox(user, through)))
}

/// The inboxes of every user after one.
#[must_use]
pub fn inboxes_after(last: Option<UserId>) -> RangeRequest {
    next_user(Table::Inbox, last)
}

/// The user and place of an `inbox` key.
///
/// # Errors
/// If it is no such key.
pub fn inbox_place(key: &[u8]) -> Result<(UserId, Position), RecordError> {
    let parse = || {
        let mut fields = Fields::of(Table::Inbox, key)?;
        let place = (UserId(fields.u64()?), Position::from_bytes(fields.take()?));
        fields.end(place)
    };
    parse().ok_or_else(|| damaged("inbox", key))
}

/// `inbox floor`: the last place that was trimmed from a user's inbox.
#[must_use]
pub fn inbox_floor(user: UserId) -> Vec<u8> {
    Key::of(Table::InboxFloor).u64(user.0).0
}

fn next_user(table: Table, last: Option<UserId>) -> RangeRequest {
    let table = Key::of(table);
    match last {
        Some(UserId(last)) => {
            let end = prefix_end(&table.0);
            RangeRequest::new(prefix_end(&table.u64(last).0), end)
        }
        None => table.all(),
    }
}

// Accounts

/// `user`: an account.
#[must_use]
pub fn user(user: UserId) -> Vec<u8> {
    Key::of(Table::User).u64(user.0).0
}

/// `username`: whose it is. `name` is in lower case.
#[must_use]
pub fn username(name: &str) -> Vec<u8> {
    Key::of(Table::Username).bytes(name.as_bytes()).0
}

/// `refresh`: a refresh token, by its hash.
#[must_use]
pub fn refresh(hash: &[u8; 32]) -> Vec<u8> {
    Key::of(Table::Refresh).bytes(hash).0
}

/// `refresh due`: the same token, by the time at which it expires.
#[must_use]
pub fn refresh_due(expires: UnixMs, hash: &[u8; 32]) -> Vec<u8> {
    Key::of(Table::RefreshDue).u64(expires.0).bytes(hash).0
}

/// The refresh tokens that expired before a time, the oldest first.
#[must_use]
pub fn refreshes_due(before: UnixMs) -> RangeRequest {
    RangeRequest::new(Key::of(Table::RefreshDue).0, Key::of(Table::RefreshDue).u64(before.0).0)
}

/// The hash of a `refresh due` key.
///
/// # Errors
/// If it is no such key.
pub fn refresh_hash(key: &[u8]) -> Result<[u8; 32], RecordError> {
    let parse = || {
        let mut fields = Fields::of(Table::RefreshDue, key)?;
        let (_expires, hash) = (fields.u64()?, fields.take()?);
        fields.end(hash)
    };
    parse().ok_or_else(|| damaged("refresh due", key))
}

/// `family`: a token family of a user while it lives.
#[must_use]
pub fn family(user: UserId, family: u64) -> Vec<u8> {
    Key::of(Table::Family).u64(user.0).u64(family).0
}

/// Every token family of a user.
#[must_use]
pub fn families(user: UserId) -> RangeRequest {
    Key::of(Table::Family).u64(user.0).all()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pairs of keys compare as the fields that they were made of.
    fn check<F: Ord + std::fmt::Debug>(make: impl Fn(&F) -> Vec<u8>, one: &F, other: &F) {
        assert_eq!(make(one).cmp(&make(other)), one.cmp(other), "{one:?} {other:?}");
    }

    fn contains(range: &RangeRequest, key: &[u8]) -> bool {
        range.begin.as_slice() <= key && key < range.end.as_slice()
    }

    fn sorted((one, other): (u64, u64)) -> (u64, u64) {
        (one.min(other), one.max(other))
    }

    fn stamps() -> impl Strategy<Value = Stamp> {
        (any::<u64>(), any::<u16>()).prop_map(|(version, batch)| Stamp { version, batch })
    }

    fn positions() -> impl Strategy<Value = Position> {
        (stamps(), any::<u16>()).prop_map(|(stamp, ordinal)| stamp.at(ordinal))
    }

    /// Few numbers, and those at the borders of bytes: so that equal fields and carries are met.
    fn numbers() -> impl Strategy<Value = u64> {
        prop_oneof![0..4_u64, 254..258_u64, Just(u64::MAX), Just(u64::MAX - 1), any::<u64>()]
    }

    proptest! {
        #[test]
        fn keys_order_as_their_fields(
            a in (numbers(), numbers()),
            b in (numbers(), numbers()),
            p in positions(),
            q in positions(),
        ) {
            check(|k| message(ChannelId(k.0), Seq(k.1)), &a, &b);
            check(|k| member(ChannelId(k.0), UserId(k.1)), &a, &b);
            check(|k| former(ChannelId(k.0), UserId(k.1)), &a, &b);
            check(|k| membership(UserId(k.0), ChannelId(k.1)), &a, &b);
            check(|k| read(UserId(k.0), ChannelId(k.1)), &a, &b);
            check(|k| direct(UserId(k.0.min(k.1)), UserId(k.0.max(k.1))), &sorted(a), &sorted(b));
            check(|k| channel(ChannelId(*k)), &a.0, &b.0);
            check(|k| inbox(UserId(k.0), k.1), &(a.0, p), &(b.0, q));
        }

        #[test]
        fn keys_are_read_back(user in numbers(), channel in numbers(), seq in numbers(), place in positions(), id in any::<[u8; 16]>()) {
            let (user, channel, seq) = (UserId(user), ChannelId(channel), Seq(seq));
            prop_assert_eq!(message_place(&message(channel, seq)), Ok((channel, seq)));
            prop_assert_eq!(member_of(&member(channel, user)), Ok((channel, user)));
            prop_assert_eq!(membership_of(&membership(user, channel)), Ok((user, channel)));
            prop_assert_eq!(inbox_place(&inbox(user, place)), Ok((user, place)));
            prop_assert_eq!(channel_id(&super::channel(channel)), Ok(channel));
            let dedup = DedupKey { channel, user, id: ClientMsgId(id) };
            prop_assert_eq!(DedupKey::of_key(&dedup.to_key()), Ok(dedup));
            let home = Owner { incarnation: Incarnation(user.0), shard: schema::ShardIndex(7) };
            let mut arrival = arrival_prefix(Epoch(seq.0), home);
            arrival.extend_from_slice(&place.stamp.to_bytes());
            prop_assert_eq!(arrival_stamp(&arrival), Ok(place.stamp));
        }

        #[test]
        fn ranges_hold_what_they_name(user in numbers(), channel in numbers(), a in numbers(), b in numbers(), p in positions(), q in positions()) {
            let (user, channel) = (UserId(user), ChannelId(channel));
            prop_assert_eq!(contains(&inbox_after(user, p), &inbox(user, q)), q > p);
            prop_assert_eq!(contains(&inbox_through(user, p), &inbox(user, q)), q <= p);
            prop_assert_eq!(contains(&messages(channel, Seq(a.min(b)), Seq(b)), &message(channel, Seq(a))), a <= b);
            prop_assert_eq!(contains(&members_after(channel, Some(UserId(a))), &member(channel, UserId(b))), b > a);
            prop_assert_eq!(contains(&inboxes_after(Some(UserId(a))), &inbox(UserId(b), p)), b > a);
            prop_assert_eq!(contains(&channels_after(Some(ChannelId(a))), &super::channel(ChannelId(b))), b > a);
            let home = |epoch| arrival_prefix(Epoch(epoch), Owner::default());
            prop_assert_eq!(contains(&arrivals_before(Epoch(a)), &home(b)), b < a);
            prop_assert!(!contains(&inbox_after(user, p), &inbox_floor(user)));
            prop_assert!(!contains(&inboxes_after(None), &inbox_floor(user)));
        }
    }

    #[test]
    fn refresh_tokens_are_due_by_their_time() {
        let check = |expires, before, due| {
            let key = refresh_due(UnixMs(expires), &[0xFF; 32]);
            assert_eq!(contains(&refreshes_due(UnixMs(before)), &key), due, "{expires} {before}");
            assert_eq!(refresh_hash(&key), Ok([0xFF; 32]));
        };
        check(255, 256, true);
        check(256, 256, false);
        check(257, 256, false);
    }

    #[test]
    fn a_direct_channel_has_one_key_for_both_orders() {
        assert_eq!(direct(UserId(1), UserId(2)), direct(UserId(2), UserId(1)));
        assert_ne!(direct(UserId(1), UserId(2)), direct(UserId(1), UserId(3)));
    }

    #[test]
    fn dedup_rows_clear_by_the_day_of_their_id() {
        let made = UnixMs(1_800_000_000_000);
        let dedup = DedupKey { channel: ChannelId(1), user: UserId(2), id: ClientMsgId::new(made, 3) };
        let hash = hash_byte(1);
        let check = |hash, day, cleared| assert_eq!(contains(&dedups_before(hash, day), &dedup.to_key()), cleared);
        check(hash, day(made), false);
        check(hash, day(made) + 1, true);
        check(hash.wrapping_add(1), day(made) + 1, false);
    }

    #[test]
    fn a_key_of_another_table_or_length_is_damage() {
        let key = message(ChannelId(1), Seq(2));
        for bad in [&key[..key.len() - 1], &[], &[key.as_slice(), &[0]].concat(), &member(ChannelId(1), UserId(2))] {
            assert!(message_place(bad).is_err(), "{bad:?}");
        }
    }
}
