//! What phones are to be told: each message, for each member without a session who did not send it (I9).

use crate::world::World;

/// Runs the steps over one shard and over two, and compares who is to be told of what, as `USER: CHANNEL#SEQ` in the
/// order of their names.
fn check(row: &str) {
    for shards in [1, 2] {
        let row = row.split_whitespace().collect::<Vec<_>>().join(" ");
        let (steps, expected) = row.split_once(" =>").expect("a row says what comes of it");
        let mut world = World::new(shards);
        world.wait(0);
        for step in steps.split(", ") {
            world.step(step);
            world.settle();
        }
        let mut told: Vec<String> = Vec::new();
        for item in &world.store.pushes {
            assert_eq!(item.due_ms, item.sent_ms.plus_ms(30_000));
            told.push(format!("{}: {}{}", world.names.user(item.user), world.names.channel(item.channel), item.seq));
        }
        told.sort();
        assert_eq!(told.join(", "), expected.trim_start(), "\n{steps}\non {shards} shards");
        let written: u64 = world.shards.iter().map(|shard| shard.stats().pushes_written).sum();
        assert_eq!(written as usize, world.store.pushes.len());
        world.everybody_leaves();
    }
}

#[test]
fn who_has_no_session_and_did_not_send_it_is_to_be_told() {
    check("a1 joins, b1 joins, a1 sends abc m1, wait 1s => c: abc#1");
    check("a1 joins, a1 sends abc m1, a1 sends ab m2, wait 1s => b: ab#1, b: abc#1, c: abc#1");
    check("a1 joins, b1 joins, a1 sends ab m1, wait 1s =>");
    check("a1 joins, b1 joins, b1 leaves, a1 sends ab m1, b1 joins, wait 1s => b: ab#1");
    check("a1 joins, a1 sends ab m1, a1 edits ab 1 m2, a1 reacts ab 1 👍, a1 marks ab 1, wait 1s => b: ab#1");
}

#[test]
fn who_is_not_let_in_yet_has_no_session() {
    check("a1 joins, store holds OpenInbox, b1 joins, a1 sends ab m1, wait 1s => b: ab#1");
    check(
        "a1 joins, store holds OpenInbox, b1 joins, a1 sends ab m1, store releases, a1 sends ab m2, wait 1s => b: ab#1",
    );
}

#[test]
fn nothing_is_to_be_told_before_it_is_stored_with_the_clearing_and_nothing_is_lost_by_one_that_fails() {
    check("store holds ClearArrivals, a1 joins, a1 sends ab m1, wait 5s =>");
    check("store refuses ClearArrivals 115, a1 joins, a1 sends ab m1, wait 5s, a1 sends ab m2, wait 5s =>");
    check(
        "store refuses ClearArrivals 115, a1 joins, a1 sends ab m1, wait 5s, a1 sends ab m2, store accepts ClearArrivals,
        wait 2s => b: ab#1, b: ab#2",
    );
    check(
        "store holds ClearArrivals, a1 joins, a1 sends ab m1, wait 2s, a1 sends ab m2, store releases, wait 1s
        => b: ab#1, b: ab#2",
    );
}

#[test]
fn what_hints_did_not_bring_is_to_be_told_too() {
    check("a1 joins, hints are lost, a1 sends ab m1, wait 2s => b: ab#1");
}

#[test]
fn a_clearing_takes_some_two_thousand_at_once_and_all_are_stored() {
    let mut world = World::new(1);
    world.wait(0);
    let users: Vec<String> = (0..700).map(|number| format!("u{number}")).collect();
    let members = users.iter().map(|user| world.user(user)).collect();
    world.channel_of("everybody", false, members);
    world.step("u01 joins");
    world.settle();
    world.step("watch ClearArrivals");
    for number in 0..20 {
        world.step(&format!("u01 sends everybody m{number}"));
        world.settle();
    }
    world.wait(1_000);
    assert_eq!(world.store.pushes.len(), 699 * 20);
    let clearings = world.seen.iter().filter(|seen| *seen == "ClearArrivals").count();
    assert_eq!(clearings, 10, "two messages' items fit in one");
    world.everybody_leaves();
}
