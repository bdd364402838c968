//! Reads at the version of the shard's own last commit: when they are made, and that nothing is answered wrongly for
//! them.

use std::sync::Arc;

use chat::appender::Appender;
use chat::view;
use futures_lite::future::block_on;
use kv::Begin;
use kv::memory::CommitFault::{self, Conflict, None as Well, Throttled, UnknownCommitted, UnknownLost};
use kv::memory::MemoryEngine;
use lies::{Lie, LyingEngine};
use schema::{Epoch, Incarnation};

use crate::world::{World, faulty, first_shard, store};

/// At which versions transactions began since the last look.
fn begins(world: &World<LyingEngine<MemoryEngine>>) -> String {
    let words = world.engine.take_watched().begun.into_iter().map(|begin| match begin {
        Begin::Fresh => "fresh",
        Begin::At(_) => "chained",
        Begin::Cached | Begin::AtLeast(_) => "cached",
    });
    words.collect::<Vec<_>>().join(" ")
}

fn chaining(fates: &[CommitFault]) -> World<LyingEngine<MemoryEngine>> {
    let mut world = World::current(LyingEngine::new(faulty(&store(), fates), None));
    world.appenders = vec![Appender::new(first_shard(2)).with_chained_reads()];
    world.engine.watch();
    world
}

/// A script's replies, and at which versions its batches began, where commits end so.
fn check(fates: &[CommitFault], script: &str, replies: &str, begun: &str) {
    let mut world = chaining(fates);
    assert_eq!(world.run(script), replies, "{script} after {fates:?}");
    assert_eq!(begins(&world), begun, "{script} after {fates:?}");
    world.holds();
}

#[test]
fn a_batch_goes_on_from_the_last_commit_of_its_shard() {
    check(&[], "1 sends a; 2 sends b; d.1 sends c", "#1; #2; #1", "fresh chained chained");
    check(&[], "1 sends a; 1 edits e of 1; 2 marks 1", "#1; revision 1; read #1 unread 0", "fresh chained chained");
    check(&[], "1 removes 3; 3 sends a, 1 sends b", "changed; 103, #1", "fresh chained");
}

#[test]
fn what_no_commit_proves_is_decided_at_the_newest() {
    // Without a commit: the same again, a refusal, a mark that stands.
    check(&[], "1 sends a; 1 sends a", "#1; #1 again", "fresh chained fresh");
    check(&[], "1 sends a; 9 sends b", "#1; 102", "fresh chained fresh");
    check(&[], "1 sends a; 1 marks 1", "#1; read #1 unread 0", "fresh chained fresh");
    check(&[], "1 sends a; 1 types on", "#1; told", "fresh fresh");
    // Accounts, and how many channels they have, are looked at loosely.
    check(&[], "1 sends a; 1 adds 4", "#1; changed", "fresh fresh");
    check(&[], "1 sends a; x.1 makes 2, 1 sends b", "#1; made x, #2", "fresh fresh");
    check(&[], "1 sends a; x.1 makes 2; 1 sends b", "#1; made x; #2", "fresh fresh chained");
}

#[test]
fn after_any_error_the_newest_is_asked_for() {
    check(&[Well, Conflict], "1 sends a; 1 sends b; 1 sends c", "#1; #2; #3", "fresh chained fresh chained");
    check(&[Well, Throttled], "1 sends a; 1 sends b; 1 sends c", "#1; #2; #3", "fresh chained fresh chained");
    check(&[Well, UnknownLost], "1 sends a; 1 sends b; 1 sends c", "#1; #2; #3", "fresh chained fresh chained");
    check(&[Well, UnknownCommitted], "1 sends a; 1 sends b; 1 sends c", "#1; #2; #3", "fresh chained fresh fresh");
    // A conflict at an old version is no quarrel: the batch is tried whole once more.
    let two = "1 sends a; 1 sends b, d.1 sends c";
    check(&[Well, Conflict, Conflict], two, "#1; #2, #1", "fresh chained fresh fresh");
    check(&[Well, Conflict, Conflict, Conflict], two, "#1; #2, #1", "fresh chained fresh fresh fresh chained");
}

#[test]
fn a_chain_ends_after_a_second() {
    let mut world = chaining(&[]);
    let waits = [(0, "fresh"), (999, "chained"), (1, "fresh"), (999, "chained"), (5_000, "fresh")];
    for (number, (after_ms, begun)) in (1..).zip(waits) {
        world.wall = world.wall.plus_ms(after_ms);
        assert_eq!(world.run(&format!("1 sends a{number}")), format!("#{number}"));
        assert_eq!(begins(&world), begun, "{after_ms} ms after the batch before");
    }
}

#[test]
fn what_another_wrote_since_is_found() {
    let mut world = chaining(&[]);
    assert_eq!(world.run("1 sends a; 3 sends b"), "#1; #2");
    // The channel moves away, things happen there, and it moves back: the version of the chain is of the time before.
    let mut other = World::claim(world.engine.inner().clone(), 3, 1);
    assert_eq!(other.run("1 sends c; 1 removes 3; 1 adds 4"), "#3; changed; changed");
    world.view = Arc::new(block_on(view::claim(world.engine.inner(), Incarnation(2), 1)).expect("claimed"));
    world.engine.watch();
    assert_eq!(world.run("3 sends e, 4 sends f; 4 sends g"), "103, #4; #5");
    assert_eq!(begins(&world), "fresh chained", "a chain is of one view");
    assert!(!world.fenced, "the fence of the old view says nothing of the new one");
    world.holds();
}

#[test]
fn one_who_was_taken_over_answers_nothing_from_the_past() {
    for (lie, expected) in [(None, "113"), (Some(Lie::AnswersFromThePast), "102")] {
        let engine = LyingEngine::new(faulty(&store(), &[]), lie);
        let mut old = World::current(engine.for_batch(first_shard(2), Epoch(2), 0));
        old.appenders = vec![Appender::new(first_shard(2)).with_chained_reads()];
        assert_eq!(old.run("1 sends a"), "#1");
        let mut new = World::claim(engine.inner().clone(), 3, 1);
        assert_eq!(new.run("1 adds 4; 4 sends b"), "changed; #2");
        assert_eq!(old.run("4 sends c"), expected, "4 is a member, {lie:?}");
        assert_eq!(old.run("1 sends e"), "113", "I7: {lie:?}");
        assert!(old.fenced);
    }
}
