//! Placement of channels and users on shards.
//!
//! Owns this shard's name and the view it goes by, which arrives from outside and is the only truth for routing, and the
//! one before it: what is known of the lives in either counts still.

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::{ChannelId, Epoch, Incarnation, Owner, Partition, UserId, View};

/// The partition table as this shard knows it.
#[derive(Debug)]
pub(crate) struct Placement {
    /// This shard.
    pub(crate) me: Owner,
    view: Arc<View>,
    before: Option<Arc<View>>,
}

impl Placement {
    pub(crate) fn new(me: Owner, view: Arc<View>) -> Self {
        Self { me, view, before: None }
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Goes by a newer view from here on. Returns the one before; none if this one is not newer, since word of a view
    /// comes by several ways.
    pub(crate) fn set_view(&mut self, view: Arc<View>) -> Option<Arc<View>> {
        if view.epoch <= self.view.epoch {
            return None;
        }
        self.before = Some(std::mem::replace(&mut self.view, view));
        self.before.clone()
    }

    fn both(&self) -> impl Iterator<Item = &View> {
        std::iter::once(&*self.view).chain(self.before.as_deref())
    }

    /// Whether a life is one of this view or of the one before.
    pub(crate) fn has(&self, incarnation: Incarnation) -> bool {
        self.both().any(|view| view.member(incarnation).is_some())
    }

    /// Whether a shard is the home of a user, or was under the view before.
    pub(crate) fn was_home_of_user(&self, owner: Owner, user: UserId) -> bool {
        self.both().any(|view| view.home_of_user(user) == owner)
    }

    /// Whether this shard owns a partition.
    pub(crate) fn owns(&self, partition: Partition) -> bool {
        self.view.owner(partition) == self.me
    }

    /// Whether this shard owns a partition and has, without a break, since an epoch.
    pub(crate) fn owns_since(&self, partition: Partition, epoch: Epoch) -> bool {
        self.owns(partition) && self.view.since(partition) <= epoch
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
