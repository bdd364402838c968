//! A channel's title, a member's mute, and a block between the two of a direct channel.

use std::sync::Arc;

use schema::event::{MemberChange, Role};
use schema::limits::TITLE_CHARS_MAX;
use schema::mesh::LiveBody;
use schema::record::{BlockRecord, MemberRecord};
use schema::{ChannelId, ErrorCode, OpReply, UserId};

use super::draft::{Draft, Step, refuse};
use super::writing::MembersChange;
use crate::keys;

impl Draft<'_> {
    /// An owner or admin gives a group or a large channel another title.
    pub(super) fn set_title(&mut self, channel: ChannelId, by: UserId, title: &str) -> Step<OpReply> {
        let by = self.group_member(channel, by)?;
        if by.role < Role::Admin {
            return refuse(ErrorCode::PermissionDenied, "only an owner or an admin may change the title");
        }
        check_title(title)?;
        if self.channel(channel)?.record.title == title {
            return Ok(OpReply::Changed { changed: false });
        }
        self.put_title(channel, title);
        self.tell_membership(channel, by.user, MemberChange::Title, by.role);
        Ok(OpReply::Changed { changed: true })
    }

    /// A member wants notifications, or none. Nobody else is told.
    pub(super) fn set_muted(&mut self, channel: ChannelId, user: UserId, muted: bool) -> Step<OpReply> {
        self.member(channel, user)?;
        let record = self.member_record(channel, user)?;
        if record.muted == muted {
            return Ok(OpReply::Changed { changed: false });
        }
        let (kind, ..) = self.drafted(channel);
        self.put_member(kind, channel, user, &MemberRecord { muted, ..record });
        Ok(OpReply::Changed { changed: true })
    }

    /// One of the two blocks the other, which ends their friendship, or does so no longer, which brings none back.
    ///
    /// A user blocks no more than the limit elsewhere and one for each of its direct channels, of which there is a limit too.
    pub(super) fn block(&mut self, channel: ChannelId, by: UserId, user: UserId, on: bool) -> Step<OpReply> {
        self.member(channel, by)?;
        let others = self.members(channel)?.others(by);
        if !self.is_direct(channel)? || *others != [user] {
            return refuse(ErrorCode::BadRequest, format!("channel {channel} is not the direct one with user {user}"));
        }
        let (mine, theirs) = (self.get(keys::block(by, user)), self.get(keys::block(user, by)));
        let (mine, theirs) = (mine?.is_some(), theirs?.is_some());
        if mine == on {
            return Ok(OpReply::Changed { changed: false });
        }
        if on {
            let since_ms = self.terms.wall;
            self.set(keys::block(by, user), BlockRecord { since_ms }.encode());
            self.clear(keys::friend(by, user));
            self.clear(keys::friend(user, by));
        } else {
            self.clear(keys::block(by, user));
        }
        self.put_members(channel, &MembersChange::Blocked(on || theirs));
        self.live.tell(channel, LiveBody::Blocked { by, user, on }, Arc::from([by, user]));
        Ok(OpReply::Changed { changed: true })
    }
}

/// Whether a channel may be called so.
pub(super) fn check_title(title: &str) -> Step<()> {
    if title.chars().count() > TITLE_CHARS_MAX as usize {
        return refuse(ErrorCode::BadRequest, format!("a title has at most {TITLE_CHARS_MAX} characters"));
    }
    Ok(())
}
