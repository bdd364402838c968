//! A message is edited, or deleted.
//!
//! Upholds I2: a revision is the next of the message that this transaction read, and a deletion is the last. Upholds I10:
//! only those whose ranges hold the message's seq are told.

use std::sync::Arc;

use schema::event::Role;
use schema::limits::BODY_BYTES_MAX;
use schema::op::{ChannelKind, EditOp};
use schema::record::{BodyRecord, EventRecordBody, MessageRecord, TalliesRecord};
use schema::{ChannelId, ClientMsgId, ErrorCode, OpReply, Seq, UserId};

use super::answered::{Asked, Change};
use super::draft::{Draft, Step, refuse};
use super::members::Member;
use crate::keys::{self, MentionKey};
use crate::{body, content, packed, unreadable};

impl Draft<'_> {
    /// The author gives a message another text. Whom it named at first it names still.
    pub(super) fn edit(&mut self, channel: ChannelId, op: &EditOp) -> Step<OpReply> {
        let change = Change::Edit { base_revision: op.base_revision, body: &op.body };
        let asked = Asked::change(channel, op.by, op.op_id, op.seq, change);
        if let Some(first) = self.first_reply(&asked)? {
            return Ok(OpReply::Revised { revision: first.revision });
        }
        let member = self.member(channel, op.by)?;
        self.check_not_blocked(channel)?;
        check_text(&op.body)?;
        let before = self.visible_message(channel, &member, op.seq)?;
        if before.deleted {
            return refuse(ErrorCode::NoSuchMessage, format!("message {} was deleted", op.seq));
        }
        if before.from != op.by {
            return refuse(ErrorCode::PermissionDenied, "only its author may edit a message");
        }
        if before.revision != op.base_revision {
            let (base, newest) = (op.base_revision, before.revision);
            return refuse(ErrorCode::StaleRevision, format!("revision {base} was edited, the newest is {newest}"));
        }
        let tallies = self.tallies(channel, op.seq)?;

        self.clear_body(channel, op.seq, &before);
        let (body, parts) = body::cut(&op.body);
        let record = MessageRecord { revision: before.revision + 1, body, edited_ms: Some(self.terms.wall), ..before };
        for (part, value) in (0..).zip(parts) {
            self.set(keys::body_part(channel, op.seq, record.revision, part), value);
        }
        self.revised(channel, op.seq, &record);
        self.answer(&asked, op.seq, record.revision, 0);
        let revision = record.revision;
        let message = content::shown((channel, op.seq), record, Arc::clone(&op.body), &tallies);
        let event = EventRecordBody::Edited { seq: op.seq, revision };
        self.tell_readers(channel, op.seq, event, Some(Arc::new(message)));
        Ok(OpReply::Revised { revision })
    }

    /// The author, or who may delete others' messages, takes a message's text away. Deleting again changes nothing.
    pub(super) fn delete(&mut self, channel: ChannelId, by: UserId, seq: Seq, op_id: ClientMsgId) -> Step<OpReply> {
        let asked = Asked::change(channel, by, op_id, seq, Change::Delete);
        if let Some(first) = self.first_reply(&asked)? {
            return Ok(OpReply::Revised { revision: first.revision });
        }
        let member = self.member(channel, by)?;
        let before = self.visible_message(channel, &member, seq)?;
        let may = before.from == by
            || match self.channel(channel)?.record.kind {
                ChannelKind::Direct => false,
                ChannelKind::Group | ChannelKind::Large => member.role >= Role::Admin,
            };
        if !may {
            return refuse(ErrorCode::PermissionDenied, "only its author or an admin may delete a message");
        }
        if before.deleted {
            self.answer(&asked, seq, before.revision, 0);
            return Ok(OpReply::Revised { revision: before.revision });
        }

        self.clear_body(channel, seq, &before);
        for &user in &before.mentions {
            self.clear(MentionKey { user, sent_ms: before.sent_ms, channel, seq }.to_key());
        }
        self.clear(keys::tallies(channel, seq));
        self.clear_range(keys::reactions(channel, seq));
        let record = MessageRecord {
            revision: before.revision + 1,
            body: BodyRecord::Inline("".into()),
            reply_to: None,
            mentions: Vec::new(),
            edited_ms: None,
            deleted: true,
            ..before
        };
        self.revised(channel, seq, &record);
        self.answer(&asked, seq, record.revision, 0);
        let revision = record.revision;
        self.tell_readers(channel, seq, EventRecordBody::Deleted { seq, revision }, None);
        Ok(OpReply::Revised { revision })
    }

    /// A message that a member may read, which may be deleted.
    pub(super) fn visible_message(&mut self, channel: ChannelId, member: &Member, seq: Seq) -> Step<MessageRecord> {
        let head = self.channel(channel)?.head.seq;
        if seq == Seq::ZERO || seq > head || !member.sees(seq) {
            return refuse(ErrorCode::NoSuchMessage, format!("no message {seq} for this member"));
        }
        let key = keys::message(channel, seq);
        // Below the head every seq has its row (I2).
        Ok(self.record(key.clone(), MessageRecord::decode)?.ok_or_else(|| unreadable::missing(&key, "message"))?)
    }

    /// How often each emoji was put to a message.
    pub(super) fn tallies(&mut self, channel: ChannelId, seq: Seq) -> Step<TalliesRecord> {
        Ok(self.record(keys::tallies(channel, seq), TalliesRecord::decode)?.unwrap_or_default())
    }

    /// The parts of a revision that is not the newest any more.
    fn clear_body(&mut self, channel: ChannelId, seq: Seq, before: &MessageRecord) {
        match before.body {
            BodyRecord::Inline(_) => {}
            BodyRecord::Parts { parts, .. } => {
                (0..parts).for_each(|part| self.clear(keys::body_part(channel, seq, before.revision, part)));
            }
        }
    }

    /// A message's newest revision, which the index of words has to read again.
    fn revised(&mut self, channel: ChannelId, seq: Seq, record: &MessageRecord) {
        self.set(keys::message(channel, seq), record.encode());
        self.set(keys::edited(channel, seq), packed::mark_row());
    }
}

fn check_text(body: &str) -> Step<()> {
    if body.is_empty() {
        return refuse(ErrorCode::BadRequest, "a message has a text: to take it away, delete the message");
    }
    if body.len() > BODY_BYTES_MAX as usize {
        let length = body.len();
        return refuse(ErrorCode::BodyTooLong, format!("the body is {length} bytes, the limit is {BODY_BYTES_MAX}"));
    }
    Ok(())
}
