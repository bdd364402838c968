//! A member is writing, or has stopped.

use schema::limits::SMALL_GROUP_MEMBERS_MAX;
use schema::mesh::LiveBody;
use schema::{ChannelId, OpReply, UserId};

use super::{Operation, Proof};
use crate::appender::capacity::Cost;
use crate::appender::draft::{Draft, Step};
use crate::appender::prefetch::Prefetch;

pub(super) struct Typing {
    pub(super) user: UserId,
    pub(super) on: bool,
}

impl Operation for Typing {
    fn prefetch(&self, read: &mut Prefetch<'_>) {
        read.channel(&[self.user]);
    }

    fn cost(&self, _members: usize) -> Cost {
        Cost::rows(0)
    }

    /// Told live and kept nowhere. In a large channel nobody is told.
    fn decide(&self, draft: &mut Draft<'_>, channel: ChannelId) -> Step<OpReply> {
        let &Self { user, on } = self;
        draft.member(channel, user)?;
        let members = draft.members(channel)?;
        if !members.blocked {
            let open_only = members.len() > SMALL_GROUP_MEMBERS_MAX as usize;
            draft.tell_live(channel, LiveBody::Typing { user, on, open_only }, members.others(user));
        }
        Ok(OpReply::Told)
    }

    fn proof(&self) -> Proof {
        Proof::None
    }
}
