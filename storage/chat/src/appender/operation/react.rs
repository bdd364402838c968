//! An emoji is put to a message, or taken away.
//!
//! Upholds I5 beside the first reply: a count changes only with the row of who reacted, so however often a reaction is
//! tried it counts once.

use schema::emoji::{EMOJI_BYTES_MAX, LIKE};
use schema::limits::EMOJIS_OF_MESSAGE_MAX;
use schema::op::ReactOp;
use schema::record::{EventRecordBody, RecordError, TalliesRecord};
use schema::{ChannelId, Emoji, ErrorCode, OpReply};

use super::message::{reached_undeleted, tallies_of};
use super::{Operation, post};
use crate::appender::capacity::{Cost, EVENT_BYTES, EVENT_BYTES_MAX};
use crate::appender::draft::{Asked, Change, Draft, Step, refuse};
use crate::appender::prefetch::Prefetch;
use crate::{keys, packed, unreadable};

/// What a reaction takes beyond other operations: its key of up to 90 bytes is read and written, and the tallies may
/// count 32 emojis.
const REACTION_BYTES: usize = 512 + EMOJIS_OF_MESSAGE_MAX as usize * (5 + EMOJI_BYTES_MAX);

impl Operation for ReactOp {
    fn prefetch(&self, read: &mut Prefetch<'_>) {
        read.change(self.by, self.op_id, self.seq);
        read.rows([keys::reaction(read.channel, self.seq, &self.emoji, self.by)]);
    }

    /// Reaction, tallies, first reply, a notice; an event for each member, longer than others.
    fn cost(&self, members: usize) -> Cost {
        let longer = (EVENT_BYTES_MAX - EVENT_BYTES).min(6 + self.emoji.as_str().len());
        let rows = 3 + post::NOTICE_ROWS + members;
        Cost::rows(rows).and_bytes(REACTION_BYTES + post::NOTICE_BYTES + members * longer)
    }

    fn decide(&self, draft: &mut Draft<'_>, channel: ChannelId) -> Step<OpReply> {
        let change = Change::React { emoji: &self.emoji, on: self.on };
        let asked = Asked::change(channel, self.by, self.op_id, self.seq, change);
        if let Some(first) = draft.first_reply(&asked)? {
            return Ok(OpReply::Reacted { count: first.count });
        }
        let message = reached_undeleted(draft, channel, self.by, self.seq)?;
        let is_post = draft.author(channel)?.is_some();
        if is_post && self.emoji.as_str() != LIKE {
            return refuse(ErrorCode::BadRequest, format!("posts and replies are liked by {LIKE} alone"));
        }
        let key = keys::reaction(channel, self.seq, &self.emoji, self.by);
        let (before, tallies) = (draft.get(key.clone()), tallies_of(draft, channel, self.seq));
        let (before, mut tallies) = (before?.is_some(), tallies?);
        if before == self.on {
            let count = tallies.count(&self.emoji);
            draft.answer(&asked, self.seq, 0, count);
            return Ok(OpReply::Reacted { count });
        }
        let tallies_key = keys::tallies(channel, self.seq);
        let count = counted(&tallies_key, &mut tallies, &self.emoji, self.on)?;
        let is_told = is_post && message.from != self.by;
        let by = if is_told { post::name_to_tell(draft, self.by)? } else { None };
        match (by, self.on) {
            (Some(by), true) => post::tell_of_like(draft, (channel, self.seq), &message, &by, count),
            (Some(_), false) if count == 0 => post::untold_like(draft, (channel, self.seq), &message)?,
            (Some(_), false) | (None, _) => {}
        }

        if self.on {
            draft.set(key, packed::MARK);
        } else {
            draft.clear(key);
        }
        if tallies.counts.is_empty() {
            draft.clear(tallies_key);
        } else {
            draft.set(tallies_key, tallies.encode());
        }
        draft.answer(&asked, self.seq, 0, count);
        let (seq, emoji, user, on) = (self.seq, self.emoji.clone(), self.by, self.on);
        let event = EventRecordBody::Reaction { seq, emoji, count, user, on };
        draft.tell_readers(channel, seq, event, None);
        Ok(OpReply::Reacted { count })
    }
}

/// Counts one more of an emoji, or one less. Returns how many there are then.
fn counted(key: &[u8], tallies: &mut TalliesRecord, emoji: &Emoji, on: bool) -> Step<u32> {
    let at = tallies.counts.iter().position(|(one, _)| one == emoji);
    match (at, on) {
        (Some(at), true) => {
            tallies.counts[at].1 += 1;
            Ok(tallies.counts[at].1)
        }
        (None, true) if tallies.counts.len() >= EMOJIS_OF_MESSAGE_MAX as usize => {
            let limit = EMOJIS_OF_MESSAGE_MAX;
            refuse(ErrorCode::LimitExceeded, format!("the message has {limit} different emojis, which is the limit"))
        }
        (None, true) => {
            tallies.counts.push((emoji.clone(), 1));
            Ok(1)
        }
        (Some(at), false) if tallies.counts[at].1 > 1 => {
            tallies.counts[at].1 -= 1;
            Ok(tallies.counts[at].1)
        }
        (Some(at), false) => {
            tallies.counts.remove(at);
            Ok(0)
        }
        (None, false) => {
            let why = format!("{emoji} was put there and is not counted");
            Ok(unreadable::refuse(
                key,
                Err(RecordError::Damaged { what: "tallies", bytes: tallies.counts.len(), why }),
            )?)
        }
    }
}
