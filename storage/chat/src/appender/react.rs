//! An emoji is put to a message, or taken away.
//!
//! Upholds I5 beside the first reply: a count changes only with the row of who reacted, so however often a reaction is
//! tried it counts once.

use schema::limits::EMOJIS_OF_MESSAGE_MAX;
use schema::op::ReactOp;
use schema::record::{EventRecordBody, RecordError, TalliesRecord};
use schema::{ChannelId, Emoji, ErrorCode, OpReply};

use super::answered::{Asked, Change};
use super::draft::{Draft, Step, refuse};
use crate::{keys, packed, unreadable};

impl Draft<'_> {
    pub(super) fn react(&mut self, channel: ChannelId, op: &ReactOp) -> Step<OpReply> {
        let change = Change::React { emoji: &op.emoji, on: op.on };
        let asked = Asked::change(channel, op.by, op.op_id, op.seq, change);
        if let Some(first) = self.first_reply(&asked)? {
            return Ok(OpReply::Reacted { count: first.count });
        }
        let member = self.member(channel, op.by)?;
        self.check_not_blocked(channel)?;
        if self.visible_message(channel, &member, op.seq)?.deleted {
            return refuse(ErrorCode::NoSuchMessage, format!("message {} was deleted", op.seq));
        }
        let key = keys::reaction(channel, op.seq, &op.emoji, op.by);
        let (before, tallies) = (self.get(key.clone()), self.tallies(channel, op.seq));
        let (before, mut tallies) = (before?.is_some(), tallies?);
        if before == op.on {
            let count = tallies.count(&op.emoji);
            self.answer(&asked, op.seq, 0, count);
            return Ok(OpReply::Reacted { count });
        }
        let tallies_key = keys::tallies(channel, op.seq);
        let count = counted(&tallies_key, &mut tallies, &op.emoji, op.on)?;

        if op.on {
            self.set(key, packed::mark_row());
        } else {
            self.clear(key);
        }
        if tallies.counts.is_empty() {
            self.clear(tallies_key);
        } else {
            self.set(tallies_key, tallies.encode());
        }
        self.answer(&asked, op.seq, 0, count);
        let (seq, emoji, user, on) = (op.seq, op.emoji.clone(), op.by, op.on);
        let event = EventRecordBody::Reaction { seq, emoji, count, user, on };
        self.tell_readers(channel, seq, event, None);
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
