//! Cost of an append, counted where it arrives: rows, round trips and transactions.

use crate::served::Served;

/// What a script may cost beside the rows that are counted in each transaction.
struct Cost {
    /// Messages sent.
    messages: usize,
    /// Members told, summed over the messages.
    told: usize,
    /// Senders' own marks: one for each sender and channel of a batch.
    marks: usize,
    /// Transactions.
    commits: usize,
}

/// Runs `script` on a node of `shards` and compares what the server counted: within the budget, and so many rows.
fn check(shards: u16, script: &str, cost: &Cost, expected: usize) {
    let served = Served::start();
    let mut world = served.world(shards);
    world.run("1 sends before, d.1 sends before, d.2 sends before");
    let before = served.server.calls();
    let reply = world.run(script);
    assert!(reply.split(", ").all(|reply| reply.starts_with('#')), "{script}: {reply}");
    let after = served.server.calls();
    let written = usize::try_from(after.written.rows - before.written.rows).expect("few");
    let commits = usize::try_from(after.committed - before.committed).expect("few");
    let homes = usize::from(shards);
    let most = 3 * cost.messages + cost.told + commits * (1 + homes) + cost.marks;
    assert!(written <= most, "{script} on {shards} shards writes {written} rows, the budget is {most}");
    assert_eq!((written, commits), (expected, cost.commits), "{script} on {shards} shards");
}

#[test]
fn a_message_costs_three_rows_and_one_for_each_member() {
    let one = |told, marks| Cost { messages: 1, told, marks, commits: 1 };
    // Message, head and first reply; an inbox row each; an arrival; the batch row; and the sender's own mark.
    check(1, "d.1 sends a", &one(2, 1), 3 + 2 + 1 + 1 + 1);
    check(1, "1 sends a", &one(3, 1), 3 + 3 + 1 + 1 + 1);
    // Heads and marks are shared within a batch: fewer than three a message.
    let two = |marks| Cost { messages: 2, told: 4, marks, commits: 1 };
    check(1, "d.1 sends a, d.1 sends b", &two(1), (2 + 1 + 2) + 2 * 2 + 1 + 1 + 1);
    check(1, "d.1 sends a, d.2 sends b", &two(2), (2 + 1 + 2) + 2 * 2 + 1 + 1 + 2);
}

#[test]
fn a_batch_costs_one_row_and_one_arrival_for_each_home_shard() {
    let served = Served::start();
    let world = served.world(2);
    let homes: std::collections::BTreeSet<_> = [1, 2].map(|user| world.view.home_of_user(schema::UserId(user))).into();
    check(2, "d.1 sends a", &Cost { messages: 1, told: 2, marks: 1, commits: 1 }, 3 + 2 + homes.len() + 1 + 1);
    // A hundred messages are a hundred times the three and the two, but for heads, and once all else.
    let ops: Vec<String> = (0..100).map(|id| format!("d.1 sends m{id}")).collect();
    let cost = Cost { messages: 100, told: 200, marks: 1, commits: 1 };
    check(1, &ops.join(", "), &cost, (2 * 100 + 1) + 200 + 1 + 1 + 1);
}

#[test]
fn what_changes_nothing_costs_no_transaction() {
    let served = Served::start();
    let mut world = served.world(1);
    world.run("1 sends a");
    let before = served.server.calls();
    assert_eq!(world.run("1 sends a; 9 sends b; 1 types on"), "#1 again; 102; told");
    let after = served.server.calls();
    assert_eq!((after.commits, after.written), (before.commits, before.written));
}
