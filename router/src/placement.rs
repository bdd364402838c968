//! Placement of channels and users on shards.
//!
//! Owns this shard's name and the view it goes by, which arrives from outside and is the only truth for routing.

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::{ChannelId, Owner, UserId, View};

/// The partition table as this shard knows it.
#[derive(Debug)]
pub(crate) struct Placement {
    /// This shard.
    pub(crate) me: Owner,
    view: Arc<View>,
}

impl Placement {
    pub(crate) fn new(me: Owner, view: Arc<View>) -> Self {
        Self { me, view }
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Goes by a newer view from here on. Returns the one before; none if this one is not newer, since word of a view
    /// comes by several ways.
    pub(crate) fn set_view(&mut self, view: Arc<View>) -> Option<Arc<View>> {
        (view.epoch > self.view.epoch).then(|| std::mem::replace(&mut self.view, view))
    }

    pub(crate) fn home_of_channel(&self, channel: ChannelId) -> Owner {
        self.view.home_of_channel(channel)
    }

    pub(crate) fn home_of_user(&self, user: UserId) -> Owner {
        self.view.home_of_user(user)
    }

    /// These users by their homes, in their order there.
    pub(crate) fn by_home(&self, users: impl IntoIterator<Item = UserId>) -> BTreeMap<Owner, Vec<UserId>> {
        by_owner(users.into_iter().map(|user| (self.home_of_user(user), user)))
    }
}

/// Items by the shards they go to, in their order there.
pub(crate) fn by_owner<T>(all: impl IntoIterator<Item = (Owner, T)>) -> BTreeMap<Owner, Vec<T>> {
    let mut owners: BTreeMap<Owner, Vec<T>> = BTreeMap::new();
    for (owner, one) in all {
        owners.entry(owner).or_default().push(one);
    }
    owners
}
