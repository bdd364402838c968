//! A message is sent.
//!
//! Upholds I2 (the next seq of the head, decided here), I4 (an acknowledged send is below the head that a later one
//! reads), I5 (the first reply is written with the message).

use std::sync::Arc;

use schema::limits::{ATTACHMENT_BYTES_MAX, MEDIA_OF_MESSAGE_MAX, MENTIONS_MAX};
use schema::media::Attachment;
use schema::op::SendOp;
use schema::record::{AnsweredOp, DedupRecord, EventRecordBody, HeadRecord, MediaRecord, MessageRecord, TalliesRecord};
use schema::{Audience, ChannelId, ErrorCode, MediaId, MessageKind, OpReply, Seq, UserId};
use xxhash_rust::xxh3::Xxh3;

use super::Operation;
use super::message::{check_length, judged, stored_text};
use super::post;
use crate::appender::capacity::Cost;
use crate::appender::draft::{Asked, Draft, Halt, Step, refuse};
use crate::appender::prefetch::Prefetch;
use crate::keys::{self, DedupKey, MentionKey};
use crate::{body, clock, content, packed};

impl Operation for SendOp {
    fn prefetch(&self, read: &mut Prefetch<'_>) {
        let channel = read.channel;
        read.channel(&[self.from]);
        read.channel(&self.mentions);
        read.rows([DedupKey { channel, user: self.from, id: self.client_msg_id }.to_key()]);
        read.rows(self.media.iter().map(|&media| keys::media(media)));
    }

    /// Message, head, first reply, own mark; what a post has beside; a row for each who is named and for each media; an event
    /// for each member.
    fn cost(&self, members: usize) -> Cost {
        let (named, media) = (self.mentions.len(), self.media.len());
        let text = stored_text(&self.body, self.ruling.as_ref());
        // A reply may be one to a post.
        let may_be_post = self.audience.is_some() || self.reply_to.is_some();
        let notices = if may_be_post { 1 + named } else { 0 };
        let of_post = if may_be_post { post::ROWS + notices * post::NOTICE_ROWS } else { 0 };
        let rows = 4 + of_post + named + media + body::parts_at_most(text) + members;
        let bytes = text.len() + named * 128 + media * ATTACHMENT_BYTES_MAX as usize + notices * post::NOTICE_BYTES;
        Cost::rows(rows).and_bytes(bytes)
    }

    fn decide(&self, draft: &mut Draft<'_>, channel: ChannelId) -> Step<OpReply> {
        let key = DedupKey { channel, user: self.from, id: self.client_msg_id };
        let asked = Asked { key, op: AnsweredOp::Send, content_hash: content_hash(self) };
        if let Some(first) = draft.first_reply(&asked)? {
            return Ok(OpReply::Sent { seq: first.seq, sent_ms: first.sent_ms, duplicate: true });
        }
        let post = match draft.author(channel)? {
            Some(author) => {
                check_content(self)?;
                let kind = post::checked(draft, channel, author, self)?;
                Some((kind, post::to_tell(draft, author, kind, self)?))
            }
            None => {
                check_member(self, draft, channel)?;
                None
            }
        };
        let head = draft.channel(channel)?.head;
        let media = attachments(draft, self.from, &self.media)?;
        let text = judged(&self.body, self.ruling.as_ref())?;

        let seq = head.seq.next();
        let sent_ms = clock::next_sent(draft.wall(), head.sent_ms);
        let (body, parts) = body::cut(text);
        let record = MessageRecord {
            revision: 0,
            from: self.from,
            sent_ms,
            client_msg_id: self.client_msg_id,
            kind: self.kind.with(&media),
            body,
            reply_to: self.reply_to,
            mentions: self.mentions.to_vec(),
            edited_ms: None,
            deleted: false,
            // Of a reply its post says it.
            audience: self.audience.filter(|_| self.reply_to.is_none()),
            media,
        };
        draft.set(keys::message(channel, seq), record.encode());
        for (part, value) in (0..).zip(parts) {
            draft.set(keys::body_part(channel, seq, record.revision, part), value);
        }
        let first = DedupRecord { op: asked.op, seq, sent_ms, revision: 0, count: 0, content_hash: asked.content_hash };
        draft.set(asked.key.to_key(), first.encode());
        for &media in &self.media {
            draft.set(keys::media_use(media, channel, seq), packed::MARK);
        }
        draft.put_head(channel, HeadRecord { seq, sent_ms });
        if let Some((kind, told)) = post {
            // Of a feed nobody reads on from a mark, and lists of mentions are of channels.
            post::put(draft, channel, kind, (seq, sent_ms), self.from);
            if let Some(told) = told {
                post::tell(draft, (channel, seq), kind, &told, text);
            }
        } else {
            for &user in &*self.mentions {
                draft.set(MentionKey { user, sent_ms, channel, seq }.to_key(), packed::MARK);
            }
            if !self.from.is_system() {
                draft.raise_mark(self.from, channel, seq);
            }
        }
        let event = EventRecordBody::Message { seq, revision: record.revision };
        let message = content::shown((channel, seq), record, Arc::clone(text), &TalliesRecord::default());
        draft.tell_readers(channel, seq, event, Some(Arc::new(message)));
        Ok(OpReply::Sent { seq, sent_ms, duplicate: false })
    }
}

/// Whether a member may send it where there are members.
fn check_member(op: &SendOp, draft: &mut Draft<'_>, channel: ChannelId) -> Step<()> {
    let sender = draft.member(channel, op.from)?;
    draft.check_not_blocked(channel)?;
    check_content(op)?;
    let head = draft.channel(channel)?.head.seq;
    if let Some(reply_to) = op.reply_to
        && (reply_to == Seq::ZERO || reply_to > head || !sender.sees(reply_to))
    {
        return refuse(ErrorCode::NoSuchMessage, format!("no message {reply_to} to reply to"));
    }
    if op.audience.is_some() {
        return refuse(ErrorCode::BadRequest, "a message is for the members of its channel");
    }
    draft.check_mentions(channel, &op.mentions)
}

fn check_content(op: &SendOp) -> Step<()> {
    check_length(&op.body)?;
    if op.mentions.len() > MENTIONS_MAX as usize {
        let mentions = op.mentions.len();
        return refuse(ErrorCode::LimitExceeded, format!("{mentions} mentions, the limit is {MENTIONS_MAX}"));
    }
    if op.media.is_empty() && op.kind == MessageKind::Media {
        return refuse(ErrorCode::BadRequest, "a message of kind media has media");
    }
    Ok(())
}

/// What a message says of these media, each a whole one of its sender's.
///
/// Their rows are read for conflicts: a media that is removed meanwhile fails the batch, and one that the message holds is
/// not removed.
fn attachments(draft: &mut Draft<'_>, owner: UserId, media: &[MediaId]) -> Step<Vec<Attachment>> {
    if media.len() > MEDIA_OF_MESSAGE_MAX as usize {
        let count = media.len();
        return refuse(ErrorCode::LimitExceeded, format!("{count} media, the limit is {MEDIA_OF_MESSAGE_MAX}"));
    }
    let mut attachments = Vec::with_capacity(media.len());
    let mut is_unread = false;
    for (at, &id) in media.iter().enumerate() {
        if media[..at].contains(&id) {
            return refuse(ErrorCode::BadRequest, format!("media {id} is there twice"));
        }
        match draft.record(keys::media(id), MediaRecord::decode) {
            Ok(Some(record)) if record.owner == owner => attachments.push(record.attachment),
            // Nobody learns which media others have.
            Ok(_) => return refuse(ErrorCode::BadRequest, format!("media {id} is not whole, or none of the sender's")),
            Err(Halt::Unread) => is_unread = true,
            Err(halt) => return Err(halt),
        }
    }
    if is_unread { Err(Halt::Unread) } else { Ok(attachments) }
}

/// Of what a send means, whatever its encoding was. Part of the stored format.
fn content_hash(op: &SendOp) -> u64 {
    let mut hash = Xxh3::new();
    let kind = match op.kind.with(&op.media) {
        MessageKind::Text => 0,
        MessageKind::Media => 1,
    };
    // A message of a channel with members has none, and means what it always meant.
    let audience = match op.audience {
        None => 0,
        Some(Audience::Friends) => 2,
        Some(Audience::Public) => 4,
    };
    hash.update(&[kind, u8::from(op.reply_to.is_some()) + audience]);
    hash.update(&op.reply_to.unwrap_or_default().0.to_be_bytes());
    hash.update(&(op.mentions.len() as u64).to_be_bytes());
    for mention in &*op.mentions {
        hash.update(&mention.0.to_be_bytes());
    }
    if !op.media.is_empty() {
        hash.update(&(op.media.len() as u64).to_be_bytes());
        for media in &op.media {
            hash.update(&media.0.to_be_bytes());
        }
    }
    hash.update(op.body.as_bytes());
    hash.digest()
}
