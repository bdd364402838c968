//! A user has read a channel up to a seq.

use std::sync::Arc;

use schema::limits::SMALL_GROUP_MEMBERS_MAX;
use schema::mesh::LiveBody;
use schema::record::{EventRecordBody, ReadMarkRecord};
use schema::{ChannelId, OpReply, Seq, UserId};

use super::Operation;
use crate::appender::capacity::Cost;
use crate::appender::draft::{Draft, Step};
use crate::appender::prefetch::Prefetch;
use crate::{keys, visible};

pub(super) struct Mark {
    pub(super) user: UserId,
    pub(super) read_seq: Seq,
}

impl Operation for Mark {
    fn prefetch(&self, read: &mut Prefetch<'_>) {
        read.channel(&[self.user]);
        read.rows([keys::read(self.user, read.channel)]);
    }

    /// The mark and its event.
    fn cost(&self, _members: usize) -> Cost {
        Cost::rows(2)
    }

    /// Clamped to the head, never back, and told to the user's own devices only if it moved. The other members of a
    /// direct channel or small group hear of it live, unless a block is between them.
    fn decide(&self, draft: &mut Draft<'_>, channel: ChannelId) -> Step<OpReply> {
        let &Self { user, read_seq } = self;
        let member = draft.member(channel, user)?;
        let head = draft.channel(channel)?.head.seq;
        let stored = draft.record(keys::read(user, channel), ReadMarkRecord::decode)?.unwrap_or_default();
        let before = stored.seq.max(draft.drafted_mark(user, channel));
        let after = before.max(read_seq.min(head));
        if after > before {
            draft.raise_mark(user, channel, after);
            draft.tell(channel, EventRecordBody::Read { user, read_seq: after }, None, Arc::from([user]));
            let members = draft.drafted_members(channel);
            if !members.blocked && members.len() <= SMALL_GROUP_MEMBERS_MAX as usize {
                draft.tell_live(channel, LiveBody::Read { user, read_seq: after }, members.others(user));
            }
        }
        Ok(OpReply::Marked { read_seq: after, unread: visible::unread(head, after, member.joined_after) })
    }
}
