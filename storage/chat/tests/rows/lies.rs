//! Lies of the engine are found, by the check of the store or by what a client was told; without them the same run is
//! clean.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::lies::{Lie, LyingEngine};
use chat::check::{self, CheckError};
use chat::inbox::InboxLimits;
use chat::{arrivals, inbox, view};
use futures_lite::future::block_on;
use kv::Engine;
use kv::memory::CommitFault::{self, Conflict, UnknownCommitted};
use kv::memory::{Faults, MemoryEngine};
use schema::page::InboxPage;
use schema::view::Partition;
use schema::{Epoch, Incarnation, Position, Stamp, UserId};

use crate::world::{World, faulty, first_shard, give, open, quiet, store};

/// A world whose only shard is told this lie.
fn world(fates: &[CommitFault], lie: Option<Lie>) -> World<LyingEngine<MemoryEngine>> {
    world_over(faulty(&store(), fates), lie)
}

fn world_over(engine: MemoryEngine, lie: Option<Lie>) -> World<LyingEngine<MemoryEngine>> {
    let engine = LyingEngine::new(engine, lie);
    World::current(engine.for_batch(first_shard(2), Epoch(2), 0))
}

/// The invariant that the check of the store finds violated.
fn violated<E: Engine>(engine: &E) -> Option<&'static str> {
    match block_on(check::run(engine, |_| {})) {
        Ok(_) => None,
        Err(CheckError::Violated { invariant, .. }) => Some(invariant),
        Err(error) => panic!("{error}"),
    }
}

/// The script's store is sound, and violates the invariant if the engine lies.
fn check(lie: Lie, fates: &[CommitFault], script: &str, invariant: &str) {
    for (lie, expected) in [(None, None), (Some(lie), Some(invariant))] {
        let mut world = world(fates, lie);
        world.run(script);
        assert_eq!(violated(world.engine.inner()), expected, "{lie:?}");
    }
}

#[test]
fn a_lie_about_what_was_committed_is_found_in_the_store() {
    check(Lie::SeqInMemory, &[Conflict], "1 sends a; 1 sends b", "I2");
    check(Lie::UnknownIsFailure, &[UnknownCommitted], "1 sends a", "I5");
}

/// The first commit ends unknown, and the first read after it is of a version that is too old.
#[derive(Default)]
struct UnknownThenTooOld {
    committed: bool,
    failed: bool,
}

impl Faults for UnknownThenTooOld {
    fn read(&mut self) -> Option<kv::Error> {
        let fails = self.committed && !self.failed;
        self.failed |= fails;
        fails.then_some(kv::Error::TooOld)
    }

    fn commit(&mut self) -> CommitFault {
        let fate = if self.committed { CommitFault::None } else { UnknownCommitted };
        self.committed = true;
        fate
    }
}

#[test]
fn a_retry_looks_for_its_batch_row_whatever_ended_the_attempt_before() {
    for (lie, expected) in [(None, None), (Some(Lie::DedupByLastFlag), Some("I5"))] {
        let store = store();
        World::claim(quiet(&store), 2, 1);
        let mut world = world_over(open(&store, UnknownThenTooOld::default()), lie);
        world.run("1 sends a");
        assert_eq!(violated(world.engine.inner()), expected, "{lie:?}");
    }
}

#[test]
fn a_batch_of_an_ended_view_writes_arrivals_that_nobody_reads() {
    for (lie, unread) in [(None, false), (Some(Lie::FenceWithoutEpoch), true)] {
        let mut world = world(&[], lie);
        world.push("1 sends a");
        let batch = world.next_batch(0).expect("one is queued");
        give(&world.engine, &[Partition::of_user(UserId(3))], 3);
        world.run_one(0, batch);
        let told = world.inbox(3, 100).contains("#1");
        let none = BTreeSet::new();
        let read = arrivals::read(&world.engine, first_shard(3), Stamp::default(), 0, &none, 10);
        let arrived = !block_on(read).expect("readable").rows.is_empty();
        assert_eq!(told && !arrived, unread, "I6: told {told}, arrived {arrived}, {lie:?}");
        assert_eq!(world.fenced, lie.is_none());
    }
}

#[test]
fn one_who_was_taken_over_appends_if_the_fence_is_not_what_it_was() {
    for (lie, expected) in [(None, "113"), (Some(Lie::NoFence), "#2"), (Some(Lie::FenceLeftStanding), "#2")] {
        let mut old = world(&[], lie);
        assert_eq!(old.run("1 sends a"), "#1");
        block_on(view::claim(&old.engine, Incarnation(3), 1)).expect("claimed");
        assert_eq!(old.run("1 sends b"), expected, "I7: {lie:?}");
    }
}

#[test]
fn a_cached_list_lets_one_send_who_was_removed_elsewhere() {
    for (lie, expected) in [(None, "103"), (Some(Lie::CachedMembership), "#2")] {
        let mut world = world(&[], lie);
        assert_eq!(world.run("3 sends a; 3 marks 1"), "#1; read #1 unread 0");
        // The channel moves away, 3 is removed there, and it moves back.
        let mut other = World::claim(world.engine.inner().clone(), 3, 1);
        assert_eq!(other.run("1 removes 3"), "changed");
        world.view = Arc::new(block_on(view::claim(&world.engine, Incarnation(2), 1)).expect("claimed"));
        assert_eq!(world.run("3 sends b"), expected, "I10: {lie:?}");
        assert_eq!(violated(world.engine.inner()).is_none(), lie.is_none(), "{lie:?}");
    }
}

#[test]
fn a_cursor_ahead_of_an_unread_row_skips_it() {
    for lie in [None, Some(Lie::CursorAheadOfUnreadRow)] {
        let mut world = world(&[], lie);
        world.run("1 sends a; 1 sends b; 1 sends c");
        let (mut told, mut after) = (Vec::new(), Position::START);
        let limits = InboxLimits { rows: 2, bytes: 1 << 20, at_connect: false };
        for _page in 0..4 {
            let page = block_on(inbox::read(&world.engine, UserId(3), after, 0, limits)).expect("readable");
            let InboxPage::Events { events, through, .. } = page else { panic!("behind") };
            told.extend(events.iter().map(crate::world::event_words));
            after = through;
        }
        let whole = World::current(world.engine.inner().clone()).inbox(3, 100);
        assert_eq!(told.join(", ") == whole, lie.is_none(), "I6: {told:?} of {whole}, {lie:?}");

        let (mut arrived, mut after, none) = (BTreeMap::new(), Stamp::default(), BTreeSet::new());
        for _page in 0..4 {
            let read = arrivals::read(&world.engine, first_shard(2), after, 0, &none, 1);
            let page = block_on(read).expect("readable");
            arrived.extend(page.rows.into_iter().map(|row| (row.stamp, row.record)));
            after = page.through;
        }
        assert_eq!(arrived.len() == 3, lie.is_none(), "I6: {arrived:?}, {lie:?}");
    }
}
