//! Group commit: what comes while a batch is on its way shares the next; what comes alone goes at once.

use std::collections::HashMap;
use std::sync::mpsc;
use std::thread;

use crate::served::Served;

/// Runs `senders` that each send `each` messages, one after the other's reply, through the shard's one appender, which
/// takes whatever is there. Returns messages and transactions.
fn run(senders: u64, each: u64) -> (u64, u64) {
    let served = Served::start();
    let mut world = served.world(1);
    let before = served.server.calls().committed;
    let (send, queue) = mpsc::channel::<(String, mpsc::Sender<()>)>();
    let sending: Vec<_> = (0..senders)
        .map(|sender| {
            let send = send.clone();
            thread::spawn(move || {
                let (acknowledge, acknowledged) = mpsc::channel();
                for number in 0..each {
                    let op = format!(
                        "{}.{} sends s{sender}n{number}",
                        if sender % 2 == 0 { "d" } else { "g" },
                        sender % 2 + 1
                    );
                    send.send((op, acknowledge.clone())).expect("the appender runs");
                    acknowledged.recv().expect("every message is acknowledged");
                }
            })
        })
        .collect();
    drop(send);
    let mut waiting = HashMap::new();
    // Waits only when there is nothing to do.
    while let Ok(first) = queue.recv() {
        for (op, acknowledge) in std::iter::once(first).chain(queue.try_iter()) {
            waiting.insert(world.push(&op), acknowledge);
        }
        while let Some(batch) = world.next_batch(0) {
            world.run_one(0, batch);
            for (op, acknowledge) in queue.try_iter() {
                waiting.insert(world.push(&op), acknowledge);
            }
            waiting.retain(|ticket, acknowledge| match world.outcome(*ticket) {
                None => true,
                Some(reply) => {
                    assert!(reply.is_ok(), "{reply:?}");
                    acknowledge.send(()).expect("the sender waits");
                    false
                }
            });
        }
    }
    sending.into_iter().for_each(|sender| sender.join().expect("it does not panic"));
    (senders * each, served.server.calls().committed - before)
}

#[test]
fn sixty_four_senders_share_transactions() {
    let (messages, commits) = run(64, 20);
    assert!(commits * 10 < messages, "{commits} transactions for {messages} messages");
}

#[test]
fn a_lone_message_leaves_at_once_and_alone() {
    assert_eq!(run(1, 30), (30, 30));
    let served = Served::start();
    let mut world = served.world(1);
    world.run("1 sends before");
    let before = served.server.calls();
    world.push("1 sends a");
    // No time passes in this world: whatever waited for a timer would wait for ever.
    let batch = world.next_batch(0).expect("a batch of one");
    world.run_one(0, batch);
    let after = served.server.calls();
    let found = (after.committed - before.committed, after.read_versions - before.read_versions);
    assert_eq!(found, (1, 1), "a commit, and a read version for it");
}
