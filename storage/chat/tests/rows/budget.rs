//! Rows that an append costs, and that no batch is over its limits.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chat::appender::Appender;
use futures_lite::future::block_on;
use kv::limits::TRANSACTION_BYTES_TARGET;
use kv::memory::MemoryEngine;
use kv::{Begin, Engine, RangeRequest, Transaction};
use lies::LyingEngine;
use schema::UserId;
use schema::limits::{BATCH_ROWS_MAX, GROUP_MEMBERS_MAX};

use crate::world::{World, faulty, first_shard, store};

/// Every row of the store.
fn rows<E: Engine>(engine: &E) -> BTreeMap<Bytes, Bytes> {
    let tx = engine.begin(Begin::Fresh);
    let mut rows = BTreeMap::new();
    let mut request = Some(RangeRequest::new([0], [0xFF]));
    while let Some(range) = request {
        let page = block_on(tx.get_range(&range)).expect("readable");
        rows.extend(page.rows.iter().map(|row| (row.key.clone(), row.value.clone())));
        request = range.after(&page);
    }
    rows
}

/// Rows that a script writes, new or changed, by the first byte of their key; on a node of `shards`.
fn check_rows(shards: u16, script: &str, expected: usize) {
    let engine = faulty(&store(), &[]);
    let mut world = World::claim(engine, 3, shards);
    world.run("1 sends before, d.1 sends before, d.2 sends before");
    let before = rows(&world.engine);
    world.run(script);
    let after = rows(&world.engine);
    assert!(before.keys().all(|key| after.contains_key(key)), "{script} removes nothing");
    let written: Vec<&Bytes> =
        after.iter().filter(|(key, value)| before.get(*key) != Some(*value)).map(|(key, _)| key).collect();
    assert_eq!(written.len(), expected, "{script} on {shards} shards: {written:02x?}");
}

#[test]
fn a_message_costs_three_rows_and_one_for_each_member() {
    // Message, head and first reply; an inbox row each; an arrival; the batch row; and the sender's own mark, which is
    // one for each sender and channel of a batch.
    check_rows(1, "d.1 sends a", 3 + 2 + 1 + 1 + 1);
    // Heads and marks are shared within a batch: fewer than three a message.
    check_rows(1, "d.1 sends a, d.1 sends b", (2 + 1 + 2) + 2 * 2 + 1 + 1 + 1);
    check_rows(1, "d.1 sends a, d.2 sends b", (2 + 1 + 2) + 2 * 2 + 1 + 1 + 2);
    check_rows(1, "1 sends a", 3 + 3 + 1 + 1 + 1);
    // What was refused or had been sent writes nothing, not even a batch row.
    check_rows(1, "9 sends a, d.1 sends before, d.1 marks 0", 0);
}

#[test]
fn an_arrival_is_written_for_each_home_shard_concerned() {
    let world = World::claim(faulty(&store(), &[]), 3, 2);
    let homes: std::collections::BTreeSet<_> = [1, 2].map(|user| world.view.home_of_user(UserId(user))).into();
    check_rows(2, "d.1 sends a", 3 + 2 + homes.len() + 1 + 1);
}

#[test]
fn a_batch_keeps_within_its_rows_and_the_rest_follows_in_order() {
    let engine = faulty(&store(), &[]);
    let mut world = World::claim(engine, 3, 1);
    world.make_users(1_000..1_000 + u64::from(GROUP_MEMBERS_MAX));
    world.appenders = vec![Appender::new(first_shard(3)).with_group_members(GROUP_MEMBERS_MAX)];
    let members: Vec<String> = (1_001..1_000 + u64::from(GROUP_MEMBERS_MAX)).map(|user| user.to_string()).collect();
    assert_eq!(world.run(&format!("x.1000 makes {}", members.join("+"))), "made x");
    let body = "a".repeat(200);
    let tickets: Vec<u64> = (0..100).map(|id| world.push(&format!("x.1000 sends i{id}={body}"))).collect();
    let mut batches = 0;
    while let Some(batch) = world.next_batch(0) {
        let before = rows(&world.engine).len();
        world.run_one(0, batch);
        let written = rows(&world.engine).len() - before;
        assert!(written <= BATCH_ROWS_MAX as usize, "{written} rows in a batch");
        batches += 1;
    }
    assert!((8..=25).contains(&batches), "100 messages of 503 rows each in {batches} batches");
    for (seq, ticket) in (1..).zip(tickets) {
        let reply = world.outcome(ticket).expect("answered").as_ref().expect("sent");
        assert!(matches!(reply, schema::OpReply::Sent { seq: found, duplicate: false, .. } if found.0 == seq));
    }
    world.holds();
}

/// A store with the group x of users 1000 to 1099, behind an engine that counts, on a node of `shards`.
fn hundred(shards: u16) -> World<LyingEngine<MemoryEngine>> {
    let mut plain = World::claim(faulty(&store(), &[]), 3, 1);
    plain.make_users(1_000..1_100);
    let members: Vec<String> = (1_001..1_100).map(|user: u64| user.to_string()).collect();
    plain.run(&format!("x.1000 makes {}", members.join("+")));
    let world = World::claim(LyingEngine::new(plain.engine.clone(), None), 4, shards);
    world.engine.watch();
    world
}

#[test]
fn a_message_to_a_group_of_100_is_one_transaction_of_as_many_rows_as_promised() {
    let check = |shards: u16, change: &str, own: usize| {
        let mut world = hundred(shards);
        assert_eq!(world.run("x.1000 sends before; x.1001 puts before=👍 on 1"), "#1; count 1");
        let homes: BTreeSet<_> = (1_000..1_100).map(|user| world.view.home_of_user(UserId(user))).collect();
        assert_eq!(homes.len(), usize::from(shards), "users of every home");
        let (before, hints) = (rows(&world.engine), world.hints.len());
        world.engine.watch();
        let reply = world.run(change);
        let commits = world.engine.take_watched().commits_bytes.len();
        assert!(!reply.contains("10"), "{change}: {reply}");
        let after = rows(&world.engine);
        let written = after.iter().filter(|(key, value)| before.get(*key) != Some(*value)).count();
        // An inbox row for each member, an arrival and a hint for each home, the batch row.
        assert_eq!(written, own + 100 + homes.len() + 1, "{change} on {shards} shards");
        assert_eq!(commits, 1, "{change} on {shards} shards");
        assert_eq!(world.hints.len() - hints, homes.len(), "{change} on {shards} shards");
    };
    for shards in [1, 2] {
        // Message, head, first reply; and the sender's own mark.
        check(shards, "x.1000 sends a", 3 + 1);
        // Of each who is named a row more.
        check(shards, "x.1000 sends a to 1001+1002", 3 + 1 + 2);
        // Message, first reply, and word to the index.
        check(shards, "x.1000 edits e=b of 1", 3);
        // Reaction, count, first reply.
        check(shards, "x.1000 puts e=👍 on 1", 3);
    }
}

#[test]
fn what_is_told_live_costs_no_transaction() {
    let mut world = hundred(2);
    world.engine.watch();
    assert_eq!(world.run("x.1000 types on, d.1 types on"), "told, told");
    assert!(world.engine.take_watched().commits_bytes.is_empty());
}

/// The largest transaction of so many operations is within what one should have, and batches are filled.
fn check_bytes(mut op: impl FnMut(u32) -> String) {
    let mut world = hundred(1);
    for seq in 0..60 {
        world.push(&format!("x.1000 sends s{seq}"));
    }
    world.drain();
    for id in 0..500 {
        world.push(&op(id));
    }
    world.drain();
    let largest = world.engine.take_watched().commits_bytes.into_iter().max().expect("some batches");
    let example = op(1);
    assert!(largest <= TRANSACTION_BYTES_TARGET, "a batch of {largest} bytes: {example:.40}");
    assert!(
        largest > TRANSACTION_BYTES_TARGET / 3,
        "batches are filled: the largest has {largest} bytes: {example:.40}"
    );
}

#[test]
fn a_batch_keeps_within_the_bytes_that_a_transaction_should_have() {
    let to = |id: u32| if id.is_multiple_of(3) { "d.1" } else { "x.1000" };
    check_bytes(|id| format!("{} sends i{id}={}", to(id), "a".repeat(id as usize % 700)));
    check_bytes(|id| format!("x.1000 edits e{id}={} of {} at {}", "b".repeat(id as usize % 700), id % 60 + 1, id / 60));
    // The longest emoji that there are.
    check_bytes(|id| format!("x.{} puts e=👩🏻‍❤️‍💋‍👩🏾 on {}", 1_000 + id / 60, id % 60 + 1));
    check_bytes(|id| format!("x.1000 sends i{id} to 1001+1002+1003+1004+1005+1006+1007+1008+1009"));
    check_bytes(|id| format!("x.1000 deletes e{id} of {}", id % 60 + 1));
}
