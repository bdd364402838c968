//! Who sees the posts of a feed, by rows of people: friends, blocks, and whether an account is public.
//!
//! Owns the same rule as [`crate::posts::Relation`], over rows as this batch has left them so far.

use schema::record::{FriendRecord, FriendState, UserRecord};
use schema::{Audience, ChannelId, ErrorCode, UserId};

use super::{Draft, Step, refuse};
use crate::keys;

/// The rows that say whether a user sees an author's posts.
pub(in crate::appender) fn sight(author: UserId, user: UserId) -> [Vec<u8>; 4] {
    [keys::friend(author, user), keys::block(author, user), keys::block(user, author), keys::user(author)]
}

impl Draft<'_> {
    /// Whose feed a channel is that exists, if it is one.
    pub(in crate::appender) fn author(&mut self, channel: ChannelId) -> Step<Option<UserId>> {
        Ok(match self.channel(channel)?.record.kind {
            schema::op::ChannelKind::Feed => Some(self.channel(channel)?.record.creator),
            schema::op::ChannelKind::Direct | schema::op::ChannelKind::Group | schema::op::ChannelKind::Large => None,
        })
    }

    /// Whether a user sees what is for `audience` in an author's feed. An application's own account sees all.
    pub(in crate::appender) fn sees(&mut self, author: UserId, user: UserId, audience: Audience) -> Step<bool> {
        if user == author || user.is_system() {
            return Ok(true);
        }
        let [friend, blocks, blocked, account] = sight(author, user);
        // All of them before any is missed, so that one more round reads them.
        let friend = self.record(friend, FriendRecord::decode);
        let (blocks, blocked) = (self.get(blocks), self.get(blocked));
        let account = self.record(account, UserRecord::decode);
        let (friend, blocks, blocked, account) = (friend?, blocks?, blocked?, account?);
        let by_audience = match audience {
            Audience::Friends => false,
            Audience::Public => account.is_some_and(|record| record.public),
        };
        let is_friend = friend.is_some_and(|record| record.state == FriendState::Accepted);
        Ok(blocks.is_none() && blocked.is_none() && (is_friend || by_audience))
    }

    /// Whether all these users, who are named there, see what is for `audience` in an author's feed.
    pub(in crate::appender) fn check_mentions_see(
        &mut self,
        author: UserId,
        users: &[UserId],
        audience: Audience,
    ) -> Step<()> {
        self.all(users.iter().copied(), |draft, user| {
            if draft.sees(author, user, audience)? {
                return Ok(());
            }
            refuse(ErrorCode::BadRequest, format!("user {user}, who is mentioned, does not see the post"))
        })
    }
}
