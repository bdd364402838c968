//! Views of the world's nodes: the one that stands, who has learnt of it, and nodes that die.

use std::sync::Arc;

use router::{Input, ring};
use schema::mesh::Kicked;
use schema::{Member, Partition, View};

use super::World;

impl World {
    /// Another view is committed, in which these partitions have other owners. Nobody knows of it yet.
    pub(crate) fn change(&mut self, moved: impl IntoIterator<Item = (Partition, usize)>) {
        let mut table = self.view.owners().to_vec();
        for (partition, to) in moved {
            table[partition.index()] = self.owners[to];
        }
        let members = self.view.members().to_vec();
        self.set_view(self.view.next(members, table));
    }

    fn set_view(&mut self, view: View) {
        self.view = Arc::new(view);
        self.store.change(Arc::clone(&self.view));
    }

    pub(crate) fn moves(&mut self, names: &str, to: usize) {
        let moved: Vec<(Partition, usize)> = names.split('+').map(|name| (self.partition(name), to)).collect();
        self.change(moved);
    }

    /// A shard hears of the view that stands.
    pub(crate) fn learn(&mut self, shard: usize) {
        if self.known[shard] < self.view.epoch {
            self.known[shard] = self.view.epoch;
            let view = Arc::clone(&self.view);
            self.input(shard, Input::View { view, version: self.store.version });
        }
    }

    /// A shard that may hear of a newer view.
    pub(crate) fn behind(&self) -> Option<usize> {
        let is_behind = |shard: &usize| {
            self.known[*shard] < self.view.epoch && !self.unaware.contains(shard) && !self.dead.contains(shard)
        };
        (0..self.shards.len()).find(is_behind)
    }

    /// A node dies, with its sessions and all that is on its way to it or from it; the others share what it had.
    pub(crate) fn die(&mut self, shard: usize) {
        let life = self.owners[shard].incarnation;
        let of_node: Vec<usize> = (0..self.shards.len()).filter(|&one| self.owners[one].incarnation == life).collect();
        self.dead.extend(&of_node);
        self.mesh.retain(|(from, to), _| !of_node.contains(from) && !of_node.contains(to));
        self.asked.retain(|asked| !of_node.contains(&asked.shard));
        self.late.retain(|(shard, _)| !of_node.contains(shard));
        self.news.retain(|(shard, _)| !of_node.contains(shard));
        for client in self.clients.values_mut().filter(|client| of_node.contains(&client.shard)) {
            client.closed.get_or_insert(0);
        }
        let members: Vec<Member> =
            self.view.members().iter().copied().filter(|member| member.incarnation != life).collect();
        let table = ring::propose(Some(&self.view), &members, 0).expect("somebody is left");
        self.set_view(self.view.next(members, table));
    }

    /// The API at a shard has ended a login that nobody has.
    pub(crate) fn kicks(&mut self, user: &str, shard: usize) {
        let user = self.user(user);
        self.kicks += 1;
        let (ticket, whose) = (1_000_000 + self.kicks, Kicked::Family(99));
        self.input(shard, Input::Kick { ticket, user, whose });
    }
}
