//! A clock that leaps forgets nothing, and its times are nobody else's.

use chat::clock::{self, CONFIRMED_AFTER_MS, Observed};
use chat::share::Share;
use chat::{dedup, inbox, keys, push};
use futures_lite::future::block_on;
use kv::Transaction;
use kv::memory::MemoryEngine;
use schema::command::HistoryWindow;
use schema::{UnixMs, UserId};

use crate::world::{DAY_MS, WALL, World, world, write};

fn days(days: u64) -> UnixMs {
    UnixMs(WALL.0 + days * DAY_MS)
}

/// All upkeep of a node whose clock shows `wall`, after it has served for `ran_ms`.
fn keep_up(world: &World<MemoryEngine>, wall: UnixMs, ran_ms: u64) -> Observed {
    block_on(async {
        let observed = clock::observe(&world.engine, wall, ran_ms).await.expect("readable");
        dedup::clear(&world.engine, wall, &Share::whole()).await.expect("cleared");
        push::sweep(&world.engine, wall, &Share::whole()).await.expect("swept");
        inbox::trim(&world.engine, UserId(2), wall).await.expect("trimmed");
        observed
    })
}

#[test]
fn a_first_reply_outlives_a_clock_that_was_ahead_for_a_while() {
    let mut world = world("");
    keep_up(&world, WALL, 0);
    assert_eq!(world.run("1 sends a"), "#1");
    let before = world.inbox(2, 10);
    assert!(matches!(keep_up(&world, days(34), 3_000), Observed::Leapt { .. }));
    assert_eq!(keep_up(&world, WALL, 60_000), Observed::Believed);
    assert_eq!(world.run("1 sends a; 1 sends b"), "#1 again; #2");
    assert!(world.inbox(2, 10).starts_with(before.trim_end()), "the inbox lost nothing");
}

#[test]
fn a_clock_that_stays_ahead_is_believed_in_the_end() {
    let mut world = world("");
    keep_up(&world, WALL, 0);
    assert_eq!(world.run("1 sends a"), "#1");
    keep_up(&world, days(34), 3_000);
    assert_eq!(keep_up(&world, days(34), CONFIRMED_AFTER_MS), Observed::Believed);
    world.wall = days(34);
    assert_eq!(world.run("1 sends a"), "124");
    world.holds();
}

#[test]
fn where_the_clock_cannot_be_read_nothing_is_forgotten() {
    let mut world = world("");
    keep_up(&world, WALL, 0);
    assert_eq!(world.run("1 sends a"), "#1");
    write(&world.engine, |tx| tx.set(&keys::clock(), &[250]));
    assert!(block_on(clock::observe(&world.engine, days(34), 0)).is_err());
    block_on(dedup::clear(&world.engine, days(34), &Share::whole())).expect("nothing to clear");
    assert_eq!(world.run("1 sends a"), "#1 again");
}

#[test]
fn only_the_messages_of_a_wrong_clock_bear_its_time() {
    let mut world = world("");
    let mut send = |wall, op| {
        world.wall = wall;
        world.run(op)
    };
    assert_eq!(send(WALL, "1 sends a"), "#1");
    assert_eq!(send(days(40), "1 sends b@40"), "#2");
    assert_eq!(send(WALL.plus_ms(5_000), "1 sends c"), "#3");
    // Clocks of nodes differ a little: there a channel's time stands still.
    assert_eq!(send(WALL.plus_ms(2_000), "1 sends e"), "#4");
    let page = world.history(1, "g", HistoryWindow::Newest, 10).expect("a member");
    let times: Vec<u64> = page.messages.iter().map(|message| message.sent_ms.0 - WALL.0).collect();
    assert_eq!(times, [0, 40 * DAY_MS, 5_000, 5_000]);
    world.holds();
}
