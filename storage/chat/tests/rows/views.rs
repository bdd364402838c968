//! Views of several nodes, in scripts: who may change them, what they leave of whom, and that what was under way is
//! decided once (I7).
//!
//! ```text
//! 1 joins              registers, says that it lives, and looks      1 looks     says that it lives, and learns the view
//! 1 proposes 1+2d+3g   nodes 1, 2 (draining) and 3 (a guest) after the epoch that it saw last, everything for the first
//! … g=2 d=1            and these channels for these nodes            … -3        with 3 declared dead, as it saw it last
//! 1 sends a            appends to g, under the view that it knows; d.1 sends a is of user 1 to d, asked of node 1 too
//! 1 leaves             for good
//! ```
//!
//! A look is `epoch:nodes`, then `+` if the node's own fence stands and `!` if its registration does not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use chat::appender::Appender;
use chat::view::{self, Current, Proposal, Roll, Said};
use chat::{keys, push};
use futures_lite::future::block_on;
use kv::memory::CommitFault::{self, Conflict, Throttled, UnknownCommitted, UnknownLost};
use kv::memory::{FaultRates, MemoryEngine, MemoryStore, ScriptedFaults, SeededFaults};
use kv::{Begin, Engine, Transaction};
use schema::limits::PARTITIONS;
use schema::record::NodeRecord;
use schema::view::Partition;
use schema::{Epoch, Incarnation, Member, Standing, View};

use crate::world::{WALL, World, channel, first_shard, open, quiet, rows, write};

struct Node {
    beats: u64,
    roll: Roll,
    world: Option<World<MemoryEngine>>,
}

struct Cluster {
    engine: MemoryEngine,
    nodes: BTreeMap<u64, Node>,
}

/// A store in which the users and channels of [`crate::world`] exist, and nobody is in the view: epoch 2.
fn store() -> MemoryStore {
    let store = crate::world::store();
    block_on(view::leave(&quiet(&store), Incarnation(1))).expect("left");
    store
}

impl Cluster {
    fn over(engine: MemoryEngine) -> Self {
        Self { engine, nodes: BTreeMap::new() }
    }

    fn run(&mut self, script: &str) -> String {
        script.split("; ").map(|step| self.step(step)).collect::<Vec<_>>().join("; ")
    }

    fn step(&mut self, step: &str) -> String {
        let (node, action) = step.split_once(' ').expect("who, and what");
        let (at, node) = node.split_once('.').map_or(("g", node), |(at, node)| (at, node));
        let node: u64 = node.parse().expect("a node");
        match action.split(' ').collect::<Vec<_>>()[..] {
            ["joins"] => {
                block_on(view::register(&self.engine, Incarnation(node), &NodeRecord::default())).expect("registered");
                self.nodes.insert(node, Node { beats: 0, roll: Roll::default(), world: None });
                self.look(node)
            }
            ["looks"] => self.look(node),
            ["proposes", ref words @ ..] => {
                let proposal = self.proposal(node, words);
                let changed = block_on(view::change(&self.engine, Incarnation(node), &proposal)).expect("answered");
                self.changed(changed)
            }
            ["sends", _] => self.world(node).run(&format!("{at}.1 {action}")),
            ["leaves"] => {
                let left = block_on(view::leave(&self.engine, Incarnation(node))).expect("answered");
                if left { "left" } else { "no" }.to_owned()
            }
            _ => panic!("{step:?} is no step"),
        }
    }

    fn look(&mut self, me: u64) -> String {
        let node = self.nodes.get_mut(&me).expect("it has joined");
        node.beats += 1;
        let seen = block_on(view::beat(&self.engine, Incarnation(me), &Said { count: node.beats, ..Said::default() }))
            .expect("answered");
        let nodes: Vec<String> = seen.roll.active().map(|node| node.0.to_string()).collect();
        let fence = if seen.fence == Some(seen.roll.epoch) { "+" } else { "" };
        let gone = if seen.registered { "" } else { "!" };
        let words = format!("{}:{}{fence}{gone}", seen.roll.epoch.0, nodes.join("+"));
        if let (Some(world), Some(view)) = (&mut node.world, &seen.roll.view) {
            world.view = Arc::new(view.clone());
        }
        node.roll = seen.roll;
        words
    }

    fn proposal(&self, me: u64, words: &[&str]) -> Proposal {
        let roll = &self.nodes[&me].roll;
        let member = |word: &str| {
            let standing = match word.chars().last() {
                Some('d') => Standing::Draining,
                Some('g') => Standing::Guest,
                _ => Standing::Home,
            };
            let incarnation = Incarnation(word.trim_end_matches(['d', 'g']).parse().expect("a node"));
            Member { incarnation, shards: 1, weight: 1, standing }
        };
        let members: Vec<Member> = words[0].split('+').map(member).collect();
        let mut owners = vec![first_shard(members[0].incarnation.0); usize::from(PARTITIONS)];
        let mut dead = BTreeMap::new();
        for word in &words[1..] {
            match (word.split_once('='), word.strip_prefix('-')) {
                (Some((name, node)), _) => {
                    let partition = Partition::of_channel(channel(name));
                    owners[partition.index()] = first_shard(node.parse().expect("a node"));
                }
                (None, Some(node)) => {
                    let node = Incarnation(node.parse().expect("a node"));
                    dead.insert(node, roll.nodes.get(&node).and_then(|node| node.beat));
                }
                (None, None) => panic!("{word:?} is nothing to propose"),
            }
        }
        Proposal { after: roll.epoch, members, owners, dead }
    }

    /// What a proposal came to, which is what the store says.
    fn changed(&self, changed: Option<View>) -> String {
        let Some(changed) = changed else { return "no".to_owned() };
        assert_eq!(current(&self.engine).as_ref(), Some(&changed));
        format!("epoch {}", changed.epoch.0)
    }

    /// What a node appends with, under the view that it met first and all that it learns by being fenced.
    fn world(&mut self, me: u64) -> &mut World<MemoryEngine> {
        let engine = self.engine.clone();
        let node = self.nodes.get_mut(&me).expect("it has joined");
        node.world.get_or_insert_with(|| World {
            life: Incarnation(me),
            appenders: vec![Appender::new(first_shard(me))],
            ..World::current(engine)
        })
    }
}

fn current(engine: &MemoryEngine) -> Option<View> {
    block_on(view::current(engine)).expect("readable").map(|current: Current| current.view)
}

fn check(script: &str, expected: &str) {
    let mut cluster = Cluster::over(quiet(&store()));
    assert_eq!(cluster.run(script), expected, "{script}");
    if let Some(node) = cluster.nodes.values().find_map(|node| node.world.as_ref()) {
        node.holds();
    }
}

#[test]
fn a_node_joins_and_is_given_partitions_step_by_step() {
    check(
        "1 joins; 1 proposes 1; 1 sends a; 2 joins; 2 proposes 1+2; 1 sends b; 2 sends c; 2 looks; 2 proposes 1+2 g=2",
        "2:; epoch 3; #1; 3:1; epoch 4; #2; 113; 4:1+2+; epoch 5",
    );
    // What stays goes on where it was, though every fence is another.
    check(
        "1 joins; 1 proposes 1; 1 sends a; d.1 sends a; 2 joins; 2 proposes 1+2 g=2; 1 sends b; d.1 sends b; 2 sends b",
        "2:; epoch 3; #1; #1; 3:1; epoch 4; 113; #2; #2",
    );
    // And comes back.
    check(
        "1 joins; 2 joins; 1 proposes 1+2 g=2; 2 sends a; 1 sends a; 1 looks; 1 proposes 1+2; 2 sends b; 1 sends b",
        "2:; 2:; epoch 3; #1; 113; 3:1+2+; epoch 4; 113; 113",
    );
    check(
        "1 joins; 2 joins; 1 proposes 1+2 g=2; 2 sends a; 1 looks; 1 proposes 1+2; 1 looks; 1 sends b; 1 sends a",
        "2:; 2:; epoch 3; #1; 3:1+2+; epoch 4; 4:1+2+; #2; #1 again",
    );
}

#[test]
fn who_is_not_registered_is_given_nothing() {
    check("1 joins; 1 proposes 1+2; 1 proposes 1", "2:; no; epoch 3");
    check("1 joins; 2 joins; 2 leaves; 1 proposes 1+2", "2:; 2:; left; no");
    check("1 joins; 2 joins; 1 proposes 1; 2 leaves; 2 looks; 2 proposes 1+2", "2:; 2:; epoch 3; left; 3:1!; no");
}

#[test]
fn a_node_drains_before_it_goes() {
    check(
        "1 joins; 2 joins; 1 proposes 1+2 g=2; 2 sends a; 2 leaves; 2 looks; 2 proposes 1+2d; 2 sends b; 1 sends b",
        "2:; 2:; epoch 3; #1; no; 3:1+2+; epoch 4; 113; #2",
    );
    let drained = "1 joins; 2 joins; 1 proposes 1+2 g=2; 2 looks; 2 proposes 1+2d";
    let said = "2:; 2:; epoch 3; 3:1+2+; epoch 4";
    check(&format!("{drained}; 2 leaves; 2 looks; 1 looks; 1 sends a"), &format!("{said}; left; 5:1!; 5:1+; #1"));
    // By another once it owns nothing, and not before.
    check(&format!("{drained}; 1 looks; 1 proposes 1; 2 looks"), &format!("{said}; 4:1+2+; epoch 5; 5:1!"));
    let draining = "1 joins; 2 joins; 1 proposes 1+2 g=2; 2 looks; 2 proposes 1+2d g=2; 1 looks; 1 proposes 1; 1 looks";
    check(draining, "2:; 2:; epoch 3; 3:1+2+; epoch 4; 4:1+2+; no; 4:1+2+");
    check("1 joins; 2 joins; 1 proposes 1+2; 1 looks; 1 proposes 1", "2:; 2:; epoch 3; 3:1+2+; no");
    // Whoever hands all over in one view may go with it.
    check("1 joins; 2 joins; 1 proposes 1+2 g=2; 2 looks; 2 proposes 1; 2 looks; 1 sends a", {
        "2:; 2:; epoch 3; 3:1+2+; epoch 4; 4:1!; #1"
    });
}

#[test]
fn whoever_is_registered_may_propose_whatever_it_is_itself() {
    // A guest and one that drains, also when they see somebody die.
    let three = "1 joins; 2 joins; 3 joins; 1 proposes 1+2d+3g";
    let said = "2:; 2:; 2:; epoch 3";
    check(&format!("{three}; 3 looks; 3 proposes 1+2d+3g g=2; 2 sends a"), &format!("{said}; 3:1+2+3+; epoch 4; #1"));
    check(&format!("{three}; 2 looks; 2 proposes 2+3g -1; 2 sends a"), &format!("{said}; 3:1+2+3+; epoch 4; #1"));
    check(&format!("{three}; 3 looks; 3 proposes 2+3g -1; 1 looks"), &format!("{said}; 3:1+2+3+; epoch 4; 4:2+3!"));
    check(&format!("{three}; 3 leaves; 3 looks; 1 sends a"), &format!("{said}; left; 4:1+2!; #1"));
    // One that has joined, and is in no view.
    check("1 joins; 2 joins; 3 joins; 1 proposes 1+2; 3 looks; 3 proposes 1+2 g=2; 2 sends a", {
        "2:; 2:; 2:; epoch 3; 3:1+2; epoch 4; #1"
    });
}

#[test]
fn of_two_proposals_after_one_view_one_counts() {
    check(
        "1 joins; 2 joins; 3 joins; 1 proposes 1; 2 looks; 3 looks; 2 proposes 1+2; 3 proposes 1+3; 3 looks; 3 proposes 1+2+3",
        "2:; 2:; 2:; epoch 3; 3:1; 3:1; epoch 4; no; 4:1+2; epoch 5",
    );
    check(
        "1 joins; 2 joins; 3 joins; 1 proposes 1+2+3; 1 looks; 2 looks; 1 proposes 1+2 -3; 2 proposes 2+3 -1; 1 sends a",
        "2:; 2:; 2:; epoch 3; 3:1+2+3+; 3:1+2+3+; epoch 4; no; #1",
    );
}

#[test]
fn a_node_that_is_dead_has_nothing_left_and_one_that_says_a_word_is_not() {
    check(
        "1 joins; 2 joins; 1 proposes 1+2 g=2; 2 sends a; 1 looks; 1 proposes 1 -2; 2 sends b; 2 looks; 1 sends b; 1 sends a",
        "2:; 2:; epoch 3; #1; 3:1+2+; epoch 4; 113; 4:1!; #2; #1 again",
    );
    check("1 joins; 2 joins; 1 proposes 1+2 g=2; 1 looks; 2 looks; 1 proposes 1 -2; 2 sends a", {
        "2:; 2:; epoch 3; 3:1+2+; 3:1+2+; no; #1"
    });
    // Who declared it dead was declared dead itself.
    check(
        "1 joins; 2 joins; 3 joins; 1 proposes 1+2+3; 1 looks; 3 looks; 3 proposes 2+3 -1; 1 proposes 1+3 -2; 1 looks",
        "2:; 2:; 2:; epoch 3; 3:1+2+3+; 3:1+2+3+; epoch 4; no; 4:2+3!",
    );
    // It comes back as another life.
    check("1 joins; 2 joins; 1 proposes 1+2; 1 looks; 1 proposes 1 -2; 4 joins; 4 proposes 1+4 g=4; 4 sends a", {
        "2:; 2:; epoch 3; 3:1+2+; epoch 4; 4:1; epoch 5; #1"
    });
}

#[test]
fn nothing_is_left_of_who_went_but_its_arrivals_and_the_word_that_it_has() {
    for last in ["2 looks; 2 proposes 2 -3", "3 looks; 3 proposes 2+3d; 3 leaves"] {
        let mut cluster = Cluster::over(quiet(&store()));
        cluster.run("2 joins; 3 joins; 2 proposes 2+3 g=3; 3 sends a");
        let arrived = rows(&cluster.engine, &keys::arrivals()).len();
        cluster.run(last);
        let engine = &cluster.engine;
        let there = |key: Vec<u8>| block_on(engine.begin(Begin::Fresh).get(&key)).expect("readable").is_some();
        for (node, stays) in [(Incarnation(2), true), (Incarnation(3), false)] {
            let all = [keys::fence(node), keys::node(node), keys::heartbeat(node)].map(there);
            assert_eq!((all, there(keys::ended(node))), ([stays; 3], !stays), "{node:?} after {last}");
        }
        assert!(rows(engine, &keys::batches(Incarnation(3))).is_empty(), "{last}");
        assert_eq!(rows(engine, &keys::arrivals()).len(), arrived, "{last}");
    }
    // The batch row of who stays stays, so that an outcome that it does not know yet is found.
    let mut cluster = Cluster::over(quiet(&store()));
    cluster.run("1 joins; 2 joins; 1 proposes 1+2 g=2; 2 sends a; 1 looks; 1 proposes 1+2");
    assert_eq!(rows(&cluster.engine, &keys::batches(Incarnation(2))).len(), 1);
}

#[test]
fn where_an_import_is_under_way_nobody_is_given_anything() {
    let mut cluster = Cluster::over(quiet(&store()));
    assert_eq!(cluster.run("1 joins"), "2:");
    write(&cluster.engine, |tx| tx.set(&keys::import(), &[1]));
    assert_eq!(cluster.run("1 proposes 1"), "no");
}

#[test]
fn a_change_whose_outcome_is_unknown_is_made_once() {
    let check = |fates: &[CommitFault]| {
        let store = store();
        // Two registrations, two heartbeats, a view and a look come before.
        let before = [CommitFault::None; 6];
        let engine = open(&store, ScriptedFaults::new(before.iter().chain(fates).copied()));
        let said = Cluster::over(engine).run(
            "1 joins; 2 joins; 1 proposes 1; 2 looks; 2 proposes 1+2 g=2; 2 looks; 2 sends a; 1 sends a; 1 sends b",
        );
        assert_eq!(said, "2:; 2:; epoch 3; 3:1; epoch 4; 4:1+2+; #1; 113; 113", "{fates:?}");
    };
    check(&[UnknownCommitted]);
    check(&[UnknownLost]);
    check(&[UnknownLost, Conflict]);
    check(&[Conflict, UnknownCommitted, Throttled]);
    check(&[UnknownCommitted, UnknownLost]);
}

/// Node 1 declares node 2 dead, or another proposes too, while each step may let others go on; the other side comes
/// after so many steps of the first.
fn meeting(steps: usize, seed: u64) -> Cluster {
    let store = store();
    Cluster::over(quiet(&store)).run("1 joins; 2 joins; 3 joins; 1 proposes 1+2+3 g=2");
    let rates = FaultRates { conflict_permille: 0, unknown_permille: 200, yields_max: 2, ..FaultRates::default() };
    let mut cluster = Cluster::over(open(&store, SeededFaults::new(seed * 1_000 + steps as u64, rates)));
    for node in 1..=3 {
        let roll = (0..20).find_map(|_| block_on(view::look(&cluster.engine)).ok()).expect("readable");
        cluster.nodes.insert(node, Node { beats: 1, roll, world: None });
    }
    cluster
}

/// Polls so often, and goes on later.
fn begin<T>(future: &mut std::pin::Pin<Box<impl Future<Output = T>>>, steps: usize) -> Option<T> {
    let mut cx = Context::from_waker(Waker::noop());
    (0..steps).find_map(|_| match future.as_mut().poll(&mut cx) {
        Poll::Ready(ended) => Some(ended),
        Poll::Pending => None,
    })
}

#[test]
fn a_node_that_comes_back_in_the_moment_of_its_death_is_alive_or_dead() {
    let (mut died, mut lived) = (0, 0);
    for seed in 0..4 {
        for steps in 0..30 {
            let cluster = meeting(steps, seed);
            let proposal = cluster.proposal(1, &["1+3", "-2"]);
            let mut change = Box::pin(view::change(&cluster.engine, Incarnation(1), &proposal));
            let early = begin(&mut change, steps);
            let beat = block_on(view::beat(&cluster.engine, Incarnation(2), &Said { count: 2, ..Said::default() }));
            let changed = early.unwrap_or_else(|| block_on(change));
            let (Ok(beat), Ok(changed)) = (beat, changed) else { continue };
            let context = format!("seed {seed}, after {steps} steps");
            assert!(beat.registered != changed.is_some(), "I7: {beat:?}, and {changed:?}, {context}");
            let dead = current(&cluster.engine).expect("claimed").member(Incarnation(2)).is_none();
            assert_eq!(dead, changed.is_some(), "{context}");
            (died, lived) = (died + u32::from(dead), lived + u32::from(!dead));
        }
    }
    assert!(died > 8 && lived > 8, "both are met: {died} died, {lived} lived");
}

#[test]
fn two_that_propose_at_once_never_both_succeed() {
    let (mut first, mut second) = (0, 0);
    for seed in 0..4 {
        for steps in 0..30 {
            let cluster = meeting(steps, seed);
            let (one, other) = (cluster.proposal(1, &["1+3", "-2"]), cluster.proposal(3, &["2+3", "-1"]));
            let mut change = Box::pin(view::change(&cluster.engine, Incarnation(1), &one));
            let early = begin(&mut change, steps);
            let by_other = block_on(view::change(&cluster.engine, Incarnation(3), &other));
            let by_one = early.unwrap_or_else(|| block_on(change));
            let (Ok(by_one), Ok(by_other)) = (by_one, by_other) else { continue };
            let context = format!("seed {seed}, after {steps} steps");
            assert!(by_one.is_none() || by_other.is_none(), "I7: both changed it, {context}");
            let stands = current(&cluster.engine).expect("claimed");
            assert_eq!(stands.epoch, Epoch(4), "one of them did, {context}");
            assert_eq!(by_one.or(by_other.clone()), Some(stands), "{context}");
            (first, second) = (first + u32::from(by_other.is_none()), second + u32::from(by_other.is_some()));
        }
    }
    assert!(first > 8 && second > 8, "both are met: {first} by one, {second} by the other");
}

#[test]
fn what_the_dead_left_is_adopted_and_nothing_of_those_who_stay() {
    let mut cluster = Cluster::over(quiet(&store()));
    cluster.run(
        "1 joins; 2 joins; 1 proposes 1+2; 1 sends a; 1 looks; 1 proposes 2+1d; 2 sends b; 2 looks; 2 proposes 2 -1",
    );
    let engine = &cluster.engine;
    let mine = || rows(engine, &keys::arrivals_of(Incarnation(2))).len();
    let before = mine();
    let all = chat::share::Share::whole();
    assert_eq!(block_on(push::adopt(engine, WALL, &all)).expect("adopted").items, 2, "of a, for 2 and 3");
    assert_eq!((mine(), rows(engine, &keys::arrivals_of(Incarnation(1))).len()), (before, 0));
    assert!(before > 0, "b arrived there");
}
