//! Posts and replies: what a feed has where other channels have messages of members.
//!
//! Owns who may post, reply and do something to either, judged by the graph in the transaction itself, and the rows that a
//! post and a reply have beside a message's. What one does not see is not there.

use std::cmp::Reverse;

use schema::op::SendOp;
use schema::record::{BodyRecord, MessageRecord, NoticeRecord, UserRecord};
use schema::{Audience, ChannelId, ErrorCode, Seq, UnixMs, UserId};

use super::message::message_at;
use crate::appender::draft::{Draft, Step, refuse};
use crate::notices::posts::{Act, Digest};
use crate::posts::counters::Counter;
use crate::{keys, packed, unreadable};

/// Rows that a post has beside a message's: its own, its feed's mark and its author's count. A reply has two.
pub(super) const ROWS: usize = 3;

/// Rows of a notice of what others do, and its bytes.
pub(super) const NOTICE_ROWS: usize = 2;
pub(super) const NOTICE_BYTES: usize = 1_024;

/// What a message of a feed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Post(Audience),
    ReplyTo(Seq),
}

impl Kind {
    pub(super) fn is_reply(self) -> bool {
        matches!(self, Self::ReplyTo(_))
    }
}

/// What is sent to a feed, if its sender may.
pub(super) fn checked(draft: &mut Draft<'_>, channel: ChannelId, author: UserId, op: &SendOp) -> Step<Kind> {
    let (kind, audience) = match (op.audience, op.reply_to) {
        (Some(audience), None) if op.from == author => (Kind::Post(audience), audience),
        (None, Some(post)) => {
            // An application's own account is nobody's friend.
            let audience = if op.from.is_system() { None } else { seen_post(draft, channel, author, op.from, post)? };
            let Some(audience) = audience else {
                return refuse(ErrorCode::NoSuchMessage, format!("no post {post} to reply to"));
            };
            (Kind::ReplyTo(post), audience)
        }
        (None, None) if op.from == author => {
            return refuse(ErrorCode::BadRequest, "a post says for whom it is");
        }
        (Some(_), Some(_)) => return refuse(ErrorCode::BadRequest, "a reply is for those who see the post"),
        (Some(_) | None, None) => return refuse(ErrorCode::UnknownChannel, format!("no channel {channel}")),
    };
    draft.check_mentions_see(author, &op.mentions, audience)?;
    Ok(kind)
}

/// For whom a post is that a user sees, and that was not deleted. A reply is no post.
fn seen_post(
    draft: &mut Draft<'_>,
    channel: ChannelId,
    author: UserId,
    user: UserId,
    seq: Seq,
) -> Step<Option<Audience>> {
    let Some(record) = message_at(draft, channel, seq)? else { return Ok(None) };
    let Some(audience) = record.audience.filter(|_| !record.deleted) else { return Ok(None) };
    Ok(draft.sees(author, user, audience)?.then_some(audience))
}

/// Notes a post or a reply that was just written.
pub(super) fn put(draft: &mut Draft<'_>, channel: ChannelId, kind: Kind, (seq, sent_ms): (Seq, UnixMs), from: UserId) {
    match kind {
        Kind::Post(audience) => {
            draft.set(keys::post(channel, Reverse(sent_ms), Reverse(seq)), packed::row(audience));
            draft.set(keys::fan_due(channel), packed::MARK);
            draft.count(Counter::Posts(from), 1);
        }
        Kind::ReplyTo(post) => {
            draft.set(keys::reply(channel, post, seq), packed::MARK);
            draft.count(Counter::Replies(channel, post), 1);
        }
    }
}

/// What is done to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Its writer, or the feed's author, takes it away, whether it sees it or not.
    Delete,
    /// Anything else, by one who sees it.
    Other,
}

/// A message of a feed, which may be deleted, if this user may do something to it.
pub(super) fn visible(
    draft: &mut Draft<'_>,
    channel: ChannelId,
    (author, user): (UserId, UserId),
    seq: Seq,
    purpose: Purpose,
) -> Step<MessageRecord> {
    if let Some(record) = message_at(draft, channel, seq)? {
        let is_own = user == author || user == record.from || user.is_system();
        let sees = match (record.audience, record.reply_to, purpose) {
            (_, _, Purpose::Delete) if is_own => true,
            (Some(audience), _, _) => draft.sees(author, user, audience)?,
            (None, Some(post), _) => seen_post(draft, channel, author, user, post)?.is_some(),
            // A reply that was deleted.
            (None, None, _) => false,
        };
        if sees {
            return Ok(record);
        }
    }
    refuse(ErrorCode::NoSuchMessage, format!("no message {seq} for this reader"))
}

/// Takes back what a post or a reply has beside its message.
pub(super) fn clear(draft: &mut Draft<'_>, channel: ChannelId, seq: Seq, before: &MessageRecord) {
    match (before.audience, before.reply_to) {
        (Some(_), _) => {
            draft.clear(keys::post(channel, Reverse(before.sent_ms), Reverse(seq)));
            draft.clear_range(keys::replies_after(channel, seq, None));
            draft.count(Counter::Posts(before.from), -1);
        }
        (None, Some(post)) => {
            draft.clear(keys::reply(channel, post, seq));
            draft.count(Counter::Replies(channel, post), -1);
        }
        (None, None) => {}
    }
}

/// The name of who does something, if any of these users is to be told of it: not the one who does it, nor what an
/// application does. As it was lately: nothing depends on it.
pub(super) fn name_to_tell(draft: &mut Draft<'_>, by: UserId, users: &[UserId]) -> Step<Option<String>> {
    if by.is_system() || users.iter().all(|&user| user == by) {
        return Ok(None);
    }
    let key = keys::user(by);
    let row = draft.get_loose(key.clone())?;
    let account = row.and_then(|row| unreadable::skip(&key, UserRecord::decode(&row)));
    Ok(account.map(|account| account.display_name))
}

/// Tells the author of a post of a reply to it, and those whom a post or a reply names of that.
pub(super) fn tell_of_text(
    draft: &mut Draft<'_>,
    (channel, seq): (ChannelId, Seq),
    (author, kind): (UserId, Kind),
    op: &SendOp,
    (by, text): (&str, &str),
) {
    let mention = op.mentions.iter().map(|&user| (user, Act::Mention));
    let reply = match kind {
        Kind::ReplyTo(_) if !op.mentions.contains(&author) => Some((author, Act::Reply)),
        Kind::ReplyTo(_) | Kind::Post(_) => None,
    };
    let now = draft.wall();
    for (user, act) in mention.chain(reply).filter(|&(user, _)| user != op.from) {
        // Replies to one post within a moment are one notice, of the last.
        let at = match (act, kind) {
            (Act::Reply, Kind::ReplyTo(post)) => post,
            _ => seq,
        };
        let digest = Digest { user, post: (channel, at), act, by, count: 1, text };
        digest.rows(now).into_iter().for_each(|(key, value)| draft.set(key, value));
    }
}

/// Tells who wrote a post or a reply that others like it.
pub(super) fn tell_of_like(
    draft: &mut Draft<'_>,
    place: (ChannelId, Seq),
    liked: &MessageRecord,
    by: &str,
    count: u32,
) {
    let text = match &liked.body {
        BodyRecord::Inline(text) => text,
        BodyRecord::Parts { .. } => "",
    };
    let digest = Digest { user: liked.from, post: place, act: Act::Like, by, count, text };
    let now = draft.wall();
    digest.rows(now).into_iter().for_each(|(key, value)| draft.set(key, value));
}

/// Takes back what who wrote a post was to be told of likes of which none is left, unless it was told by now.
pub(super) fn untold_like(draft: &mut Draft<'_>, place: (ChannelId, Seq), liked: &MessageRecord) -> Step<()> {
    let digest = Digest { user: liked.from, post: place, act: Act::Like, by: "", count: 1, text: "" };
    let key = digest.key(draft.wall());
    if let Some(notice) = draft.record(key.clone(), NoticeRecord::decode)? {
        draft.set(key, NoticeRecord { cancelled_ms: Some(draft.wall()), ..notice }.encode());
    }
    Ok(())
}
