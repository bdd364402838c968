//! Who sees the posts of a feed, by rows of people: friends, blocks, and whether an account is public.
//!
//! Owns the same rule as [`crate::posts::Relation`], over rows as this batch has left them so far.

use schema::record::{FriendRecord, FriendState, UserRecord};
use schema::{Audience, ChannelId, ErrorCode, UserId};

use super::{Draft, Step, refuse};
use crate::appender::rows::both_blocks;
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

    /// Whether one of two users blocks the other.
    pub(in crate::appender) fn blocks(&mut self, one: UserId, other: UserId) -> Step<bool> {
        let [mine, theirs] = both_blocks([one, other]).map(|key| self.get(key));
        Ok(mine?.is_some() | theirs?.is_some())
    }

    /// Those of these users who know another: who are friends of it, or follow it.
    pub(in crate::appender) fn who_know(&mut self, users: &[UserId], other: UserId) -> Step<Vec<UserId>> {
        let mut known = Vec::new();
        self.all(users.iter().copied(), |draft, user| {
            let friend = draft.record(keys::friend(user, other), FriendRecord::decode);
            let follows = draft.get(keys::follow(user, other));
            let is_friend = friend?.is_some_and(|record| record.state == FriendState::Accepted);
            if follows?.is_some() || is_friend {
                known.push(user);
            }
            Ok(())
        })?;
        Ok(known)
    }

    /// Whether all these users, whom `from` names there, see what is for `audience` in an author's feed. A block between the
    /// two who write and are named is told as nothing else.
    pub(in crate::appender) fn check_mentions_see(
        &mut self,
        (author, from): (UserId, UserId),
        users: &[UserId],
        audience: Audience,
    ) -> Step<()> {
        self.all(users.iter().copied(), |draft, user| {
            let (sees, blocks) = (draft.sees(author, user, audience), draft.blocks(from, user));
            if sees? & !blocks? {
                return Ok(());
            }
            refuse(ErrorCode::BadRequest, format!("user {user}, who is mentioned, does not see the post"))
        })
    }
}
