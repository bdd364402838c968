//! A message's text is taken away, and its media.
//!
//! Upholds I2: a deletion is the last revision of the message that this transaction read.

use schema::event::Role;
use schema::limits::{MEDIA_OF_MESSAGE_MAX, MENTIONS_MAX};
use schema::media::Attachment;
use schema::op::ChannelKind;
use schema::record::{BodyRecord, EventRecordBody, MessageRecord};
use schema::{ChannelId, ClientMsgId, ErrorCode, MessageKind, OpReply, Seq, UserId};

use super::Operation;
use super::message::{clear_body, reached, revised};
use super::post::{self, Purpose};
use crate::appender::capacity::Cost;
use crate::appender::draft::{Asked, Change, Draft, Step, refuse};
use crate::appender::prefetch::Prefetch;
use crate::body::PARTS_MAX;
use crate::keys::{self, MentionKey};
use crate::packed;

pub(super) struct Delete {
    pub(super) by: UserId,
    pub(super) seq: Seq,
    pub(super) op_id: ClientMsgId,
}

impl Operation for Delete {
    fn prefetch(&self, read: &mut Prefetch<'_>) {
        read.change(self.by, self.op_id, self.seq);
    }

    /// Message, first reply, the index's, tallies, and the range of reactions; what a post has beside; parts, names and media
    /// go; an event for each member.
    fn cost(&self, members: usize) -> Cost {
        let listed = MENTIONS_MAX as usize + 2 * MEDIA_OF_MESSAGE_MAX as usize;
        Cost::rows(5 + post::ROWS + PARTS_MAX as usize + listed + members)
    }

    /// By the author, or whoever may delete others' messages. Deleting again changes nothing.
    fn decide(&self, draft: &mut Draft<'_>, channel: ChannelId) -> Step<OpReply> {
        let &Self { by, seq, op_id } = self;
        let asked = Asked::change(channel, by, op_id, seq, Change::Delete);
        if let Some(first) = draft.first_reply(&asked)? {
            return Ok(OpReply::Revised { revision: first.revision });
        }
        let (role, before) = reached(draft, channel, by, seq, Purpose::Delete)?;
        let kind = draft.channel(channel)?.record.kind;
        let may = before.from == by
            || match kind {
                ChannelKind::Direct => false,
                ChannelKind::Group | ChannelKind::Large | ChannelKind::Feed => role >= Role::Admin,
            };
        if !may {
            return refuse(ErrorCode::PermissionDenied, "only its author or an admin may delete a message");
        }
        if before.deleted {
            draft.answer(&asked, seq, before.revision, 0);
            return Ok(OpReply::Revised { revision: before.revision });
        }

        if let Some(author) = draft.author(channel)? {
            post::untold(draft, (channel, seq), author, &before)?;
            post::clear(draft, channel, seq, &before);
        }
        clear_body(draft, channel, seq, &before);
        for &user in &before.mentions {
            draft.clear(MentionKey { user, sent_ms: before.sent_ms, channel, seq }.to_key());
        }
        for &Attachment { media_id, .. } in &before.media {
            draft.clear(keys::media_use(media_id, channel, seq));
            // Unless something else holds it.
            draft.set(keys::media_due(draft.wall(), media_id), packed::MARK);
        }
        draft.clear(keys::tallies(channel, seq));
        draft.clear_range(keys::reactions(channel, seq));
        let record = MessageRecord {
            revision: before.revision + 1,
            kind: MessageKind::Text,
            body: BodyRecord::Inline("".into()),
            reply_to: None,
            mentions: Vec::new(),
            edited_ms: None,
            deleted: true,
            media: Vec::new(),
            ..before
        };
        revised(draft, channel, seq, &record);
        draft.answer(&asked, seq, record.revision, 0);
        let revision = record.revision;
        draft.tell_readers(channel, seq, EventRecordBody::Deleted { seq, revision }, None);
        Ok(OpReply::Revised { revision })
    }
}
