//! Nodes that come and go beside each other on one store, in scripts; every heartbeat comes a second after its node's
//! last.
//!
//! ```text
//! 1 joins      registers                      1 takes    takes over by what its last heartbeat saw
//! 1 beats      a heartbeat, and a look        1 sends a  appends to g under the view that it took last
//! 1 beats x6   several; the last one's look   1 leaves   stops cleanly
//! 1 forgets    removes those dead by its last heartbeat
//! ```
//!
//! A look is `epoch:active`, then `+` if the node's own fence stands, `!` if its registration does not, and who is
//! dead.

use std::collections::BTreeMap;

use chat::keys;
use chat::view::{self, Lease, Said, Seen, Verdict};
use futures_lite::future::block_on;
use kv::memory::{MemoryEngine, MemoryStore};
use kv::{Generation, Transaction};
use schema::Incarnation;
use schema::record::NodeRecord;

use crate::world::{WALL, World, alone, quiet, write};

struct Peer {
    lease: Lease,
    now_ms: u64,
    count: u64,
    verdict: Option<Verdict>,
    world: Option<World<MemoryEngine>>,
}

struct Cluster {
    engine: MemoryEngine,
    peers: BTreeMap<u64, Peer>,
}

fn record(node: u64) -> NodeRecord {
    let (name, ws_url) = (format!("node-{node}"), "ws://127.0.0.1:8001".to_owned());
    NodeRecord { name, shards: 1, ws_url, since_ms: WALL, ..NodeRecord::default() }
}

impl Cluster {
    fn over(engine: MemoryEngine) -> Self {
        Self { engine, peers: BTreeMap::new() }
    }

    fn peer(&mut self, node: u64) -> &mut Peer {
        self.peers.get_mut(&node).expect("it has joined")
    }

    fn step(&mut self, step: &str) -> String {
        let words: Vec<&str> = step.split(' ').collect();
        let node: u64 = words[0].parse().expect("a node");
        let (me, engine) = (Incarnation(node), self.engine.clone());
        match words[1..] {
            ["joins"] => {
                block_on(view::register(&engine, me, &record(node))).expect("registered");
                let peer = Peer { lease: Lease::new(me), now_ms: 0, count: 0, verdict: None, world: None };
                // One that registers again goes on counting.
                self.peers.entry(node).or_insert(peer);
                "joined".to_owned()
            }
            ["beats"] => self.beat(node),
            ["beats", times] => {
                let times = times.trim_start_matches('x').parse().expect("times");
                (0..times).map(|_| self.beat(node)).last().expect("once at least")
            }
            ["takes"] => {
                let verdict = self.peer(node).verdict.clone().expect("it has beaten");
                let Some(taken) = block_on(view::change(&engine, me, &alone(me, &verdict))).expect("answered") else {
                    return "no".to_owned();
                };
                let current = block_on(view::current(&engine)).expect("readable");
                assert_eq!(Some(&taken), current.as_ref().map(|current| &current.view));
                let epoch = taken.epoch.0;
                self.peer(node).world = Some(World::current(engine));
                format!("epoch {epoch}")
            }
            ["sends", _] => self.peer(node).world.as_mut().expect("it took").run(&step.replacen(words[0], "1", 1)),
            ["forgets"] => {
                let verdict = self.peer(node).verdict.clone().expect("it has beaten");
                block_on(view::forget(&engine, &verdict)).expect("answered").to_string()
            }
            ["leaves"] => {
                block_on(view::leave(&engine, me)).expect("left");
                "left".to_owned()
            }
            _ => panic!("{step:?} is no step"),
        }
    }

    fn beat(&mut self, node: u64) -> String {
        let engine = self.engine.clone();
        let peer = self.peer(node);
        peer.count += 1;
        peer.now_ms += 1_000;
        let Seen { roll, registered, fence } =
            block_on(view::beat(&engine, Incarnation(node), &Said { count: peer.count, ..Said::default() }))
                .expect("answered");
        let verdict = peer.lease.observe(peer.now_ms, &roll);
        let dead: Vec<String> = verdict.dead.keys().map(|dead| format!(" {} dead", dead.0)).collect();
        peer.verdict = Some(verdict);
        if let Some(epoch) = fence {
            assert_eq!(epoch, roll.epoch, "a fence that stands is of the view that stands");
        }
        let active: Vec<String> = roll.active().map(|node| node.0.to_string()).collect();
        let (fence, gone) = (if fence.is_some() { "+" } else { "" }, if registered { "" } else { "!" });
        format!("{}:{}{fence}{gone}{}", roll.epoch.0, active.join("+"), dead.concat())
    }
}

/// A store in which the users and channels of [`crate::world`] exist, and no node is active: epoch 2.
fn store() -> MemoryStore {
    let store = crate::world::store();
    block_on(view::leave(&quiet(&store), Incarnation(1))).expect("left");
    store
}

fn run(engine: MemoryEngine, script: &str) -> String {
    let mut cluster = Cluster::over(engine);
    script.split("; ").map(|step| cluster.step(step)).collect::<Vec<_>>().join("; ")
}

fn check(script: &str, expected: &str) {
    assert_eq!(run(quiet(&store()), script), expected, "{script}");
}

#[test]
fn the_first_node_of_a_store_takes_it_at_once() {
    let empty = quiet(&MemoryStore::new(Generation(1)));
    assert_eq!(run(empty, "1 joins; 1 beats; 1 takes; 1 beats"), "joined; 0:; epoch 1; 1:1+");
    check("1 joins; 1 beats; 1 takes; 1 beats; 1 sends a", "joined; 2:; epoch 3; 3:1+; #1");
}

#[test]
fn of_two_that_start_at_once_one_is_active() {
    check("1 joins; 2 joins; 1 beats; 2 beats; 1 takes; 2 takes; 2 beats; 2 takes", {
        "joined; joined; 2:; 2:; epoch 3; no; 3:1; no"
    });
}

#[test]
fn a_node_that_stands_by_waits_for_the_lease_of_the_active_one() {
    check("1 joins; 1 beats; 1 takes; 2 joins; 2 beats; 2 takes; 1 beats; 2 beats x5; 2 takes; 2 beats; 2 takes", {
        "joined; 2:; epoch 3; joined; 3:1; no; 3:1+; 3:1; no; 3:1 1 dead; epoch 4"
    });
    // As long as it says a word within each lease nobody takes over.
    check(
        "1 joins; 1 beats; 1 takes; 2 joins; 2 beats x5; 1 beats; 2 beats x5; 1 beats; 2 beats x5; 2 takes; 1 sends a",
        "joined; 2:; epoch 3; joined; 3:1; 3:1+; 3:1; 3:1+; 3:1; no; #1",
    );
}

#[test]
fn a_node_that_was_taken_over_appends_nothing_and_hears_of_it() {
    check(
        "1 joins; 1 beats; 1 takes; 2 joins; 1 sends a; 2 beats x6; 2 takes; 1 sends b; 1 beats; 2 sends b; 2 sends a",
        "joined; 2:; epoch 3; joined; #1; 3:1 1 dead; epoch 4; 113; 4:2!; #2; #1 again",
    );
    // It said its last word as one that stands by, and nothing of it comes back.
    check("1 joins; 1 beats; 1 takes; 2 joins; 2 beats x6; 2 takes; 1 beats; 2 beats; 1 takes; 1 sends b", {
        "joined; 2:; epoch 3; joined; 3:1 1 dead; epoch 4; 4:2!; 4:2+; no; 113"
    });
}

#[test]
fn a_word_in_the_last_moment_keeps_the_store() {
    check("1 joins; 1 beats; 1 takes; 2 joins; 2 beats x6; 1 beats; 2 takes; 1 sends a; 2 beats; 2 takes", {
        "joined; 2:; epoch 3; joined; 3:1 1 dead; 3:1+; no; #1; 3:1; no"
    });
}

#[test]
fn a_verdict_on_an_ended_view_takes_nothing() {
    check("1 joins; 1 beats; 1 takes; 2 joins; 3 joins; 2 beats x6; 3 beats x6; 3 takes; 2 takes; 2 beats; 2 takes", {
        "joined; 2:; epoch 3; joined; joined; 3:1 1 dead 3 dead; 3:1 1 dead 2 dead; epoch 4; no; 4:3; no"
    });
}

#[test]
fn one_that_was_forgotten_itself_takes_nothing() {
    check(
        "1 joins; 1 beats; 1 takes; 2 joins; 2 beats x6; 1 beats x5; 1 forgets; 1 beats; 2 takes; 2 beats; 2 takes",
        "joined; 2:; epoch 3; joined; 3:1 1 dead; 3:1+; 0; 3:1+ 2 dead; no; 3:1; no",
    );
    check(
        "1 joins; 1 beats; 1 takes; 2 joins; 2 beats; 1 beats x6; 1 forgets; 2 beats; 2 takes; 2 joins; 2 beats; 1 beats",
        "joined; 2:; epoch 3; joined; 3:1; 3:1+ 2 dead; 1; 3:1!; no; joined; 3:1; 3:1+",
    );
    // A dead one's last word came after it was seen to be dead.
    check("1 joins; 1 beats; 1 takes; 2 joins; 2 beats; 1 beats x6; 2 beats; 1 forgets; 2 beats", {
        "joined; 2:; epoch 3; joined; 3:1; 3:1+ 2 dead; 3:1; 0; 3:1"
    });
    // Two at a time, so that the next heartbeat is not late.
    check(
        "1 joins; 1 beats; 1 takes; 2 joins; 3 joins; 4 joins; 1 beats x6; 1 forgets; 1 beats; 1 forgets; 1 beats",
        "joined; 2:; epoch 3; joined; joined; joined; 3:1+ 2 dead 3 dead 4 dead; 2; 3:1+ 4 dead; 1; 3:1+",
    );
    // The active node is not forgotten, however long it says nothing.
    check("1 joins; 1 beats; 1 takes; 2 joins; 2 beats x6; 2 forgets; 1 sends a; 1 beats", {
        "joined; 2:; epoch 3; joined; 3:1 1 dead; 0; #1; 3:1+"
    });
}

#[test]
fn after_a_clean_stop_the_next_starts_at_once() {
    check(
        "1 joins; 1 beats; 1 takes; 2 joins; 2 beats; 1 sends a; 1 leaves; 2 beats; 2 takes; 2 sends b; 1 sends c",
        "joined; 2:; epoch 3; joined; 3:1; #1; left; 4:; epoch 5; #2; 113",
    );
    // Who only stood by changes no view, and leaving again nothing.
    check("1 joins; 1 beats; 1 takes; 2 joins; 2 leaves; 1 beats; 1 sends a; 1 leaves; 1 leaves; 3 joins; 3 beats", {
        "joined; 2:; epoch 3; joined; left; 3:1+; #1; left; left; joined; 4:"
    });
}

#[test]
fn a_node_that_never_registered_is_waited_for_as_well() {
    let engine = quiet(&store());
    let mut first = World::claim(engine.clone(), 1, 1);
    let mut cluster = Cluster::over(engine);
    assert_eq!(cluster.step("2 joins"), "joined");
    assert_eq!((cluster.step("2 beats x5"), cluster.step("2 takes")), ("3:1".to_owned(), "no".to_owned()));
    assert_eq!(first.run("1 sends a"), "#1");
    assert_eq!((cluster.step("2 beats"), cluster.step("2 takes")), ("3:1 1 dead".to_owned(), "epoch 4".to_owned()));
    assert_eq!(first.run("1 sends b"), "113");
}

#[test]
fn a_registration_that_cannot_be_read_is_there_all_the_same() {
    let engine = quiet(&store());
    let mut cluster = Cluster::over(engine.clone());
    assert_eq!((cluster.step("1 joins"), cluster.step("2 joins")), ("joined".to_owned(), "joined".to_owned()));
    write(&engine, |tx| tx.set(&keys::node(Incarnation(2)), &[200, 1, 2]));
    assert_eq!((cluster.step("1 beats"), cluster.step("2 beats")), ("2:".to_owned(), "2:".to_owned()));
    let roll = block_on(view::look(&engine)).expect("readable");
    let node = &roll.nodes[&Incarnation(2)];
    assert_eq!((node.registered, &node.record, node.beat), (true, &None, Some(1)));
}
