//! Posts and replies: what a feed has where other channels have messages of members.
//!
//! Owns who may post, reply and do something to either, judged by the graph in the transaction itself, and the rows that a
//! post and a reply have beside a message's. What one does not see is not there.

use std::cmp::Reverse;

use schema::limits::POST_CHARS_MAX;
use schema::op::SendOp;
use schema::record::{BodyRecord, MessageRecord, NoticeRecord, UserRecord};
use schema::{Audience, ChannelId, ErrorCode, Seq, UnixMs, UserId};

use super::message::message_at;
use crate::appender::draft::{Draft, Step, refuse};
use crate::notices::posts::{Act, Digest, excerpt};
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

/// What is sent to a feed, if its sender may. A reply says that it is one to a post by an audience, whichever: a message that
/// knows nothing of posts, and of their limits, is for no feed.
pub(super) fn checked(draft: &mut Draft<'_>, channel: ChannelId, author: UserId, op: &SendOp) -> Step<Kind> {
    let (kind, audience) = match (op.audience, op.reply_to) {
        (Some(audience), None) if op.from == author => (Kind::Post(audience), audience),
        (Some(_), Some(post)) => {
            // An application's own account is nobody's friend.
            let audience = if op.from.is_system() { None } else { seen_post(draft, channel, author, op.from, post)? };
            let Some(audience) = audience else {
                return refuse(ErrorCode::NoSuchMessage, format!("no post {post} to reply to"));
            };
            (Kind::ReplyTo(post), audience)
        }
        (None, _) if op.from == author => {
            return refuse(ErrorCode::BadRequest, "a post says for whom it is, and a reply that it is one");
        }
        (Some(_), None) | (None, _) => return refuse(ErrorCode::UnknownChannel, format!("no channel {channel}")),
    };
    check_length(&op.body)?;
    draft.check_mentions_see((author, op.from), &op.mentions, audience)?;
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
            (None, Some(post), _) => {
                let (seen, blocks) = (seen_post(draft, channel, author, user, post), draft.blocks(user, record.from));
                seen?.is_some() & !blocks?
            }
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

/// Who is told of a post or a reply, and of whom.
pub(super) struct Told {
    by: String,
    users: Vec<(UserId, Act)>,
}

/// Who is told of what is sent to a feed: the author of a reply to its post, and who is named and knows who writes. Nobody is
/// told what an application does, nor what it does itself.
pub(super) fn to_tell(draft: &mut Draft<'_>, author: UserId, kind: Kind, op: &SendOp) -> Step<Option<Told>> {
    let known = draft.who_know(&op.mentions, op.from);
    let name = name_to_tell(draft, op.from);
    let (known, name) = (known?, name?);
    let is_named = op.mentions.contains(&author);
    let of_author = match kind {
        _ if is_named => Some(Act::Mention),
        Kind::ReplyTo(_) => Some(Act::Reply),
        Kind::Post(_) => None,
    };
    let others = known.into_iter().filter(|&user| user != author).map(|user| (user, Act::Mention));
    let users = others.chain(of_author.map(|act| (author, act))).filter(|&(user, _)| user != op.from).collect();
    Ok(name.map(|by| Told { by, users }))
}

/// The name of who does something, for others to be told; none of an application.
pub(super) fn name_to_tell(draft: &mut Draft<'_>, by: UserId) -> Step<Option<String>> {
    if by.is_system() {
        return Ok(None);
    }
    let key = keys::user(by);
    let row = draft.get(key.clone())?;
    let account = row.and_then(|row| unreadable::skip(&key, UserRecord::decode(&row)));
    Ok(account.map(|account| account.display_name))
}

/// Tells them.
pub(super) fn tell(draft: &mut Draft<'_>, (channel, seq): (ChannelId, Seq), kind: Kind, told: &Told, text: &str) {
    let now = draft.wall();
    for &(user, act) in &told.users {
        // Replies to one post within a moment are one notice, of the last.
        let at = match (act, kind) {
            (Act::Reply, Kind::ReplyTo(post)) => post,
            _ => seq,
        };
        let digest = Digest { user, post: (channel, at), act, by: &told.by, count: 1, text };
        digest.rows(now).into_iter().for_each(|(key, value)| draft.set(key, value));
    }
}

/// Takes back what others were to be told of a message that is deleted, unless they were told by now: that they are named in
/// it, that it answers a post, that somebody likes it.
pub(super) fn untold(
    draft: &mut Draft<'_>,
    (channel, seq): (ChannelId, Seq),
    author: UserId,
    before: &MessageRecord,
) -> Step<()> {
    let text = text_of(before);
    let digest = |user, post, act, count| Digest { user, post: (channel, post), act, by: "", count, text };
    let mut notices: Vec<(Vec<u8>, bool)> = Vec::new();
    let named = before.mentions.iter().map(|&user| digest(user, seq, Act::Mention, 1).key(before.sent_ms));
    notices.extend(named.map(|key| (key, false)));
    if let (None, Some(post)) = (before.audience, before.reply_to) {
        notices.push((digest(author, post, Act::Reply, 1).key(before.sent_ms), true));
    }
    for count in Digest::COUNTS {
        notices.push((digest(before.from, seq, Act::Like, count).key(draft.wall()), false));
    }
    // All of them before any is missed, so that one more round reads them.
    let read: Vec<_> = notices.iter().map(|(key, _)| draft.record(key.clone(), NoticeRecord::decode)).collect();
    let now = draft.wall();
    let mut cancelled = Vec::new();
    for ((key, is_of_last), notice) in notices.into_iter().zip(read) {
        // A later reply may have taken its place.
        if let Some(notice) = notice?.filter(|notice| !is_of_last || notice.body == excerpt(text)) {
            cancelled.push((key, NoticeRecord { cancelled_ms: Some(now), ..notice }));
        }
    }
    cancelled.into_iter().for_each(|(key, notice)| draft.set(key, notice.encode()));
    Ok(())
}

/// A message's text, if it is not long.
fn text_of(record: &MessageRecord) -> &str {
    match &record.body {
        BodyRecord::Inline(text) => text,
        BodyRecord::Parts { .. } => "",
    }
}

/// Refuses what is too long for a post or a reply.
pub(super) fn check_length(text: &str) -> Step<()> {
    let chars = if text.len() > POST_CHARS_MAX as usize { text.chars().count() } else { 0 };
    if chars > POST_CHARS_MAX as usize {
        return refuse(
            ErrorCode::BodyTooLong,
            format!("the body is {chars} characters, the limit of a post is {POST_CHARS_MAX}"),
        );
    }
    Ok(())
}

/// Tells who wrote a post or a reply that others like it.
pub(super) fn tell_of_like(
    draft: &mut Draft<'_>,
    place: (ChannelId, Seq),
    liked: &MessageRecord,
    by: &str,
    count: u32,
) {
    let digest = Digest { user: liked.from, post: place, act: Act::Like, by, count, text: text_of(liked) };
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
