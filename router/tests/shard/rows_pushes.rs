//! Rows of push items: each message, for each member without a session who did not send it (I9).

use crate::script::{rules, run};
use crate::world::World;

/// As [`run`], compared with who is to be told of what, as `USER: CHANNEL#SEQ` in the order of their names.
fn check(row: &str) {
    run(row, |world| {
        let written: u64 = world.shards.iter().map(|shard| shard.stats().pushes_written).sum();
        assert_eq!(written as usize, world.store.pushes.len());
        let mut told: Vec<String> = Vec::new();
        for item in &world.store.pushes {
            assert_eq!(item.due_ms, item.sent_ms.plus_ms(30_000));
            told.push(format!("{}: {}{}", world.names.user(item.user), world.names.channel(item.channel), item.seq));
        }
        told.sort();
        told.join(", ")
    });
}

rules! {
    who_has_no_session_and_did_not_send_it_is_to_be_told {
        "a1 joins, b1 joins, a1 sends abc m1, wait 1s => c: abc#1",
        "a1 joins, a1 sends abc m1, a1 sends ab m2, wait 1s => b: ab#1, b: abc#1, c: abc#1",
        "a1 joins, b1 joins, a1 sends ab m1, wait 1s =>",
        "a1 joins, b1 joins, b1 leaves, a1 sends ab m1, b1 joins, wait 1s => b: ab#1",
        "a1 joins, a1 sends ab m1, a1 edits ab 1 m2, a1 reacts ab 1 👍, a1 marks ab 1, wait 1s => b: ab#1",
    }

    who_is_not_let_in_yet_has_no_session {
        "a1 joins, store holds OpenInbox, b1 joins, a1 sends ab m1, wait 1s => b: ab#1",
        "a1 joins, store holds OpenInbox, b1 joins, a1 sends ab m1, store releases, a1 sends ab m2, wait 1s => b: ab#1",
    }

    nothing_is_to_be_told_before_it_is_stored_with_the_clearing_and_nothing_is_lost_by_one_that_fails {
        "store holds ClearArrivals, a1 joins, a1 sends ab m1, wait 5s =>",
        "store refuses ClearArrivals 115, a1 joins, a1 sends ab m1, wait 5s, a1 sends ab m2, wait 5s =>",
        "store refuses ClearArrivals 115, a1 joins, a1 sends ab m1, wait 5s, a1 sends ab m2,
        store accepts ClearArrivals, wait 2s => b: ab#1, b: ab#2",
        "store holds ClearArrivals, a1 joins, a1 sends ab m1, wait 2s, a1 sends ab m2, store releases, wait 1s
        => b: ab#1, b: ab#2",
    }

    what_hints_did_not_bring_is_to_be_told_too {
        "a1 joins, hints are lost, a1 sends ab m1, wait 2s => b: ab#1",
    }
}

#[test]
fn a_clearing_takes_some_two_thousand_at_once_and_all_are_stored() {
    let mut world = World::after(1, "wait 0s");
    world.everybody(false, 700);
    world.steps("u01 joins, watch ClearArrivals, <1..20: u01 sends everybody m$>, wait 1s");
    assert_eq!(world.store.pushes.len(), 699 * 20);
    assert_eq!(world.seen("ClearArrivals"), 10, "two messages' items fit in one");
    world.everybody_leaves();
}
