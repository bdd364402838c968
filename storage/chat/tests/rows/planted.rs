//! Every planted bug is found, by the check of the store or by what a client was told; without it the same run is clean.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chat::appender::Appender;
use chat::check::{self, CheckError};
use chat::inbox::InboxLimits;
use chat::{Planted, arrivals, inbox, view};
use futures_lite::future::block_on;
use kv::memory::CommitFault::{Conflict, UnknownCommitted};
use kv::memory::MemoryEngine;
use schema::page::InboxPage;
use schema::{Incarnation, Position, Stamp, UserId};

use crate::world::{World, faulty, first_shard, store};

fn world(fates: &[kv::memory::CommitFault], bug: Option<Planted>) -> World<MemoryEngine> {
    let mut world = World::current(faulty(&store(), fates));
    if let Some(bug) = bug {
        world.appenders = vec![Appender::new(first_shard(2)).with_planted(bug)];
    }
    world
}

/// The invariant that the check of the store finds violated.
fn violated(world: &World<MemoryEngine>) -> Option<&'static str> {
    match block_on(check::run(&world.engine, |_| {})) {
        Ok(_) => None,
        Err(CheckError::Violated { invariant, .. }) => Some(invariant),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_seq_counted_in_memory_leaves_a_hole() {
    for (bug, expected) in [(None, None), (Some(Planted::SeqInMemory), Some("I2"))] {
        let mut world = world(&[Conflict], bug);
        world.run("1 sends a; 1 sends b");
        assert_eq!(violated(&world), expected, "{bug:?}");
    }
}

#[test]
fn an_unknown_result_taken_for_a_failure_stores_twice() {
    for (bug, expected) in [(None, None), (Some(Planted::UnknownIsFailure), Some("I5"))] {
        let mut world = world(&[UnknownCommitted], bug);
        world.run("1 sends a");
        assert_eq!(violated(&world), expected, "{bug:?}");
    }
}

#[test]
fn a_batch_of_an_ended_view_writes_arrivals_that_nobody_reads() {
    for (bug, unread) in [(None, false), (Some(Planted::FenceWithoutEpoch), true)] {
        let mut world = world(&[], bug);
        world.push("1 sends a");
        let batch = world.next_batch(0).expect("one is queued");
        let next = block_on(view::claim(&world.engine, Incarnation(2), 1)).expect("claimed");
        world.run_one(0, batch);
        let told = world.inbox(3, 100).contains("#1");
        let none = BTreeSet::new();
        let read = arrivals::read(&world.engine, next.epoch, first_shard(2), Stamp::default(), 0, &none, 10);
        let arrived = !block_on(read).expect("readable").rows.is_empty();
        assert_eq!(told && !arrived, unread, "I6: told {told}, arrived {arrived}, {bug:?}");
        assert_eq!(world.fenced, bug.is_none());
    }
}

#[test]
fn a_cached_list_lets_one_send_who_was_removed_elsewhere() {
    for (bug, expected) in [(None, "103"), (Some(Planted::CachedMembership), "#2")] {
        let mut world = world(&[], bug);
        assert_eq!(world.run("3 sends a; 3 marks 1"), "#1; read #1 unread 0");
        // The channel moves away, 3 is removed there, and it moves back.
        let mut other = World::claim(world.engine.clone(), 3, 1);
        assert_eq!(other.run("1 removes 3"), "changed");
        world.view = Arc::new(block_on(view::claim(&world.engine, Incarnation(2), 1)).expect("claimed"));
        assert_eq!(world.run("3 sends b"), expected, "I10: {bug:?}");
        let holds = violated(&world).is_none();
        assert_eq!(holds, bug.is_none(), "{bug:?}");
    }
}

#[test]
fn a_cursor_ahead_of_an_unread_row_skips_it() {
    let mut world = world(&[], None);
    world.run("1 sends a; 1 sends b; 1 sends c");
    let limits = InboxLimits { rows: 2, bytes: 1 << 20, at_connect: false };
    let whole = world.inbox(3, 100);
    for bug in [None, Some(Planted::CursorAheadOfUnreadRow)] {
        let mut told = Vec::new();
        let mut after = Position::START;
        for _page in 0..4 {
            let page = match bug {
                None => block_on(inbox::read(&world.engine, UserId(3), after, 0, limits)),
                Some(bug) => block_on(inbox::read_planted(&world.engine, UserId(3), after, 0, limits, bug)),
            };
            let InboxPage::Events { events, through, .. } = page.expect("readable") else { panic!("behind") };
            told.extend(events.iter().map(crate::world::event_words));
            after = through;
        }
        assert_eq!(told.join(", ") == whole, bug.is_none(), "I6: {told:?} of {whole}, {bug:?}");
    }
    for bug in [None, Some(Planted::CursorAheadOfUnreadRow)] {
        let (at, none) = ((world.view.epoch, first_shard(2)), BTreeSet::new());
        let mut arrived = BTreeMap::new();
        let mut after = Stamp::default();
        for _page in 0..4 {
            let page = match bug {
                None => block_on(arrivals::read(&world.engine, at.0, at.1, after, 0, &none, 1)),
                Some(bug) => block_on(arrivals::read_planted(&world.engine, at, after, 0, &none, 1, bug)),
            };
            let page = page.expect("readable");
            arrived.extend(page.rows.into_iter().map(|row| (row.stamp, row.record)));
            after = page.through;
        }
        assert_eq!(arrived.len() == 3, bug.is_none(), "I6: {arrived:?}, {bug:?}");
    }
}
