//! Owners of the partitions of the hash space, and the nodes they are shards of.
//!
//! Owns the partition table and the hash. Who proposes a table and how it changes is for others.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use crate::id::{ChannelId, UserId};
use crate::limits::PARTITIONS;

/// One life of a node: drawn at random when it starts, never again the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Incarnation(pub u64);

/// A view's number. A change of owners makes the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// A shard's number on its node, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShardIndex(pub u16);

/// One shard of one node's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Owner {
    /// The life of the node, which no other life of it shares.
    pub incarnation: Incarnation,
    /// The shard on it.
    pub shard: ShardIndex,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}/{}", self.incarnation.0, self.shard.0)
    }
}

/// One of the 4,096 slices of the hash space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(u16);

impl Partition {
    /// The slice that holds a channel. Part of the stored format: it never changes.
    #[must_use]
    pub fn of_channel(channel: ChannelId) -> Self {
        Self::of(b'c', channel.0)
    }

    /// The slice that holds a user's inbox.
    #[must_use]
    pub fn of_user(user: UserId) -> Self {
        Self::of(b'u', user.0)
    }

    fn of(kind: u8, id: u64) -> Self {
        let mut bytes = [kind; 9];
        bytes[1..].copy_from_slice(&id.to_be_bytes());
        let slice = xxh3_64(&bytes) % u64::from(PARTITIONS);
        Self(u16::try_from(slice).expect("below 4,096"))
    }

    /// Every one, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }

    /// Its place in a table, below 4,096.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// One node of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its life.
    pub incarnation: Incarnation,
    /// Shards that it runs.
    pub shards: u16,
    /// The share of the partitions that it is to have, beside others' weights.
    pub weight: u16,
    /// What it has to do with partitions.
    pub standing: Standing,
}

/// The part of a node in its view. Whatever it is, its sessions are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It owns partitions, or will.
    Home,
    /// It hands over those that it has left, since it is going to stop.
    Draining,
    /// It owns none, and is not going to.
    Guest,
}

/// The partition table of one epoch: who owns what, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The number of the view; a later one counts.
    pub epoch: Epoch,
    members: Box<[Member]>,
    owners: Box<[Owner]>,
    since: Box<[Epoch]>,
}

impl View {
    /// A view that follows none, of these nodes, in any order, and an owner for each partition in order.
    ///
    /// # Panics
    /// If there are not exactly 4,096 owners, or one of them is no shard of a member's.
    #[must_use]
    pub fn new(epoch: Epoch, members: Vec<Member>, owners: Vec<Owner>) -> Self {
        Self::with_since(epoch, members, owners, vec![epoch; usize::from(PARTITIONS)])
    }

    /// The view of the next epoch: whoever owns a partition in both has had it all the while.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    pub fn next(&self, members: Vec<Member>, owners: Vec<Owner>) -> Self {
        let epoch = Epoch(self.epoch.0 + 1);
        let both = self.owners.iter().zip(&self.since).zip(&owners);
        let since = both.map(|((before, since), now)| if before == now { *since } else { epoch });
        let since = since.collect();
        Self::with_since(epoch, members, owners, since)
    }

    /// A view as it is stored: each owner with the epoch that gave it its partition.
    ///
    /// # Panics
    /// As [`new`](Self::new), and if there is not exactly one epoch for each partition.
    #[must_use]
    pub fn with_since(epoch: Epoch, mut members: Vec<Member>, owners: Vec<Owner>, since: Vec<Epoch>) -> Self {
        let all = usize::from(PARTITIONS);
        assert_eq!((owners.len(), since.len()), (all, all), "one owner for each partition, and its epoch");
        members.sort_by_key(|member| member.incarnation);
        let view = Self { epoch, members: members.into(), owners: owners.into(), since: since.into() };
        let is_shard =
            |owner: &Owner| view.member(owner.incarnation).is_some_and(|member| owner.shard.0 < member.shards);
        let stranger = view.owners.iter().find(|owner| !is_shard(owner));
        assert_eq!(stranger, None, "each owner is a shard of a member");
        view
    }

    /// The table of a node that is alone: its shards in turn.
    ///
    /// # Panics
    /// If `shards` is 0.
    #[must_use]
    pub fn alone(epoch: Epoch, incarnation: Incarnation, shards: u16) -> Self {
        let owner = |partition| Owner { incarnation, shard: ShardIndex(partition % shards) };
        let member = Member { incarnation, shards, weight: shards, standing: Standing::Home };
        Self::new(epoch, vec![member], (0..PARTITIONS).map(owner).collect())
    }

    /// The nodes, by incarnation.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// A node of this view.
    #[must_use]
    pub fn member(&self, incarnation: Incarnation) -> Option<&Member> {
        let at = self.members.binary_search_by_key(&incarnation, |member| member.incarnation).ok()?;
        Some(&self.members[at])
    }

    /// The owners of the partitions, in order.
    #[must_use]
    pub fn owners(&self) -> &[Owner] {
        &self.owners
    }

    /// The epochs since which the owners have their partitions, in order.
    #[must_use]
    pub fn sinces(&self) -> &[Epoch] {
        &self.since
    }

    /// The epoch since which the owner of a partition has had it without a break, whatever views a shard has seen.
    #[must_use]
    pub fn since(&self, partition: Partition) -> Epoch {
        self.since[partition.index()]
    }

    /// Partitions that a node owns.
    #[must_use]
    pub fn owned_by(&self, incarnation: Incarnation) -> usize {
        self.owners.iter().filter(|owner| owner.incarnation == incarnation).count()
    }

    /// The shard that owns a partition.
    #[must_use]
    pub fn owner(&self, partition: Partition) -> Owner {
        self.owners[partition.index()]
    }

    /// The shard that orders a channel.
    #[must_use]
    pub fn home_of_channel(&self, channel: ChannelId) -> Owner {
        self.owner(Partition::of_channel(channel))
    }

    /// The shard that serves a user's inbox.
    #[must_use]
    pub fn home_of_user(&self, user: UserId) -> Owner {
        self.owner(Partition::of_user(user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_part_of_the_stored_format() {
        assert_eq!(Partition::of_channel(ChannelId(1)), Partition(1_202));
        assert_ne!(Partition::of_channel(ChannelId(1)), Partition::of_user(UserId(1)));
    }

    #[test]
    fn an_owner_has_had_a_partition_since_it_was_given_it() {
        let members = |shards| {
            vec![Member {
                shards,
                ..*View::alone(Epoch(1), Incarnation(1), 1).member(Incarnation(1)).expect("it is alone")
            }]
        };
        let owner = |shard| Owner { incarnation: Incarnation(1), shard: ShardIndex(shard) };
        let mut owners = vec![owner(0); usize::from(PARTITIONS)];
        let first = View::new(Epoch(7), members(2), owners.clone());
        owners[5] = owner(1);
        let second = first.next(members(2), owners.clone());
        owners[5] = owner(0);
        let third = second.next(members(2), owners);
        let since = |view: &View| (view.epoch.0, view.since(Partition(4)).0, view.since(Partition(5)).0);
        assert_eq!([since(&first), since(&second), since(&third)], [(7, 7, 7), (8, 7, 8), (9, 7, 9)]);
    }

    #[test]
    fn a_lone_node_spreads_its_partitions_evenly() {
        let view = View::alone(Epoch(1), Incarnation(1), 3);
        let mut owned = [0; 3];
        for owner in &view.owners {
            owned[usize::from(owner.shard.0)] += 1;
        }
        assert_eq!(owned, [1_366, 1_365, 1_365]);
        assert_eq!(view.owned_by(Incarnation(1)), 4_096);
    }
}
