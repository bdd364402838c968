//! What is told live and kept nowhere: who writes, who has read, and blocks.
//!
//! Owns whom it is told. Nothing of it needs a commit of its own, and what another operation of its batch commits is told
//! only after that.

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::limits::SMALL_GROUP_MEMBERS_MAX;
use schema::mesh::{LiveBody, LiveEvent};
use schema::op::ChannelKind;
use schema::{ChannelId, OpReply, Owner, Seq, UserId, View};

use super::draft::{Draft, Step};

/// What a batch tells live, in the order in which it happened.
#[derive(Debug, Default)]
pub(super) struct Live(Vec<Told>);

#[derive(Debug)]
struct Told {
    channel: ChannelId,
    body: LiveBody,
    audience: Arc<[UserId]>,
}

impl Live {
    /// Takes the place of what the same user did of the same kind earlier in the batch: the last of it stands.
    pub(super) fn tell(&mut self, channel: ChannelId, body: LiveBody, audience: Arc<[UserId]>) {
        if audience.is_empty() {
            return;
        }
        self.0.retain(|told| told.channel != channel || !same(&told.body, &body));
        self.0.push(Told { channel, body, audience });
    }

    /// The same by the homes of those who are told.
    pub(super) fn by_home(&self, view: &View) -> Vec<(Owner, Vec<LiveEvent>)> {
        let mut homes: BTreeMap<Owner, Vec<LiveEvent>> = BTreeMap::new();
        for Told { channel, body, audience } in &self.0 {
            let mut split: BTreeMap<Owner, Vec<UserId>> = BTreeMap::new();
            for &user in &**audience {
                split.entry(view.home_of_user(user)).or_default().push(user);
            }
            for (home, users) in split {
                homes.entry(home).or_default().push(LiveEvent { channel: *channel, users, body: *body });
            }
        }
        homes.into_iter().collect()
    }
}

/// Whether the later of two takes the other's place.
fn same(one: &LiveBody, other: &LiveBody) -> bool {
    match (one, other) {
        (LiveBody::Typing { user: one, .. }, LiveBody::Typing { user: other, .. })
        | (LiveBody::Read { user: one, .. }, LiveBody::Read { user: other, .. })
        | (LiveBody::Blocked { by: one, .. }, LiveBody::Blocked { by: other, .. }) => one == other,
        (LiveBody::Typing { .. } | LiveBody::Read { .. } | LiveBody::Blocked { .. }, _) => false,
    }
}

impl Draft<'_> {
    /// A member writes, or has stopped. In a large channel nobody is told.
    pub(super) fn typing(&mut self, channel: ChannelId, user: UserId, on: bool) -> Step<OpReply> {
        self.member(channel, user)?;
        let members = self.members(channel)?;
        if !members.blocked {
            let open_only = members.len() > SMALL_GROUP_MEMBERS_MAX as usize;
            self.live.tell(channel, LiveBody::Typing { user, on, open_only }, members.others(user));
        }
        Ok(OpReply::Told)
    }

    /// The other members of a direct channel or small group hear that one has read, unless a block is between them.
    pub(super) fn tell_read(&mut self, channel: ChannelId, user: UserId, read_seq: Seq) {
        let members = self.drafted_members(channel);
        if !members.blocked && members.len() <= SMALL_GROUP_MEMBERS_MAX as usize {
            self.live.tell(channel, LiveBody::Read { user, read_seq }, members.others(user));
        }
    }

    /// Whether the channel is between two alone.
    pub(super) fn is_direct(&mut self, channel: ChannelId) -> Step<bool> {
        Ok(match self.channel(channel)?.record.kind {
            ChannelKind::Direct => true,
            ChannelKind::Group | ChannelKind::Large => false,
        })
    }
}
