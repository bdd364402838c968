//! Nodes that come, go and fall silent beside each other on one store, in scripts; every heartbeat comes a second after
//! its node's last, and proposes what it sees to be due.
//!
//! ```text
//! 2 beats     a heartbeat of node 2             2 drains    it hands over from its next heartbeat on
//! all beat    one of each node                  2 leaves    it stops, having handed over
//! all beat x9 again and again                   2 sleeps    it is not among all any more
//! 3 follows 2  it is the next life of 2's node, which is over
//! 3 is named 2 it has the name of node 2
//! 2 has no links, another secret, another key, is newer: it, and who is made after it
//! ```
//!
//! What a step came to is the last view that it brought somebody, as `epoch node:partitions …` with `~` at one that
//! hands over, or `over` at a node that is in no view any more.

use std::collections::{BTreeMap, BTreeSet};

use chat::view;
use futures_lite::future::block_on;
use kv::memory::MemoryEngine;
use schema::limits::BEAT_MS;
use schema::record::NodeRecord;
use schema::{Incarnation, Instant, Now, Standing, UnixMs, View};

use super::{Beat, Membership, News, Wish};

struct Cluster {
    engine: MemoryEngine,
    nodes: BTreeMap<u64, (Membership<MemoryEngine>, u64)>,
    asleep: BTreeSet<u64>,
    /// The life before each, where that is known to be over.
    follows: BTreeMap<u64, u64>,
    /// The number in the name of each that is not its own.
    named: BTreeMap<u64, u64>,
    weight: u16,
    /// What nodes say of themselves that are made from now on.
    record: NodeRecord,
}

impl Cluster {
    fn node(&mut self, node: u64) -> &mut (Membership<MemoryEngine>, u64) {
        let (engine, weight, record) = (self.engine.clone(), self.weight, self.record.clone());
        let earlier = self.follows.get(&node).map(|&life| Incarnation(life)).into_iter().collect();
        let number = *self.named.get(&node).unwrap_or(&node);
        self.nodes.entry(node).or_insert_with(|| {
            let name = format!("node-{number}");
            let record = NodeRecord { name, shards: 2, weight, ..record };
            (Membership::new(engine, Incarnation(node), record, earlier), 0)
        })
    }

    fn beat(&mut self, node: u64) -> Option<String> {
        let (membership, seconds) = self.node(node);
        *seconds += 1;
        let now = Now { mono: Instant(*seconds * 1_000_000_000), wall: UnixMs(*seconds * 1_000) };
        let Beat { news, due, over, stands_by, refused, .. } =
            block_on(membership.beat(now)).expect("a store without faults");
        let in_time = due.as_ref().is_none_or(|&(after_ms, _)| after_ms < BEAT_MS);
        assert!(in_time, "I7: node {node} says its next word within a lease, whatever it waits for: {due:?}");
        let made = due.and_then(|(_, change)| block_on(membership.propose(&change)).expect("a store without faults"));
        if over {
            self.asleep.insert(node);
            return Some("over".to_owned());
        }
        if let Some(refused) = refused {
            return Some(format!("refused by {}: {:?}", refused.node, refused.misfit));
        }
        if stands_by {
            return Some("stands by".to_owned());
        }
        made.or(news).map(|News { view, .. }| told(&view))
    }

    fn step(&mut self, step: &str) -> String {
        let (who, what) = step.split_once(' ').expect("who and what");
        let number = || who.parse::<u64>().expect("a node");
        let (what, times) = what.split_once(" x").unwrap_or((what, "1"));
        let mut last = None;
        match what {
            "beat" | "beats" => {
                for _ in 0..times.parse::<u32>().expect("how often") {
                    let awake = self.nodes.keys().copied().filter(|node| !self.asleep.contains(node)).collect();
                    let nodes: Vec<u64> = if who == "all" { awake } else { vec![number()] };
                    for node in nodes {
                        last = self.beat(node).or(last);
                    }
                }
            }
            "has no links" => self.record.links.clear(),
            "has another secret" => self.record.secret += 1,
            "has another key" => self.record.token_key += 1,
            "is newer" => (self.record.links_oldest, self.record.links_newest) = (3, 4),
            "sleeps" => drop(self.asleep.insert(number())),
            "wakes" => drop(self.asleep.remove(&number())),
            "drains" => self.node(number()).0.wish(Wish::Drain),
            "leaves" => {
                self.asleep.insert(number());
                last = Some(block_on(view::leave(&self.engine, Incarnation(number()))).expect("answered").to_string());
            }
            _ => {
                let (follows, named) = (what.strip_prefix("follows "), what.strip_prefix("is named "));
                let other = follows.or(named).and_then(|other| other.parse().ok());
                let of = if follows.is_some() { &mut self.follows } else { &mut self.named };
                of.insert(number(), other.unwrap_or_else(|| panic!("{step:?} is no step")));
            }
        }
        last.unwrap_or_else(|| "-".to_owned())
    }
}

fn told(view: &View) -> String {
    let member = |member: &schema::Member| {
        let mark = if member.standing == Standing::Draining { "~" } else { "" };
        format!(" {}{mark}:{}", member.incarnation.0, view.owned_by(member.incarnation))
    };
    format!("{}{}", view.epoch.0, view.members().iter().map(member).collect::<String>())
}

fn cluster(weight: u16) -> Cluster {
    let engine = MemoryEngine::ephemeral();
    let record =
        NodeRecord { links: "10.0.0.1:8004".to_owned(), links_oldest: 1, links_newest: 2, ..NodeRecord::default() };
    let (nodes, asleep) = (BTreeMap::new(), BTreeSet::new());
    let (follows, named) = (BTreeMap::new(), BTreeMap::new());
    Cluster { engine, nodes, asleep, follows, named, weight, record }
}

fn check_weighted(weight: u16, script: &str, expected: &str) {
    let mut cluster = cluster(weight);
    let said: Vec<_> = script.split("; ").map(|step| cluster.step(step)).collect();
    assert_eq!(said.join("; "), expected, "{script}");
}

fn check(script: &str, expected: &str) {
    check_weighted(2, script, expected);
}

#[test]
fn the_first_node_has_all_at_once_and_those_who_join_their_share_in_steps() {
    check("1 beats; 1 beats", "1 1:4096; -");
    // A step waits until every heartbeat says that its node goes by the one before.
    check("1 beats; 2 beats; all beat; all beat; all beat; all beat x4; all beat x9", {
        "1 1:4096; 2 1:4096 2:0; 2 1:4096 2:0; 3 1:3584 2:512; 3 1:3584 2:512; 5 1:2560 2:1536; 6 1:2048 2:2048"
    });
    check("1 beats; 2 beats; 3 beats; all beat x20; 4 beats; all beat x20", {
        "1 1:4096; 2 1:4096 2:0; 3 1:4096 2:0 3:0; 9 1:1366 2:1365 3:1365; 10 1:1366 2:1365 3:1365 4:0; 12 1:1024 2:1024 3:1024 4:1024"
    });
}

#[test]
fn many_nodes_join_one_after_the_other() {
    let mut cluster = cluster(2);
    (1..=30).for_each(|node| drop(cluster.step(&format!("{node} beats"))));
    let view = cluster.step("all beat x20");
    let shares: Vec<u32> =
        view.split([' ', ':']).skip(2).step_by(2).map(|share| share.parse().expect("a share")).collect();
    assert_eq!(shares.len(), 30, "{view}");
    assert!(shares.iter().all(|share| (136..=151).contains(share)), "each has its share, or a tenth more: {view}");
}

#[test]
fn a_node_that_hands_over_stays_until_it_leaves() {
    check("1 beats; 2 beats; all beat x9; 1 drains; all beat x9; 1 leaves; all beat x9", {
        "1 1:4096; 2 1:4096 2:0; 6 1:2048 2:2048; -; 10 1~:0 2:4096; true; 11 2:4096"
    });
    // The last one has nobody to hand over to.
    check("1 beats; 1 drains; all beat x3; 1 leaves; 2 beats", "1 1:4096; -; 2 1~:4096; true; 4 2:4096");
}

#[test]
fn what_a_silent_node_had_is_spread_over_the_others() {
    check("1 beats; 2 beats; 3 beats; all beat x20; 3 sleeps; all beat x4; all beat x3; 3 beats", {
        "1 1:4096; 2 1:4096 2:0; 3 1:4096 2:0 3:0; 9 1:1366 2:1365 3:1365; -; -; 10 1:2048 2:2048; over"
    });
}

#[test]
fn a_node_that_is_alone_after_all_others_died_has_all() {
    check(
        "1 beats; 2 beats; all beat x9; 1 sleeps; 2 beats x9",
        "1 1:4096; 2 1:4096 2:0; 6 1:2048 2:2048; -; 7 2:4096",
    );
    // One that comes to a store of the dead waits for their lease.
    check("1 beats; 1 sleeps; 2 beats x5; 2 beats", "1 1:4096; -; 2 1:4096 2:0; 3 2:4096");
}

#[test]
fn a_life_that_is_known_to_be_over_goes_with_the_first_beat_of_the_next() {
    check("1 beats; 1 sleeps; 2 follows 1; 2 beats", "1 1:4096; -; -; 2 2:4096");
    check("1 has no links; 1 beats; 1 sleeps; 2 follows 1; 2 beats", "-; 1 1:4096; -; -; 2 2:4096");
    // What it had goes to those who are linked already, and the next life is given its share as any that joins.
    check("1 beats; 2 beats; all beat x9; 2 sleeps; 3 follows 2; 3 beats; all beat x9", {
        "1 1:4096; 2 1:4096 2:0; 6 1:2048 2:2048; -; -; 7 1:4096 3:0; 11 1:2048 3:2048"
    });
    // Of others nothing is known: for them there is the lease.
    check("1 beats; 2 beats; 3 beats; all beat x20; 1 sleeps; 2 sleeps; 4 follows 2; 4 beats; all beat x6", {
        "1 1:4096; 2 1:4096 2:0; 3 1:4096 2:0 3:0; 9 1:1366 2:1365 3:1365; -; -; -; 10 1:2048 3:2048 4:0; 11 3:2048 4:2048"
    });
    // Were it not over after all, it would be from then on.
    check("1 beats; 2 beats; all beat x9; 3 follows 2; 3 beats; 2 beats; all beat x2", {
        "1 1:4096; 2 1:4096 2:0; 6 1:2048 2:2048; -; 7 1:4096 3:0; over; 8 1:3584 3:512"
    });
}

#[test]
fn a_node_without_weight_owns_nothing() {
    check_weighted(0, "1 beats; 1 beats", "-; -");
}

#[test]
fn a_node_that_does_not_fit_the_members_joins_none() {
    check("1 beats; 2 has another secret; 2 beats", "1 1:4096; -; refused by node-1: OtherSecret");
    check("1 beats; 2 has another key; 2 beats", "1 1:4096; -; refused by node-1: OtherTokenKey");
    check("1 beats; 2 is newer; 2 beats", "1 1:4096; -; refused by node-1: OtherVersions");
}

#[test]
fn of_two_nodes_of_one_name_that_live_one_joins() {
    check("1 beats; 2 is named 1; 2 beats; 1 beats; 2 beats", "1 1:4096; -; -; -; refused by node-1: SameName");
    // An earlier life says nothing any more, and goes after its lease.
    check("1 beats; 1 sleeps; 2 is named 1; 2 beats x2; 2 beats; 2 beats x3", {
        "1 1:4096; -; -; -; 2 1:4096 2:0; 3 2:4096"
    });
    check("1 beats; 1 sleeps; 2 is named 1; 2 follows 1; 2 beats", "1 1:4096; -; -; -; 2 2:4096");
    // Two that come at once, before either is a member.
    check_weighted(0, "2 is named 1; 1 beats; 2 beats; 1 beats; 2 beats; 1 beats", {
        "-; -; -; -; refused by node-1: SameName; -"
    });
}

#[test]
fn a_node_without_links_stands_by_until_it_is_alone() {
    check("1 beats; 2 has no links; 2 beats x5; 1 sleeps; 2 beats x4; 2 beats", {
        "1 1:4096; -; stands by; -; 2 2:4096; -"
    });
    check("2 has no links; 2 beats; 3 beats; 2 leaves; 3 beats", "-; 1 2:4096; stands by; true; 3 3:4096");
}
