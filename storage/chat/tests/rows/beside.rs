//! Batches beside each other: which operations leave together, and that it does not matter which batch ends first.

use std::collections::VecDeque;

use chat::appender::{Appender, Batch};
use kv::memory::CommitFault::Conflict;
use kv::memory::MemoryEngine;

use crate::world::{World, faulty, first_shard, store};

/// Words: `+op` queues an operation, `b` begins batches for as long as there are any, `e0` ends the oldest in flight
/// and `e1` the next. Then how many operations each batch had that began, and what came of the operations.
fn check(words: &str, batches: &[usize], replies: &str) {
    let mut world = World::current(faulty(&store(), &[]));
    world.appenders = vec![Appender::new(first_shard(2)).with_eager_batches()];
    let (mut flights, mut begun, mut tickets) = (VecDeque::new(), Vec::new(), Vec::new());
    for word in words.split(';').map(str::trim) {
        if let Some(op) = word.strip_prefix('+') {
            tickets.push(world.push(op));
        } else if word == "b" {
            begin(&mut world, &mut flights, &mut begun);
        } else {
            let at = word.strip_prefix('e').and_then(|at| at.parse().ok()).expect("a word");
            let batch = flights.remove(at).expect("in flight");
            world.run_one(0, batch);
        }
    }
    assert_eq!(begun, batches, "{words}");
    let told: Vec<String> = tickets.iter().map(|&ticket| world.reply(ticket)).collect();
    assert_eq!(told.join(", "), replies, "{words}");
    flights.into_iter().for_each(|batch| world.run_one(0, batch));
    world.drain();
    world.holds();
}

fn begin(world: &mut World<MemoryEngine>, flights: &mut VecDeque<Batch>, begun: &mut Vec<usize>) {
    loop {
        let before = world.appenders[0].queued();
        let Some(batch) = world.next_batch(0) else { return };
        begun.push(before - world.appenders[0].queued());
        flights.push_back(batch);
    }
}

#[test]
fn a_batch_beside_others_has_none_of_their_channels() {
    check("+g.1 sends a; b; +g.1 sends b; +d.1 sends c; b", &[1, 1], "no reply, no reply, no reply");
    check("+g.1 sends a; b; +g.1 sends b; +d.1 sends c; b; e1", &[1, 1], "no reply, no reply, #1");
    check("+g.1 sends a; b; +g.1 sends b; +d.1 sends c; b; e1; e0; b; e0", &[1, 1, 1], "#1, #2, #1");
    check("+g.1 sends a; b; +g.1 sends b; b; e0; b; e0", &[1, 1], "#1, #2");
}

#[test]
fn batches_end_in_any_order() {
    check("+g.1 sends a; b; +d.1 sends b; b; e0; +g.2 sends c; b; e1; e0; b", &[1, 1, 1], "#1, #1, #2");
    check("+g.1 sends a; b; +d.1 sends b; b; e1; +d.2 sends c; b; e1; e0", &[1, 1, 1], "#1, #1, #2");
}

#[test]
fn what_is_tried_in_parts_is_alone() {
    // Two conflicts, and the batch is tried in its parts.
    let mut world = World::current(faulty(&store(), &[Conflict; 2]));
    world.appenders = vec![Appender::new(first_shard(2)).with_eager_batches()];
    let (a, b) = (world.push("g.1 sends a"), world.push("d.1 sends b"));
    let batch = world.next_batch(0).expect("two are queued");
    world.run_one(0, batch);
    let part = world.next_batch(0).expect("two parts");
    assert!(world.next_batch(0).is_none(), "the other part waits for the first");
    world.run_one(0, part);
    world.drain();
    assert_eq!([a, b].map(|ticket| world.reply(ticket)), ["#1", "#1"]);
    world.holds();
}
