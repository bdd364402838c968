//! Keys of what is kept about messages: who reacted, who is named, and what changed since it was indexed.

use schema::record::RecordError;
use schema::{ChannelId, Emoji, Seq, UnixMs, UserId};

use super::{Fields, Key, Table, damaged};
use kv::transaction::{RangeRequest, key_after, prefix_end};

/// `reaction`: one user put one emoji to one message.
#[must_use]
pub fn reaction(channel: ChannelId, seq: Seq, emoji: &Emoji, user: UserId) -> Vec<u8> {
    reactions_of_emoji(channel, seq, emoji).u64(user.0).0
}

/// The emoji stands behind its length, so that one which begins another has a range of its own.
fn reactions_of_emoji(channel: ChannelId, seq: Seq, emoji: &Emoji) -> Key {
    let text = emoji.as_str().as_bytes();
    let length = u8::try_from(text.len()).expect("an emoji has at most 64 bytes");
    Key::of(Table::Reaction).u64(channel.0).u64(seq.0).u8(length).bytes(text)
}

/// Every reaction to a message.
#[must_use]
pub fn reactions(channel: ChannelId, seq: Seq) -> RangeRequest {
    Key::of(Table::Reaction).u64(channel.0).u64(seq.0).all()
}

/// Every reaction to every message after a key of one; ascending by channel, seq and emoji.
#[must_use]
pub fn reactions_after(last: Option<Vec<u8>>) -> RangeRequest {
    Key::of(Table::Reaction).all_after(last)
}

/// The fields of a `reaction` key.
///
/// # Errors
/// If it is no such key.
pub fn reaction_of(key: &[u8]) -> Result<(ChannelId, Seq, Emoji, UserId), RecordError> {
    let parse = || {
        let mut fields = Fields::of(Table::Reaction, key)?;
        let (channel, seq, [length]) = (ChannelId(fields.u64()?), Seq(fields.u64()?), fields.take()?);
        let emoji = Emoji::accepted(std::str::from_utf8(fields.slice(usize::from(length))?).ok()?).ok()?;
        let user = UserId(fields.u64()?);
        fields.end((channel, seq, emoji, user))
    };
    parse().ok_or_else(|| damaged("reaction", key))
}

/// `tallies`: how often each emoji was put to a message. Messages without a reaction have none.
#[must_use]
pub fn tallies(channel: ChannelId, seq: Seq) -> Vec<u8> {
    Key::of(Table::Tallies).u64(channel.0).u64(seq.0).0
}

/// The tallies of the messages `first..=last` of a channel.
#[must_use]
pub fn tallies_within(channel: ChannelId, first: Seq, last: Seq) -> RangeRequest {
    RangeRequest::new(tallies(channel, first), key_after(&tallies(channel, last)))
}

/// Every message's tallies after one's.
#[must_use]
pub fn tallies_after(last: Option<(ChannelId, Seq)>) -> RangeRequest {
    Key::of(Table::Tallies).all_after(last.map(|(channel, seq)| tallies(channel, seq)))
}

/// The channel and seq of a `tallies` key.
///
/// # Errors
/// If it is no such key.
pub fn tallies_place(key: &[u8]) -> Result<(ChannelId, Seq), RecordError> {
    place(Table::Tallies, "tallies", key)
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
    /// `mention`.
    #[must_use]
    pub fn to_key(self) -> Vec<u8> {
        Key::of(Table::Mention).u64(self.user.0).u64(self.sent_ms.0).u64(self.channel.0).u64(self.seq.0).0
    }

    /// The reverse of [`Self::to_key`].
    ///
    /// # Errors
    /// If it is no such key.
    pub fn of_key(key: &[u8]) -> Result<Self, RecordError> {
        let parse = || {
            let mut fields = Fields::of(Table::Mention, key)?;
            let mention = Self {
                user: UserId(fields.u64()?),
                sent_ms: UnixMs(fields.u64()?),
                channel: ChannelId(fields.u64()?),
                seq: Seq(fields.u64()?),
            };
            fields.end(mention)
        };
        parse().ok_or_else(|| damaged("mention", key))
    }
}

/// Where a user is named, before a place; everywhere without one.
#[must_use]
pub fn mentions_before(user: UserId, before: Option<MentionKey>) -> RangeRequest {
    let of_user = Key::of(Table::Mention).u64(user.0).0;
    let end = before.map_or_else(|| prefix_end(&of_user), MentionKey::to_key);
    RangeRequest::new(of_user, end)
}

/// Every mention of every user after one.
#[must_use]
pub fn mentions_after(last: Option<MentionKey>) -> RangeRequest {
    Key::of(Table::Mention).all_after(last.map(MentionKey::to_key))
}

/// `edited`: a message was edited or deleted, and the index of words does not know yet.
#[must_use]
pub fn edited(channel: ChannelId, seq: Seq) -> Vec<u8> {
    Key::of(Table::Edited).u64(channel.0).u64(seq.0).0
}

/// The messages of a channel that the index of words has to read again, ascending.
#[must_use]
pub fn edits(channel: ChannelId) -> RangeRequest {
    Key::of(Table::Edited).u64(channel.0).all()
}

/// The channel and seq of an `edited` key.
///
/// # Errors
/// If it is no such key.
pub fn edited_place(key: &[u8]) -> Result<(ChannelId, Seq), RecordError> {
    place(Table::Edited, "edited", key)
}

fn place(table: Table, what: &'static str, key: &[u8]) -> Result<(ChannelId, Seq), RecordError> {
    let parse = || {
        let mut fields = Fields::of(table, key)?;
        let place = (ChannelId(fields.u64()?), Seq(fields.u64()?));
        fields.end(place)
    };
    parse().ok_or_else(|| damaged(what, key))
}
