//! An owner or admin gives a group or a large channel another title.

use schema::event::{MemberChange, Role};
use schema::limits::TITLE_CHARS_MAX;
use schema::{ChannelId, ErrorCode, OpReply, UserId};

use super::Operation;
use crate::appender::capacity::Cost;
use crate::appender::draft::{Draft, Step, refuse};
use crate::appender::prefetch::Prefetch;

pub(super) struct SetTitle<'a> {
    pub(super) by: UserId,
    pub(super) title: &'a str,
}

impl Operation for SetTitle<'_> {
    fn prefetch(&self, read: &mut Prefetch<'_>) {
        read.channel(&[self.by]);
    }

    /// The channel, and its event.
    fn cost(&self, members: usize) -> Cost {
        Cost::rows(1 + members).and_bytes(self.title.len())
    }

    fn decide(&self, draft: &mut Draft<'_>, channel: ChannelId) -> Step<OpReply> {
        let by = draft.group_member(channel, self.by)?;
        if by.role < Role::Admin {
            return refuse(ErrorCode::PermissionDenied, "only an owner or an admin may change the title");
        }
        check_title(self.title)?;
        if draft.channel(channel)?.record.title == self.title {
            return Ok(OpReply::Changed { changed: false });
        }
        draft.put_title(channel, self.title);
        draft.tell_membership(channel, by.user, MemberChange::Title, by.role);
        Ok(OpReply::Changed { changed: true })
    }
}

/// Refuses a title that is too long.
pub(super) fn check_title(title: &str) -> Step<()> {
    if title.chars().count() > TITLE_CHARS_MAX as usize {
        return refuse(ErrorCode::BadRequest, format!("a title has at most {TITLE_CHARS_MAX} characters"));
    }
    Ok(())
}
