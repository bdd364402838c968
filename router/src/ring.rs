//! Ring of partitions: which shard is to own which, given the nodes and who owns what now.
//!
//! Owns the share of each node and the choice of what moves. A partition moves only where a node has joined, is to give
//! up what it has, is gone, or has too much: a node that joins is given its share, by those who have most beyond theirs,
//! and what a node leaves behind goes to those who lack most. So a change moves hardly more than the share of who comes
//! or goes. Partitions are slices of a hash, so it does not matter which of an owner's moves: the lowest does. Whole
//! numbers alone decide, so every node and every version comes to the same table.

use schema::limits::PARTITIONS;
use schema::{Incarnation, Member, Owner, ShardIndex, Standing, View};

/// All partitions.
const ALL: u64 = PARTITIONS as u64;

/// Proposes an owner for each partition, in order, to follow `view`.
///
/// A [`Home`](Standing::Home) is to have its weight's part of the partitions, its shards alike; nobody else any. No
/// shard has more than 1.1 times its share, or one more than it where that is less than a partition. At most
/// `moves_max` partitions change their owner, those of members that are gone not counted, which all do: until it
/// returns what `view` has, it is to be asked again. Where all homes are leaving, those that leave keep what they have.
///
/// `None` if nobody could own anything: there is no home, nor one that leaves.
#[must_use]
pub fn propose(view: Option<&View>, members: &[Member], moves_max: usize) -> Option<Vec<Owner>> {
    let mut table = Table::new(view, members, moves_max)?;
    table.place_ownerless();
    table.empty_leaving();
    table.fill_lacking();
    table.cut_beyond_bound();
    table.owners.into_iter().collect()
}

/// A node that may own partitions.
#[derive(Debug)]
struct Taker {
    incarnation: Incarnation,
    weight: u64,
    /// Partitions of each of its shards, and of them all.
    loads: Vec<u64>,
    load: u64,
}

impl Taker {
    fn owner(&self, shard: usize) -> Owner {
        Owner { incarnation: self.incarnation, shard: ShardIndex(u16::try_from(shard).expect("shards are 16 bits")) }
    }

    /// Partitions beyond its share, below 0 if it lacks some, in parts of which `total` make one.
    fn beyond_share(&self, total: u64) -> i64 {
        let signed = |count: u64| i64::try_from(count).expect("4,096 times 65,536 nodes' weights of 16 bits");
        signed(self.load * total) - signed(ALL * self.weight)
    }

    /// Partitions that one of its shards may have.
    fn shard_max(&self, total: u64) -> u64 {
        let parts = total * self.loads.len() as u64;
        (ALL * self.weight).div_ceil(parts).max(ALL * self.weight * 11 / (parts * 10))
    }

    fn emptiest(&self) -> usize {
        (0..self.loads.len()).min_by_key(|&shard| (self.loads[shard], shard)).expect("a taker has shards")
    }

    fn fullest(&self) -> usize {
        let fullest = (0..self.loads.len()).max_by_key(|&shard| (self.loads[shard], std::cmp::Reverse(shard)));
        fullest.expect("a taker has shards")
    }
}

/// The table while it is changed.
#[derive(Debug)]
struct Table {
    /// By incarnation.
    takers: Vec<Taker>,
    /// The takers' weights together.
    total: u64,
    owners: Vec<Option<Owner>>,
    before: Vec<Option<Owner>>,
    /// Partitions that may yet change their owner.
    moves_left: usize,
}

impl Table {
    fn new(view: Option<&View>, members: &[Member], moves_max: usize) -> Option<Self> {
        let mut members: Vec<Member> = members.iter().copied().filter(|member| member.shards > 0).collect();
        members.sort_by_key(|member| member.incarnation);
        let of = |standing| members.iter().filter(move |member| member.standing == standing);
        let takes: Vec<&Member> = match of(Standing::Home).next() {
            Some(_) => of(Standing::Home).collect(),
            None => of(Standing::Draining).collect(),
        };
        // Homes of no weight are no worse than none.
        let is_weighted = takes.iter().any(|member| member.weight > 0);
        let takers = takes.iter().filter(|member| !is_weighted || member.weight > 0).map(|member| Taker {
            incarnation: member.incarnation,
            weight: if is_weighted { u64::from(member.weight) } else { 1 },
            loads: vec![0; usize::from(member.shards)],
            load: 0,
        });
        let takers: Vec<Taker> = takers.collect();
        let is_there = |owner: &Owner| {
            let found = members.binary_search_by_key(&owner.incarnation, |member| member.incarnation);
            found.is_ok_and(|at| owner.shard.0 < members[at].shards)
        };
        let owner_of = |partition: usize| view.map(|view| view.owners()[partition]).filter(is_there);
        let owners: Vec<Option<Owner>> = (0..usize::from(PARTITIONS)).map(owner_of).collect();
        let total = takers.iter().map(|taker| taker.weight).sum();
        let mut table = Self { takers, total, before: owners.clone(), owners, moves_left: moves_max };
        for owner in table.before.clone().into_iter().flatten() {
            if let Some(at) = table.taker(owner) {
                table.takers[at].loads[usize::from(owner.shard.0)] += 1;
                table.takers[at].load += 1;
            }
        }
        (!table.takers.is_empty()).then_some(table)
    }

    fn taker(&self, owner: Owner) -> Option<usize> {
        self.takers.binary_search_by_key(&owner.incarnation, |taker| taker.incarnation).ok()
    }

    /// The taker that lacks most, and how much.
    fn neediest(&self) -> (usize, i64) {
        let beyond = self.takers.iter().map(|taker| taker.beyond_share(self.total)).enumerate();
        beyond.min_by_key(|&(at, beyond)| (beyond, at)).expect("there are takers")
    }

    /// The taker that has most beyond its share, and how much.
    fn richest(&self) -> (usize, i64) {
        let beyond = self.takers.iter().map(|taker| taker.beyond_share(self.total)).enumerate();
        beyond.max_by_key(|&(at, beyond)| (beyond, std::cmp::Reverse(at))).expect("there are takers")
    }

    /// Gives a partition to the emptiest shard of a taker, if that is within the moves.
    fn give(&mut self, partition: usize, taker: usize) -> bool {
        let (before, now) = (self.before[partition], self.owners[partition]);
        let is_move = before.is_some() && now == before;
        if is_move && self.moves_left == 0 {
            return false;
        }
        self.moves_left -= usize::from(is_move);
        if let Some((owner, at)) = now.and_then(|owner| Some((owner, self.taker(owner)?))) {
            self.takers[at].loads[usize::from(owner.shard.0)] -= 1;
            self.takers[at].load -= 1;
        }
        let shard = self.takers[taker].emptiest();
        self.takers[taker].loads[shard] += 1;
        self.takers[taker].load += 1;
        self.owners[partition] = Some(self.takers[taker].owner(shard));
        true
    }

    /// The lowest partition of a shard of a taker.
    fn lowest_of(&self, taker: usize, shard: usize) -> usize {
        let owner = Some(self.takers[taker].owner(shard));
        self.owners.iter().position(|&one| one == owner).expect("the shard has partitions")
    }

    /// What nobody owns goes to those who lack most.
    fn place_ownerless(&mut self) {
        for partition in 0..self.owners.len() {
            if self.owners[partition].is_none() {
                let (neediest, _) = self.neediest();
                self.give(partition, neediest);
            }
        }
    }

    /// Whoever is to own nothing gives it to those who lack most.
    fn empty_leaving(&mut self) {
        for partition in 0..self.owners.len() {
            let is_leaving = self.owners[partition].is_some_and(|owner| self.taker(owner).is_none());
            if is_leaving && !self.give(partition, self.neediest().0) {
                return;
            }
        }
    }

    /// Whoever lacks a partition is given one, by who has most beyond its share.
    fn fill_lacking(&mut self) {
        let one = i64::try_from(self.total).expect("a sum of weights");
        loop {
            let ((neediest, lack), (richest, beyond)) = (self.neediest(), self.richest());
            if -lack < one || beyond <= 0 {
                return;
            }
            let partition = self.lowest_of(richest, self.takers[richest].fullest());
            if !self.give(partition, neediest) {
                return;
            }
        }
    }

    /// A shard that has more than it may gives it to those who lack most.
    fn cut_beyond_bound(&mut self) {
        let is_beyond = |taker: &Taker, total| taker.loads[taker.fullest()] > taker.shard_max(total);
        while let Some(at) = self.takers.iter().position(|taker| is_beyond(taker, self.total)) {
            let shard = self.takers[at].fullest();
            let partition = self.lowest_of(at, shard);
            // Taken out first: it may be that nobody lacks as much as its own node then does.
            let is_own = self.takers[at].beyond_share(self.total) - i64::try_from(self.total).expect("weights");
            let (neediest, lack) = self.neediest();
            let to = if is_own < lack { at } else { neediest };
            if !self.give(partition, to) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use schema::Epoch;

    use super::*;

    const EVERYTHING: usize = PARTITIONS as usize;

    /// One change of the members.
    #[derive(Debug, Clone)]
    enum Change {
        Join { shards: u16, weight: u16 },
        Drain(usize),
        Die(usize),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            3 => (1_u16..=16, 1_u16..=8).prop_map(|(shards, weight)| Change::Join { shards, weight }),
            1 => any::<usize>().prop_map(Change::Drain),
            1 => any::<usize>().prop_map(Change::Die),
        ]
    }

    /// Shards and weights of so many nodes at most.
    fn nodes(most: usize) -> impl Strategy<Value = Vec<(u16, u16)>> {
        proptest::collection::vec((1_u16..=16, 1_u16..=8), 1..=most)
    }

    /// A cluster whose table follows its members.
    struct Cluster {
        members: Vec<Member>,
        view: Option<View>,
        born: u64,
    }

    impl Cluster {
        fn join(&mut self, shards: u16, weight: u16) -> Incarnation {
            self.born += 1;
            // In no order, as lives are drawn.
            let incarnation = Incarnation(self.born.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            self.members.push(Member { incarnation, shards, weight, standing: Standing::Home });
            incarnation
        }

        /// One view more. Returns how many partitions of members that are there changed their owner.
        fn step(&mut self, moves_max: usize) -> usize {
            let owners = propose(self.view.as_ref(), &self.members, moves_max).expect("there is a home");
            let reversed: Vec<Member> = self.members.iter().rev().copied().collect();
            assert_eq!(Some(&owners), propose(self.view.as_ref(), &reversed, moves_max).as_ref(), "one table for all");
            let is_there = |owner: &Owner| self.members.iter().any(|one| one.incarnation == owner.incarnation);
            let before = self.view.iter().flat_map(|view| view.owners());
            let moved = before.zip(&owners).filter(|(before, now)| before != now && is_there(before)).count();
            assert!(moved <= moves_max, "{moved} partitions moved, {moves_max} may");
            let epoch = Epoch(self.view.as_ref().map_or(1, |view| view.epoch.0 + 1));
            self.view = Some(View::new(epoch, self.members.clone(), owners));
            moved
        }

        fn loads(&self) -> BTreeMap<Owner, usize> {
            let mut loads = BTreeMap::new();
            for &owner in self.view.as_ref().expect("a view").owners() {
                *loads.entry(owner).or_default() += 1;
            }
            loads
        }

        fn weights(&self) -> f64 {
            let homes = self.members.iter().filter(|member| member.standing == Standing::Home);
            homes.map(|member| f64::from(member.weight)).sum()
        }

        /// Partitions that are a shard's share.
        fn share(&self, incarnation: Incarnation) -> f64 {
            let member = self.members.iter().find(|member| member.incarnation == incarnation).expect("a member");
            EVERYTHING as f64 * f64::from(member.weight) / self.weights() / f64::from(member.shards)
        }

        fn shard_max(&self, incarnation: Incarnation) -> f64 {
            let share = self.share(incarnation);
            (share * 1.1).max(share.ceil()) + 1e-9
        }

        fn check_balance(&self) {
            for (owner, load) in self.loads() {
                let max = self.shard_max(owner.incarnation);
                assert!(load as f64 <= max, "{owner} has {load}, its share is {}", self.share(owner.incarnation));
            }
            for member in &self.members {
                let owned = self.view.as_ref().map_or(0, |view| view.owned_by(member.incarnation));
                match member.standing {
                    Standing::Home => {
                        let share = self.share(member.incarnation) * f64::from(member.shards);
                        assert!(owned as f64 > share - 1.0, "{member:?} has {owned} of {share}");
                    }
                    Standing::Draining | Standing::Guest => assert_eq!(owned, 0, "{member:?}"),
                }
            }
        }
    }

    /// Changes one after the other; each moves the share of who comes or goes, and nothing between those who stay but
    /// for the bound. `moves_max` partitions move in a step.
    fn check(first: &[(u16, u16)], changes: &[Change], moves_max: usize) {
        let mut cluster = Cluster { members: Vec::new(), view: None, born: 0 };
        for &(shards, weight) in first {
            cluster.join(shards, weight);
        }
        cluster.step(0);
        cluster.check_balance();
        for change in changes {
            let homes = cluster.members.len();
            let (changed, share) = match *change {
                Change::Join { shards, weight } => {
                    let joined = cluster.join(shards, weight);
                    (joined, cluster.share(joined) * f64::from(shards))
                }
                Change::Drain(at) if homes > 1 => {
                    let member = &mut cluster.members[at % homes];
                    let incarnation = member.incarnation;
                    member.standing = Standing::Draining;
                    let owned = cluster.view.as_ref().map_or(0, |view| view.owned_by(incarnation));
                    (incarnation, owned as f64)
                }
                Change::Die(at) if homes > 1 => (cluster.members.remove(at % homes).incarnation, 0.0),
                Change::Drain(_) | Change::Die(_) => continue,
            };
            let before = cluster.view.clone().expect("a view");
            let loads = cluster.loads();
            let mut moved = 0;
            for steps in 0.. {
                let of_step = cluster.step(moves_max);
                moved += of_step;
                if of_step == 0 && steps > 0 {
                    break;
                }
                assert!(steps < 2 + EVERYTHING / moves_max, "it comes to an end");
            }
            cluster.check_balance();
            assert!(moved as f64 <= (share * 1.5).max(share + 2.0), "{moved} moved for {share}: {change:?}");
            for (from, to) in before.owners().iter().zip(cluster.view.as_ref().expect("a view").owners()) {
                let between_others = from != to && from.incarnation != changed && to.incarnation != changed;
                let is_over = || loads[from] as f64 > cluster.shard_max(from.incarnation);
                assert!(!between_others || is_over(), "from {from} to {to} for {change:?} of {changed:?}");
            }
            cluster.members.retain(|member| member.standing == Standing::Home);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_change_moves_the_share_of_who_comes_or_goes_and_leaves_no_shard_with_too_much(
            first in nodes(64),
            changes in proptest::collection::vec(change(), 1..10),
        ) {
            check(&first, &changes, EVERYTHING);
        }

        #[test]
        fn a_change_goes_in_steps(first in nodes(8), changes in proptest::collection::vec(change(), 1..6)) {
            check(&first, &changes, EVERYTHING / 8);
        }
    }

    #[test]
    fn nodes_alike_have_the_same_to_within_one() {
        let mut cluster = Cluster { members: Vec::new(), view: None, born: 0 };
        for nodes in 1..=64_usize {
            cluster.join(16, 16);
            let moved = cluster.step(EVERYTHING);
            assert!(moved <= EVERYTHING.div_ceil(nodes), "{moved} of {nodes}");
            for member in &cluster.members {
                let owned = cluster.view.as_ref().expect("a view").owned_by(member.incarnation);
                assert!(owned.abs_diff(EVERYTHING / nodes) <= 1, "{owned} of {nodes} nodes");
            }
        }
    }

    #[test]
    fn whatever_the_table_was_no_shard_keeps_too_much() {
        let member =
            |number, shards| Member { incarnation: Incarnation(number), shards, weight: 4, standing: Standing::Home };
        let members = vec![member(1, 2), member(2, 2), member(3, 1)];
        let owner = |number, shard| Owner { incarnation: Incarnation(number), shard: ShardIndex(shard) };
        let mostly = |many: usize| (0..EVERYTHING).map(move |at| if at < many { owner(1, 1) } else { owner(2, 0) });
        for many in [0, 1, 800, 1_500, EVERYTHING] {
            let view = View::new(Epoch(1), members.clone(), mostly(many).collect());
            let mut cluster = Cluster { members: members.clone(), view: Some(view), born: 3 };
            // One node has twice as many shards now.
            cluster.members[0].shards = 4;
            while cluster.step(EVERYTHING / 8) > 0 {}
            cluster.check_balance();
        }
    }

    #[test]
    fn what_nobody_may_have_stays_or_is_no_table() {
        let member = |number, standing| Member { incarnation: Incarnation(number), shards: 2, weight: 2, standing };
        let alone = View::alone(Epoch(1), Incarnation(1), 2);
        let of = |members: &[Member]| propose(Some(&alone), members, EVERYTHING);
        assert_eq!(of(&[member(1, Standing::Draining)]).as_deref(), Some(alone.owners()));
        assert_eq!(of(&[member(1, Standing::Draining), member(2, Standing::Guest)]).as_deref(), Some(alone.owners()));
        assert_eq!(of(&[member(1, Standing::Guest)]), None);
        assert_eq!(of(&[]), None);
        let taken = of(&[member(1, Standing::Draining), member(2, Standing::Home)]).expect("a home");
        assert!(taken.iter().all(|owner| owner.incarnation == Incarnation(2)));
        // Who is gone waits for nobody.
        let taken = propose(Some(&alone), &[member(2, Standing::Home)], 0).expect("a home");
        assert!(taken.iter().all(|owner| owner.incarnation == Incarnation(2)));
    }
}
