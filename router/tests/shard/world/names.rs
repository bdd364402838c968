//! Names of users and channels, from which their ids and homes follow.
//!
//! Owns which shard is whose home at first, so that a row can tell by a letter.

use std::collections::BTreeMap;

use schema::{ChannelId, Partition, UserId};

use super::World;

/// Names of channels, by their ids.
#[derive(Default)]
pub(crate) struct Names {
    channels: BTreeMap<ChannelId, String>,
    users: BTreeMap<UserId, String>,
    /// Whether channels without a name may be spoken of.
    pub(crate) is_odd: bool,
}

impl Names {
    pub(crate) fn channel(&self, id: ChannelId) -> &str {
        match self.channels.get(&id) {
            Some(name) => name,
            None if self.is_odd => "?",
            None => panic!("{id} has no name"),
        }
    }

    pub(crate) fn user(&self, id: UserId) -> &str {
        self.users.get(&id).map_or("?", String::as_str)
    }

    pub(crate) fn is_large(&self, id: ChannelId) -> bool {
        self.channels.get(&id).is_some_and(|name| name.starts_with('L'))
    }

    pub(crate) fn id(&self, channel: &str) -> ChannelId {
        let named = self.channels.iter().find(|(_, name)| *name == channel);
        *named.unwrap_or_else(|| panic!("{channel} is not there")).0
    }

    /// The word that a text begins with: bodies may be filled up to a size.
    pub(crate) fn short<'a>(&self, text: &'a str) -> &'a str {
        text.split('_').next().unwrap_or_default()
    }
}

impl World {
    /// A user by name. The homes of `a`, `c`, … and of `b`, `d`, … differ if there are two shards.
    pub(crate) fn user(&mut self, name: &str) -> UserId {
        let shards = self.shards.len();
        let view = &self.first;
        let number = name.bytes().fold(0, |sum, byte| sum * 256 + u64::from(byte));
        let home = self.owners[usize::try_from(number).expect("short") % shards];
        let id = (number << 16..).map(UserId).find(|&id| view.home_of_user(id) == home);
        let id = *self.store.users.entry(name.to_owned()).or_insert(id.expect("half of them are"));
        self.names.users.insert(id, name.to_owned());
        id
    }

    /// The shard that is a user's home.
    pub(crate) fn home_of(&mut self, name: &str) -> usize {
        let user = self.user(name);
        let home = self.view.home_of_user(user);
        self.shard_of(home).expect("a view names shards that there are")
    }

    /// A channel, named by its members, who are letters; a large one has an `L` before them.
    pub(crate) fn channel(&mut self, name: &str) -> ChannelId {
        let (large, letters) = name.strip_prefix('L').map_or((false, name), |letters| (true, letters));
        let members = letters.chars().map(|letter| self.user(&letter.to_string())).collect();
        self.channel_of(name, large, members)
    }

    pub(crate) fn channel_of(&mut self, name: &str, large: bool, members: Vec<UserId>) -> ChannelId {
        let number = name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let id = ChannelId(number);
        self.names.channels.insert(id, name.to_owned());
        self.store.channel(id, large, members);
        id
    }

    /// The partition of a user, which is a letter, or of a channel.
    pub(crate) fn partition(&mut self, name: &str) -> Partition {
        if name.len() == 1 { Partition::of_user(self.user(name)) } else { Partition::of_channel(self.channel(name)) }
    }
}
