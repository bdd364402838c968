//! A message is sent, and what was read is marked.
//!
//! Upholds I2 (the next seq of the head, decided here), I4 (an acknowledged send is below the head that a later one
//! reads), I5 (the first reply is written with the message).

use std::sync::Arc;

use schema::limits::{BODY_BYTES_MAX, MENTIONS_MAX};
use schema::op::SendOp;
use schema::record::{
    AnsweredOp, DedupRecord, EventRecordBody, HeadRecord, MessageRecord, ReadMarkRecord, TalliesRecord,
};
use schema::{ChannelId, ErrorCode, MessageKind, OpReply, Seq, UserId};
use xxhash_rust::xxh3::Xxh3;

use super::answered::Asked;
use super::draft::{Draft, Step, refuse};
use super::members::Member;
use crate::keys::{self, DedupKey, MentionKey};
use crate::{body, content, packed, visible};

impl Draft<'_> {
    pub(super) fn send(&mut self, channel: ChannelId, op: &SendOp) -> Step<OpReply> {
        let key = DedupKey { channel, user: op.from, id: op.client_msg_id };
        let asked = Asked { key, op: AnsweredOp::Send, content_hash: content_hash(op) };
        if let Some(first) = self.first_reply(&asked)? {
            return Ok(OpReply::Sent { seq: first.seq, sent_ms: first.sent_ms, duplicate: true });
        }
        let sender = self.member(channel, op.from)?;
        self.check_not_blocked(channel)?;
        let head = self.channel(channel)?.head;
        check_content(op, &sender, head.seq)?;
        self.check_mentions(channel, &op.mentions)?;

        let seq = self.terms.plants.next_seq(channel, head.seq);
        let sent_ms = self.terms.wall.max(head.sent_ms);
        let (body, parts) = body::cut(&op.body);
        let record = MessageRecord {
            revision: 0,
            from: op.from,
            sent_ms,
            client_msg_id: op.client_msg_id,
            kind: op.kind,
            body,
            reply_to: op.reply_to,
            mentions: op.mentions.to_vec(),
            edited_ms: None,
            deleted: false,
        };
        self.set(keys::message(channel, seq), record.encode());
        for (part, value) in (0..).zip(parts) {
            self.set(keys::body_part(channel, seq, record.revision, part), value);
        }
        let first = DedupRecord { op: asked.op, seq, sent_ms, revision: 0, count: 0, content_hash: asked.content_hash };
        self.set(asked.key.to_key(), first.encode());
        for &user in &*op.mentions {
            self.set(MentionKey { user, sent_ms, channel, seq }.to_key(), packed::mark_row());
        }
        self.put_head(channel, HeadRecord { seq, sent_ms });
        self.raise_mark(op.from, channel, seq);
        let event = EventRecordBody::Message { seq, revision: record.revision };
        let message = content::shown((channel, seq), record, Arc::clone(&op.body), &TalliesRecord::default());
        self.tell_readers(channel, seq, event, Some(Arc::new(message)));
        Ok(OpReply::Sent { seq, sent_ms, duplicate: false })
    }

    /// A user read up to a seq: clamped to the head, never back, and told to the user's own devices only if it moved.
    pub(super) fn mark(&mut self, channel: ChannelId, user: UserId, read_seq: Seq) -> Step<OpReply> {
        let member = self.member(channel, user)?;
        let head = self.channel(channel)?.head.seq;
        let stored = self.record(keys::read(user, channel), ReadMarkRecord::decode)?.unwrap_or_default();
        let before = stored.seq.max(self.drafted_mark(user, channel));
        let after = before.max(read_seq.min(head));
        if after > before {
            self.raise_mark(user, channel, after);
            self.tell(channel, EventRecordBody::Read { user, read_seq: after }, None, Arc::from([user]));
            self.tell_read(channel, user, after);
        }
        Ok(OpReply::Marked { read_seq: after, unread: visible::unread(head, after, member.joined_after) })
    }
}

fn check_content(op: &SendOp, sender: &Member, head: Seq) -> Step<()> {
    if op.body.len() > BODY_BYTES_MAX as usize {
        let length = op.body.len();
        return refuse(ErrorCode::BodyTooLong, format!("the body is {length} bytes, the limit is {BODY_BYTES_MAX}"));
    }
    if let Some(reply_to) = op.reply_to
        && (reply_to == Seq::ZERO || reply_to > head || !sender.sees(reply_to))
    {
        return refuse(ErrorCode::NoSuchMessage, format!("no message {reply_to} to reply to"));
    }
    if op.mentions.len() > MENTIONS_MAX as usize {
        let mentions = op.mentions.len();
        return refuse(ErrorCode::LimitExceeded, format!("{mentions} mentions, the limit is {MENTIONS_MAX}"));
    }
    Ok(())
}

/// Of what a send means, whatever its encoding was. Part of the stored format.
fn content_hash(op: &SendOp) -> u64 {
    let mut hash = Xxh3::new();
    let kind = match op.kind {
        MessageKind::Text => 0,
    };
    hash.update(&[kind, u8::from(op.reply_to.is_some())]);
    hash.update(&op.reply_to.unwrap_or_default().0.to_be_bytes());
    hash.update(&(op.mentions.len() as u64).to_be_bytes());
    for mention in &*op.mentions {
        hash.update(&mention.0.to_be_bytes());
    }
    hash.update(op.body.as_bytes());
    hash.digest()
}
