//! A message is sent, and what was read is marked.
//!
//! Upholds I2 (the next seq of the head, decided here), I4 (an acknowledged send is below the head that a later one
//! reads), I5 (the first reply is looked up before anything else, and written with the message).

use std::sync::Arc;

use schema::limits::{BODY_BYTES_MAX, DEDUP_DAYS, ID_AHEAD_MS, MENTIONS_MAX};
use schema::message::no_reactions;
use schema::op::SendOp;
use schema::record::{AnsweredOp, DedupRecord, EventRecordBody, HeadRecord, MessageRecord, ReadMarkRecord};
use schema::{ChannelId, ErrorCode, Message, MessageKind, OpReply, Seq, UserId};
use xxhash_rust::xxh3::Xxh3;

use super::draft::{Draft, Step, refuse};
use super::members::{Member, Members};
use crate::keys::{self, DedupKey};
use crate::layers::{body, visible};

/// Milliseconds for which a first reply is given again.
const DEDUP_MS: u64 = DEDUP_DAYS * 24 * 3600 * 1000;

impl Draft<'_> {
    pub(super) fn send(&mut self, channel: ChannelId, op: &SendOp) -> Step<OpReply> {
        let dedup_key = DedupKey { channel, user: op.from, id: op.client_msg_id }.to_key();
        let content_hash = content_hash(op);
        if let Some(first) = self.first_reply(dedup_key.clone(), content_hash)? {
            return Ok(OpReply::Sent { seq: first.seq, sent_ms: first.sent_ms, duplicate: true });
        }
        self.check_age(op)?;
        let sender = self.member(channel, op.from)?;
        let members = self.members(channel)?;
        let head = self.channel(channel)?.head;
        check_content(op, &sender, &members, head.seq)?;

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
        let first = DedupRecord { op: AnsweredOp::Send, seq, sent_ms, revision: 0, count: 0, content_hash };
        self.set(dedup_key, first.encode());
        self.put_head(channel, HeadRecord { seq, sent_ms });
        self.raise_mark(op.from, channel, seq);
        let message = Arc::new(Message {
            channel_id: channel,
            seq,
            revision: record.revision,
            from: op.from,
            sent_ms,
            client_msg_id: op.client_msg_id,
            kind: op.kind,
            body: Arc::clone(&op.body),
            reply_to: op.reply_to,
            mentions: Arc::clone(&op.mentions),
            edited_ms: None,
            deleted: false,
            reactions: no_reactions(),
        });
        let event = EventRecordBody::Message { seq, revision: record.revision };
        self.tell(channel, event, Some(message), Arc::clone(&members.users));
        Ok(OpReply::Sent { seq, sent_ms, duplicate: false })
    }

    /// What the same id was answered before, if it was: also to someone who has left meanwhile.
    fn first_reply(&mut self, key: Vec<u8>, content_hash: u64) -> Step<Option<DedupRecord>> {
        if self.terms.forgets_first_replies {
            return Ok(None);
        }
        let Some(row) = self.get(key)? else { return Ok(None) };
        let first = DedupRecord::decode(&row)?;
        if first.content_hash == content_hash {
            Ok(Some(first))
        } else {
            refuse(ErrorCode::IdReused, format!("this client_msg_id named other content, {} of the channel", first.seq))
        }
    }

    /// Refuses an id of which nobody can know whether it was answered.
    fn check_age(&self, op: &SendOp) -> Step<()> {
        let (made, wall) = (op.client_msg_id.made_at(), self.terms.wall);
        if wall.since_ms(made) > DEDUP_MS {
            return refuse(ErrorCode::IdTooOld, format!("the client_msg_id is older than {DEDUP_DAYS} days"));
        }
        if made.since_ms(wall) > ID_AHEAD_MS {
            return refuse(ErrorCode::IdTooOld, "the client_msg_id is more than a day in the future");
        }
        Ok(())
    }

    /// A user read up to a seq: clamped to the head, never back, and told to the user's own devices only if it moved.
    pub(super) fn mark(&mut self, channel: ChannelId, user: UserId, read_seq: Seq) -> Step<OpReply> {
        let member = self.member(channel, user)?;
        let head = self.channel(channel)?.head.seq;
        let stored = self.get(keys::read(user, channel))?;
        let stored = stored.map_or(Ok(ReadMarkRecord::default()), |row| ReadMarkRecord::decode(&row))?;
        let before = stored.seq.max(self.drafted_mark(user, channel));
        let after = before.max(read_seq.min(head));
        if after > before {
            self.raise_mark(user, channel, after);
            self.tell(channel, EventRecordBody::Read { user, read_seq: after }, None, Arc::from([user]));
        }
        Ok(OpReply::Marked { read_seq: after, unread: visible::unread(head, after, member.joined_after) })
    }
}

fn check_content(op: &SendOp, sender: &Member, members: &Members, head: Seq) -> Step<()> {
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
    match op.mentions.iter().find(|&&user| members.get(user).is_none()) {
        Some(stranger) => refuse(ErrorCode::BadRequest, format!("user {stranger}, who is mentioned, is not a member")),
        None => Ok(()),
    }
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
