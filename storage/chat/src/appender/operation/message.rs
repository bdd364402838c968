//! A message that is there already, as operations on it find it and leave it.
//!
//! Upholds I10: only those whose ranges hold a message's seq may do anything to it.

use std::sync::Arc;

use schema::limits::BODY_BYTES_MAX;
use schema::record::{BodyRecord, MessageRecord, TalliesRecord};
use schema::{ChannelId, ErrorCode, Refusal, Ruling, Seq};

use crate::appender::draft::{Draft, Halt, Step, refuse};
use crate::appender::members::Member;
use crate::{keys, packed, unreadable};

/// When to send again what nobody was asked about: by then the look before it sees who is a member.
const UNASKED_RETRY_MS: u32 = 250;

/// A message that a member may read, which may be deleted.
pub(super) fn visible(draft: &mut Draft<'_>, channel: ChannelId, member: &Member, seq: Seq) -> Step<MessageRecord> {
    let head = draft.channel(channel)?.head.seq;
    if seq == Seq::ZERO || seq > head || !member.sees(seq) {
        return refuse(ErrorCode::NoSuchMessage, format!("no message {seq} for this member"));
    }
    let key = keys::message(channel, seq);
    // Below the head every seq has its row (I2).
    Ok(draft.record(key.clone(), MessageRecord::decode)?.ok_or_else(|| unreadable::missing(&key, "message"))?)
}

/// The same of one that was not deleted.
pub(super) fn undeleted(draft: &mut Draft<'_>, channel: ChannelId, member: &Member, seq: Seq) -> Step<MessageRecord> {
    let record = visible(draft, channel, member, seq)?;
    if record.deleted {
        return refuse(ErrorCode::NoSuchMessage, format!("message {seq} was deleted"));
    }
    Ok(record)
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
