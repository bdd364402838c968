//! Keys of channels, their messages, and who is in them.

use schema::record::RecordError;
use schema::{ChannelId, Seq, UserId};

use super::{Fields, Key, Table, damaged, next_user};
use kv::transaction::{RangeRequest, key_after};

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

/// `officer`: the same record as `member`, of who has a role in a large channel, so that they are found among any number.
#[must_use]
pub fn officer(channel: ChannelId, user: UserId) -> Vec<u8> {
    Key::of(Table::Officer).u64(channel.0).u64(user.0).0
}

/// Those who have a role in a large channel, ascending by id.
#[must_use]
pub fn officers(channel: ChannelId) -> RangeRequest {
    Key::of(Table::Officer).u64(channel.0).all()
}

/// The channel and user of an `officer` key.
///
/// # Errors
/// If it is no such key.
pub fn officer_of(key: &[u8]) -> Result<(ChannelId, UserId), RecordError> {
    let parse = || {
        let mut fields = Fields::of(Table::Officer, key)?;
        let officer = (ChannelId(fields.u64()?), UserId(fields.u64()?));
        fields.end(officer)
    };
    parse().ok_or_else(|| damaged("officer", key))
}

/// `former`: what is kept of a user who was a member: the ranges that it may still read.
///
/// Apart from `member`, so that a list of members is as long as there are members, however many have left.
#[must_use]
pub fn former(channel: ChannelId, user: UserId) -> Vec<u8> {
    Key::of(Table::Former).u64(channel.0).u64(user.0).0
}

/// `left`: that a user has a row in `former`, by user. The row is empty.
#[must_use]
pub fn left(user: UserId, channel: ChannelId) -> Vec<u8> {
    Key::of(Table::Left).u64(user.0).u64(channel.0).0
}

/// The channels that a user has left, those made last first.
#[must_use]
pub fn left_newest(user: UserId) -> RangeRequest {
    Key::of(Table::Left).u64(user.0).all().reversed()
}

/// The user and channel of a `left` key.
///
/// # Errors
/// If it is no such key.
pub fn left_of(key: &[u8]) -> Result<(UserId, ChannelId), RecordError> {
    let parse = || {
        let mut fields = Fields::of(Table::Left, key)?;
        let left = (UserId(fields.u64()?), ChannelId(fields.u64()?));
        fields.end(left)
    };
    parse().ok_or_else(|| damaged("left", key))
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

/// `large`: a membership of a large channel, of which the user's inbox tells nothing.
#[must_use]
pub fn large(user: UserId, channel: ChannelId) -> Vec<u8> {
    Key::of(Table::Large).u64(user.0).u64(channel.0).0
}

/// The large channels of a user, ascending.
#[must_use]
pub fn larges(user: UserId) -> RangeRequest {
    Key::of(Table::Large).u64(user.0).all()
}

/// The user and channel of a `large` key.
///
/// # Errors
/// If it is no such key.
pub fn large_of(key: &[u8]) -> Result<(UserId, ChannelId), RecordError> {
    let parse = || {
        let mut fields = Fields::of(Table::Large, key)?;
        let large = (UserId(fields.u64()?), ChannelId(fields.u64()?));
        fields.end(large)
    };
    parse().ok_or_else(|| damaged("large", key))
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
