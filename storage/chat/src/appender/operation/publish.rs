//! An application's backend tells those who are there something, which is kept nowhere.

use std::sync::Arc;

use schema::limits::{PUBLISHED_BYTES_MAX, SMALL_GROUP_MEMBERS_MAX};
use schema::mesh::LiveBody;
use schema::op::ChannelKind;
use schema::{ChannelId, ErrorCode, OpReply, UserId};

use super::{Operation, Proof};
use crate::appender::capacity::Cost;
use crate::appender::draft::{Draft, Step, refuse};
use crate::appender::prefetch::Prefetch;

pub(super) struct Publish<'a> {
    pub(super) by: UserId,
    pub(super) event: &'a Arc<str>,
    pub(super) data: &'a Arc<str>,
}

impl Operation for Publish<'_> {
    fn prefetch(&self, read: &mut Prefetch<'_>) {
        read.channel(&[self.by]);
    }

    fn cost(&self, _members: usize) -> Cost {
        Cost::rows(0)
    }

    /// Told as typing is: to all of a small group, of a larger one to those who have it open. A large channel lists nobody.
    fn decide(&self, draft: &mut Draft<'_>, channel: ChannelId) -> Step<OpReply> {
        draft.member(channel, self.by)?;
        let bytes = self.data.len();
        if bytes > PUBLISHED_BYTES_MAX as usize {
            return refuse(ErrorCode::BodyTooLong, format!("{bytes} bytes, the limit is {PUBLISHED_BYTES_MAX}"));
        }
        match draft.channel(channel)?.record.kind {
            ChannelKind::Direct | ChannelKind::Group => {}
            ChannelKind::Large | ChannelKind::Feed => {
                return refuse(ErrorCode::PermissionDenied, "such a channel tells its messages and nothing else");
            }
        }
        let members = draft.members(channel)?;
        if !members.blocked {
            let open_only = members.len() > SMALL_GROUP_MEMBERS_MAX as usize;
            let (event, data) = (Arc::clone(self.event), Arc::clone(self.data));
            draft.tell_live(channel, LiveBody::Published { event, data, open_only }, Arc::clone(&members.users));
        }
        Ok(OpReply::Told)
    }

    fn proof(&self) -> Proof {
        Proof::None
    }
}
