//! The author gives a message another text.
//!
//! Upholds I2: a revision is the next of the message that this transaction read.

use std::sync::Arc;

use schema::op::EditOp;
use schema::record::{EventRecordBody, MessageRecord};
use schema::{ChannelId, ErrorCode, OpReply};

use super::message::{check_length, clear_body, judged, reached_undeleted, revised, stored_text, tallies_of};
use super::{Operation, post};
use crate::appender::capacity::Cost;
use crate::appender::draft::{Asked, Change, Draft, Step, refuse};
use crate::appender::prefetch::Prefetch;
use crate::body::PARTS_MAX;
use crate::{body, content, keys};

impl Operation for EditOp {
    fn prefetch(&self, read: &mut Prefetch<'_>) {
        read.change(self.by, self.op_id, self.seq);
    }

    /// Message, first reply, the index's; parts come and go; an event for each member.
    fn cost(&self, members: usize) -> Cost {
        let text = stored_text(&self.body, self.ruling.as_ref());
        let parts = PARTS_MAX as usize + body::parts_at_most(text);
        Cost::rows(3 + parts + members).and_bytes(text.len())
    }

    /// Whom it named at first it names still, and what it carried it carries.
    fn decide(&self, draft: &mut Draft<'_>, channel: ChannelId) -> Step<OpReply> {
        let change = Change::Edit { base_revision: self.base_revision, body: &self.body };
        let asked = Asked::change(channel, self.by, self.op_id, self.seq, change);
        if let Some(first) = draft.first_reply(&asked)? {
            return Ok(OpReply::Revised { revision: first.revision });
        }
        check_length(&self.body)?;
        if draft.author(channel)?.is_some() {
            post::check_length(&self.body)?;
        }
        let before = reached_undeleted(draft, channel, self.by, self.seq)?;
        if before.from != self.by {
            return refuse(ErrorCode::PermissionDenied, "only its author may edit a message");
        }
        if self.body.is_empty() && before.media.is_empty() {
            return refuse(ErrorCode::BadRequest, "a message has a text: to take it away, delete the message");
        }
        if before.revision != self.base_revision {
            let (base, newest) = (self.base_revision, before.revision);
            return refuse(ErrorCode::StaleRevision, format!("revision {base} was edited, the newest is {newest}"));
        }
        let text = judged(&self.body, self.ruling.as_ref())?;
        let tallies = tallies_of(draft, channel, self.seq)?;

        clear_body(draft, channel, self.seq, &before);
        let (body, parts) = body::cut(text);
        let record = MessageRecord { revision: before.revision + 1, body, edited_ms: Some(draft.wall()), ..before };
        for (part, value) in (0..).zip(parts) {
            draft.set(keys::body_part(channel, self.seq, record.revision, part), value);
        }
        revised(draft, channel, self.seq, &record);
        draft.answer(&asked, self.seq, record.revision, 0);
        let revision = record.revision;
        let message = content::shown((channel, self.seq), record, Arc::clone(text), &tallies);
        let event = EventRecordBody::Edited { seq: self.seq, revision };
        draft.tell_readers(channel, self.seq, event, Some(Arc::new(message)));
        Ok(OpReply::Revised { revision })
    }
}
