//! Live notices, which are kept nowhere: who writes, who has read, and blocks.
//!
//! Owns who is told of them. None of them needs a commit of its own, and what another operation of its batch commits is
//! told only after that.

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::mesh::{LiveBody, LiveEvent};
use schema::{ChannelId, Owner, UserId, View};

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
                homes.entry(home).or_default().push(LiveEvent { channel: *channel, users, body: body.clone() });
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
        // Each is told: none is the state of anything.
        (LiveBody::Published { .. } | LiveBody::FeedHead { .. }, _) => false,
        (LiveBody::Typing { .. } | LiveBody::Read { .. } | LiveBody::Blocked { .. }, _) => false,
    }
}
