//! Fences against stale owners: two lives of a node, and two views of one life (I7).

use chat::keys;
use chat::{arrivals, view};
use futures_lite::future::block_on;
use kv::memory::MemoryEngine;
use schema::{Epoch, Incarnation, ShardIndex, Stamp};

use crate::world::{World, first_shard, quiet, rows, store};

fn current(engine: &MemoryEngine) -> Option<schema::View> {
    block_on(view::current(engine)).expect("readable").map(|current| current.view)
}

#[test]
fn a_life_that_was_taken_over_appends_nothing() {
    let engine = quiet(&store());
    let mut old = World::claim(engine.clone(), 2, 1);
    assert_eq!(old.run("1 sends a"), "#1");
    let mut new = World::claim(engine.clone(), 3, 1);
    assert_eq!(new.run("1 sends b"), "#2");
    assert_eq!(old.run("1 sends c, 2 sends e"), "113, 113");
    assert!(old.fenced && !new.fenced);
    assert_eq!(new.run("1 sends c; 1 sends a"), "#3; #1 again");
    new.holds();
}

#[test]
fn a_batch_in_flight_when_its_life_is_taken_over_appends_nothing() {
    let engine = quiet(&store());
    let mut old = World::claim(engine.clone(), 2, 1);
    let ticket = old.push("1 sends a");
    let batch = old.next_batch(0).expect("one is queued");
    let queued = old.push("2 sends b");
    let mut new = World::claim(engine.clone(), 3, 1);
    assert_eq!(new.run("2 sends b"), "#1");
    old.run_one(0, batch);
    assert!(old.fenced && old.outcome(ticket).is_none(), "nothing is decided until the view is read");
    old.drain();
    for ticket in [ticket, queued] {
        let refusal = old.outcome(ticket).expect("answered").as_ref().expect_err("fenced");
        assert_eq!(u16::from(refusal.code), 113);
    }
    assert_eq!(new.run("1 sends a"), "#2");
}

#[test]
fn a_batch_of_an_ended_view_of_the_same_life_appends_nothing() {
    let engine = quiet(&store());
    let mut world = World::claim(engine.clone(), 2, 1);
    let ticket = world.push("1 sends a");
    let batch = world.next_batch(0).expect("one is queued");
    let next = block_on(view::claim(&engine, Incarnation(2), 1)).expect("claimed");
    assert_eq!(next.epoch, Epoch(world.view.epoch.0 + 1));
    world.run_one(0, batch);
    assert!(world.fenced && world.outcome(ticket).is_none());
    assert_eq!(world.inbox(1, 10), "g created 1, d created 1", "nothing was appended");
    world.drain();
    assert_eq!(*world.view, next);
    // Whoever claims takes all anew, so the channel counts as another's meanwhile.
    assert_eq!(world.reply(ticket), "113");
    assert_eq!(world.run("1 sends a"), "#1");
}

#[test]
fn a_store_that_nobody_claimed_takes_no_appends() {
    let engine = MemoryEngine::ephemeral();
    assert_eq!(current(&engine), None);
    let mut world = World::claim(MemoryEngine::ephemeral(), 1, 1);
    world.engine = engine;
    assert_eq!(world.run("1 sends a"), "113");
}

#[test]
fn a_claim_is_the_view_that_stands_and_leaves_what_arrived_before() {
    let engine = quiet(&store());
    let mut old = World::claim(engine.clone(), 2, 3);
    old.run("1 sends a; d.1 sends b");
    let before = old.view.epoch;
    let arrived = || rows(&engine, &keys::arrivals()).len();
    let left = arrived();
    assert!(left > 0, "the sends arrived at the old life");
    let claimed = block_on(view::claim(&engine, Incarnation(9), 2)).expect("claimed");
    assert_eq!(claimed.epoch, Epoch(before.0 + 1));
    assert_eq!(current(&engine), Some(claimed));
    assert_eq!(arrived(), left, "push items are made of them, which is not the claim's");
    assert!(rows(&engine, &keys::batches(Incarnation(2))).is_empty());
}

#[test]
fn a_claim_whose_outcome_is_unknown_raises_the_epoch_once() {
    use kv::memory::CommitFault::{self, Conflict, UnknownCommitted, UnknownLost};
    let check = |fates: &[CommitFault], same_life: bool| {
        let store = store();
        let life = if same_life { 2 } else { 3 };
        let engine = crate::world::faulty(&store, fates);
        let before = current(&engine).expect("claimed").epoch;
        let claimed = block_on(view::claim(&engine, Incarnation(life), 4)).expect("claimed");
        assert_eq!(claimed.epoch, Epoch(before.0 + 1), "{fates:?}");
        assert_eq!(current(&engine), Some(claimed), "{fates:?}");
    };
    for same_life in [false, true] {
        check(&[UnknownCommitted], same_life);
        check(&[UnknownLost], same_life);
        check(&[UnknownLost, Conflict], same_life);
        check(&[Conflict, UnknownCommitted, Conflict], same_life);
    }
}

#[test]
fn arrivals_are_told_to_the_homes_of_the_view_and_cleared_behind_them() {
    let engine = quiet(&store());
    let mut world = World::claim(engine.clone(), 2, 2);
    world.run("1 sends a; 2 marks 1; d.2 sends b");
    let mut told = Vec::new();
    for shard in [0, 1] {
        let home = schema::Owner { shard: ShardIndex(shard), ..first_shard(2) };
        let read = |after, rows| {
            let none = std::collections::BTreeSet::new();
            block_on(arrivals::read(&engine, home, after, 0, &none, rows)).expect("readable")
        };
        let whole = read(Stamp::default(), 100);
        assert!(!whole.more);
        let mut after = Stamp::default();
        for arrival in &whole.rows {
            let one = read(after, 1);
            assert_eq!(one.rows, std::slice::from_ref(arrival));
            assert!(after < one.through && one.through >= arrival.stamp);
            after = one.through;
            for (event, content) in arrival.record.events.iter().zip(arrival.contents.as_ref().expect("none were had"))
            {
                assert_eq!(content.position, arrival.stamp.at(event.ordinal));
                for &user in &arrival.record.audiences[usize::from(event.audience)] {
                    assert_eq!(world.view.home_of_user(user), home);
                    told.push((user.0, content.position, crate::world::event_words(content)));
                }
            }
        }
        let hinted: Vec<_> = world.hints.iter().filter(|(to, ..)| *to == home).collect();
        let arrived: Vec<_> = whole.rows.iter().map(|row| (row.stamp, row.contents.clone().expect("read"))).collect();
        assert_eq!(hinted.iter().map(|(_, stamp, events)| (*stamp, events.clone())).collect::<Vec<_>>(), arrived);
        let first = whole.rows[0].stamp;
        let have = std::collections::BTreeSet::from([first]);
        let page = block_on(arrivals::read(&engine, home, Stamp::default(), 0, &have, 100));
        assert_eq!(page.expect("readable").rows[0].contents, None, "the home has it");
        block_on(arrivals::clear(&engine, home, first, &[])).expect("cleared");
        assert_eq!(read(Stamp::default(), 100).rows, whole.rows[1..]);
    }
    told.sort();
    let words: Vec<String> = told.iter().map(|(user, _, words)| format!("{user} {words}")).collect();
    assert_eq!(words, ["1 g#1=a", "1 d#1=b", "2 g#1=a", "2 g read #1", "2 d#1=b", "3 g#1=a"]);
}
