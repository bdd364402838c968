//! A message that is there already, as operations on it find it and leave it.
//!
//! Upholds I10: only those whose ranges hold a message's seq may do anything to it.

use std::sync::Arc;

use schema::event::Role;
use schema::limits::BODY_BYTES_MAX;
use schema::record::{BodyRecord, MessageRecord, TalliesRecord};
use schema::{ChannelId, ErrorCode, Refusal, Ruling, Seq, UserId};

use super::post::{self, Purpose};
use crate::appender::draft::{Draft, Halt, Step, refuse};
use crate::appender::members::Member;
use crate::{keys, packed, unreadable};

/// When to send again what nobody was asked about: by then the look before it sees who is a member.
const UNASKED_RETRY_MS: u32 = 250;

/// A message that somebody may do something to, which may be deleted: in a feed by who sees it, elsewhere by a member.
pub(super) fn reached(
    draft: &mut Draft<'_>,
    channel: ChannelId,
    user: UserId,
    seq: Seq,
    purpose: Purpose,
) -> Step<(Role, MessageRecord)> {
    if let Some(author) = draft.author(channel)? {
        let role = if user == author || user.is_system() { Role::Owner } else { Role::Member };
        return Ok((role, post::visible(draft, channel, (author, user), seq, purpose)?));
    }
    let member = draft.member(channel, user)?;
    if purpose == Purpose::Other {
        draft.check_not_blocked(channel)?;
    }
    Ok((member.role, visible(draft, channel, &member, seq)?))
}

/// The same of one that was not deleted.
pub(super) fn reached_undeleted(
    draft: &mut Draft<'_>,
    channel: ChannelId,
    user: UserId,
    seq: Seq,
) -> Step<MessageRecord> {
    let (_, record) = reached(draft, channel, user, seq, Purpose::Other)?;
    if record.deleted {
        return refuse(ErrorCode::NoSuchMessage, format!("message {seq} was deleted"));
    }
    Ok(record)
}

/// A message of a channel, if there is one with that seq.
pub(super) fn message_at(draft: &mut Draft<'_>, channel: ChannelId, seq: Seq) -> Step<Option<MessageRecord>> {
    let head = draft.channel(channel)?.head.seq;
    if seq == Seq::ZERO || seq > head {
        return Ok(None);
    }
    let key = keys::message(channel, seq);
    // Below the head every seq has its row (I2).
    let record = draft.record(key.clone(), MessageRecord::decode)?;
    Ok(Some(record.ok_or_else(|| unreadable::missing(&key, "message"))?))
}

/// A message that a member may read, which may be deleted.
fn visible(draft: &mut Draft<'_>, channel: ChannelId, member: &Member, seq: Seq) -> Step<MessageRecord> {
    match message_at(draft, channel, seq)? {
        Some(record) if member.sees(seq) => Ok(record),
        Some(_) | None => refuse(ErrorCode::NoSuchMessage, format!("no message {seq} for this member")),
    }
}

/// Refuses a text that is too long.
pub(super) fn check_length(text: &str) -> Step<()> {
    let length = text.len();
    if length > BODY_BYTES_MAX as usize {
        return refuse(ErrorCode::BodyTooLong, format!("the body is {length} bytes, the limit is {BODY_BYTES_MAX}"));
    }
    Ok(())
}

/// The text that is stored of one that applications have judged, unless they refuse it. Asked after the first reply has been looked
/// for, so that what is stored stays so whatever they say of a retry.
pub(super) fn judged<'a>(body: &'a Arc<str>, ruling: Option<&'a Ruling>) -> Step<&'a Arc<str>> {
    match ruling {
        Some(Ruling::Refuse(reason)) => return refuse(ErrorCode::Rejected, &**reason),
        Some(Ruling::Unasked) => {
            // Its user became a member after that was looked at.
            let refusal = Refusal::new(ErrorCode::Overloaded, "applications are to be asked about it, send it again");
            return Err(Halt::Refused(refusal.after_ms(UNASKED_RETRY_MS)));
        }
        Some(Ruling::Change(_)) | None => {}
    }
    let text = stored_text(body, ruling);
    check_length(text)?;
    Ok(text)
}

/// The text that is stored, if it is.
pub(super) fn stored_text<'a>(body: &'a Arc<str>, ruling: Option<&'a Ruling>) -> &'a Arc<str> {
    match ruling {
        Some(Ruling::Change(text)) => text,
        Some(Ruling::Refuse(_) | Ruling::Unasked) | None => body,
    }
}

/// How often each emoji was put to a message.
pub(super) fn tallies_of(draft: &mut Draft<'_>, channel: ChannelId, seq: Seq) -> Step<TalliesRecord> {
    Ok(draft.record(keys::tallies(channel, seq), TalliesRecord::decode)?.unwrap_or_default())
}

/// Clears the parts of a revision that is not the newest any more.
pub(super) fn clear_body(draft: &mut Draft<'_>, channel: ChannelId, seq: Seq, before: &MessageRecord) {
    match before.body {
        BodyRecord::Inline(_) => {}
        BodyRecord::Parts { parts, .. } => {
            (0..parts).for_each(|part| draft.clear(keys::body_part(channel, seq, before.revision, part)));
        }
    }
}

/// Writes a message's newest revision, which the index of words has to read again.
pub(super) fn revised(draft: &mut Draft<'_>, channel: ChannelId, seq: Seq, record: &MessageRecord) {
    draft.set(keys::message(channel, seq), record.encode());
    draft.set(keys::edited(channel, seq), packed::MARK);
}
