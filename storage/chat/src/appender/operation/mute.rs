//! A member wants notifications, or none.

use schema::record::MemberRecord;
use schema::{ChannelId, OpReply, UserId};

use super::Operation;
use crate::appender::capacity::Cost;
use crate::appender::draft::{Draft, Step};
use crate::appender::prefetch::Prefetch;
use crate::keys;

pub(super) struct SetMuted {
    pub(super) user: UserId,
    pub(super) muted: bool,
}

impl Operation for SetMuted {
    fn prefetch(&self, read: &mut Prefetch<'_>) {
        read.channel(&[self.user]);
        read.rows([keys::member(read.channel, self.user)]);
    }

    /// Both orders of a membership, and its role's.
    fn cost(&self, _members: usize) -> Cost {
        Cost::rows(3)
    }

    /// Nobody else is told.
    fn decide(&self, draft: &mut Draft<'_>, channel: ChannelId) -> Step<OpReply> {
        let &Self { user, muted } = self;
        draft.member(channel, user)?;
        let record = draft.member_record(channel, user)?;
        if record.muted == muted {
            return Ok(OpReply::Changed { changed: false });
        }
        let kind = draft.channel(channel)?.record.kind;
        draft.put_member(kind, channel, user, &MemberRecord { muted, ..record });
        Ok(OpReply::Changed { changed: true })
    }
}
