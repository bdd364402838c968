//! One of a direct channel's two blocks the other, or does so no longer.

use std::sync::Arc;

use schema::mesh::LiveBody;
use schema::op::ChannelKind;
use schema::record::BlockRecord;
use schema::{ChannelId, ErrorCode, OpReply, UserId};

use super::Operation;
use crate::appender::capacity::Cost;
use crate::appender::draft::{Draft, MembersChange, Step, refuse};
use crate::appender::prefetch::Prefetch;
use crate::appender::rows::both_blocks;
use crate::keys;
use crate::posts::ties::{self, Ties};

pub(super) struct Block {
    pub(super) by: UserId,
    pub(super) user: UserId,
    pub(super) on: bool,
}

impl Operation for Block {
    fn prefetch(&self, read: &mut Prefetch<'_>) {
        read.channel(&[self.by]);
        read.rows(both_blocks([self.by, self.user]));
        read.rows(ties::keys_of(self.by, self.user));
    }

    /// Channel, block, and what ends with it: both orders of a friendship, of two followings, and of what each reads of the
    /// other, with the counts.
    fn cost(&self, _members: usize) -> Cost {
        Cost::rows(2 + 2 + 4 + 6 + 6)
    }

    /// A block ends the two's friendship, and neither follows the other any more; its end brings none back.
    ///
    /// A user blocks no more than the limit elsewhere and one for each of its direct channels, of which there is a
    /// limit too.
    fn decide(&self, draft: &mut Draft<'_>, channel: ChannelId) -> Step<OpReply> {
        let &Self { by, user, on } = self;
        draft.member(channel, by)?;
        let others = draft.members(channel)?.others(by);
        if draft.channel(channel)?.record.kind != ChannelKind::Direct || *others != [user] {
            return refuse(ErrorCode::BadRequest, format!("channel {channel} is not the direct one with user {user}"));
        }
        let (mine, theirs) = (draft.get(keys::block(by, user)), draft.get(keys::block(user, by)));
        let (mine, theirs) = (mine?.is_some(), theirs?.is_some());
        if mine == on {
            return Ok(OpReply::Changed { changed: false });
        }
        if on {
            let keys = ties::keys_of(by, user);
            let [friend, follows, is_followed] = keys.each_ref().map(|key| draft.get(key.clone()));
            let rows = [friend?, follows?, is_followed?];
            let severed = Ties::of_rows(&keys, rows.each_ref().map(Option::as_ref))?.severed(by, user);
            let since_ms = draft.wall();
            draft.set(keys::block(by, user), BlockRecord { since_ms }.encode());
            severed.cleared.into_iter().for_each(|key| draft.clear(key));
            severed.counted.into_iter().for_each(|(counter, change)| draft.count(counter, change));
        } else {
            draft.clear(keys::block(by, user));
        }
        draft.put_members(channel, &MembersChange::Blocked(on || theirs));
        draft.tell_live(channel, LiveBody::Blocked { by, user, on }, Arc::from([by, user]));
        Ok(OpReply::Changed { changed: true })
    }
}
