//! Batches that fail as a whole are tried in parts; two lives race for one store; a damaged row is nobody else's
//! trouble; and the main path on a disk.

use chat::keys;
use chat::{channels, check, view};
use futures_lite::future::{block_on, yield_now, zip};
use kv::Transaction;
use kv::embedded::{EmbeddedEngine, EmbeddedOptions};
use kv::memory::CommitFault::{self, Conflict};
use kv::memory::{FaultRates, Faults, SeededFaults};
use schema::{Incarnation, UserId};

use crate::world::{World, channel, open, quiet, store, world, world_after, write};

/// How many operations of a batch of one script are answered by each run of a batch, where commits end so.
fn check_parts(fates: &[CommitFault], script: &str, expected: &[usize]) {
    let mut world = world_after(fates, "");
    let tickets: Vec<u64> = script.split(", ").map(|op| world.push(op)).collect();
    let mut answered = Vec::new();
    while let Some(batch) = world.next_batch(0) {
        let before = tickets.iter().filter(|ticket| world.outcome(**ticket).is_some()).count();
        world.run_one(0, batch);
        answered.push(tickets.iter().filter(|ticket| world.outcome(**ticket).is_some()).count() - before);
    }
    assert_eq!(answered, expected, "{script} after {fates:?}");
    assert!(world.appenders[0].is_idle());
    world.holds();
}

#[test]
fn a_batch_in_conflict_is_split_by_channel_and_then_in_halves() {
    let two = "1 sends a, d.1 sends b, 2 sends c, d.2 sends e";
    check_parts(&[], two, &[4]);
    check_parts(&[Conflict], two, &[4]);
    check_parts(&[Conflict; 2], two, &[0, 2, 2]);
    check_parts(&[Conflict; 4], two, &[0, 0, 1, 1, 2]);
    let one = "1 sends a, 1 sends b, 1 sends c, 1 sends e, 1 sends f";
    check_parts(&[Conflict; 2], one, &[0, 2, 3]);
    check_parts(&[Conflict; 4], one, &[0, 0, 1, 1, 3]);
    check_parts(&[Conflict; 9], "1 sends a", &[1]);
}

/// The store is away for one read: the first after so many commits, of which the last ends so.
struct Away {
    after_commits: u32,
    fate: CommitFault,
    was_away: bool,
}

impl Faults for Away {
    fn read(&mut self) -> Option<kv::Error> {
        let is_away = self.after_commits == 0 && !self.was_away;
        self.was_away |= is_away;
        is_away.then_some(kv::Error::Unavailable)
    }

    fn commit(&mut self) -> CommitFault {
        if self.after_commits == 0 {
            return CommitFault::None;
        }
        self.after_commits -= 1;
        if self.after_commits == 0 { self.fate } else { CommitFault::None }
    }
}

#[test]
fn a_batch_that_the_store_does_not_answer_ends_at_once_and_whole() {
    let check = |after_commits: u32, fate: CommitFault, script: &str, expected: &str| {
        let store = store();
        let mut world = World::claim(quiet(&store), 2, 1);
        world.engine = open(&store, Away { after_commits, fate, was_away: false });
        assert_eq!(world.run(script), expected, "{script}, away after {after_commits} commits, the last {fate:?}");
        world.holds();
    };
    // One wait of five seconds, not one for each half of each half.
    check(0, CommitFault::None, "1 sends a, d.1 sends b, 2 sends c; 1 sends a", "115, 115, 115; #1");
    check(1, CommitFault::None, "1 sends a; 1 sends b, 2 sends c; d.1 sends b", "#1; 115, 115; #1");
    // Conflicts before it are no reason to split either.
    check(1, Conflict, "1 sends a, d.1 sends b; d.1 sends b", "115, 115; #1");
    // What may have been committed before the store went away is found by who sends it again.
    check(1, CommitFault::UnknownCommitted, "1 sends a, d.1 sends b; 1 sends a", "115, 115; #1 again");
    check(1, CommitFault::UnknownLost, "1 sends a, d.1 sends b; 1 sends a", "115, 115; #1");
}

#[test]
fn what_was_queued_behind_a_split_batch_comes_behind_it() {
    let mut world = world_after(&[Conflict; 2], "");
    let first = ["1 sends a", "d.1 sends b", "1 sends c"].map(|op| world.push(op));
    let batch = world.next_batch(0).expect("three are queued");
    let last = world.push("1 sends e");
    world.run_one(0, batch);
    assert_eq!(world.appenders[0].queued(), 4);
    world.drain();
    let seqs = [first[0], first[2], last].map(|ticket| format!("{:?}", world.outcome(ticket)));
    for (seq, reply) in (1..).zip(seqs) {
        assert!(reply.contains(&format!("seq: Seq({seq})")), "{reply} is not {seq}");
    }
}

#[test]
fn a_damaged_row_refuses_its_own_channel_alone() {
    let mut world = world("");
    write(&world.engine, |tx| tx.set(&keys::head(channel("d")), b"\x01damaged"));
    assert_eq!(world.run("1 sends a, d.1 sends b, 2 sends c, d.2 marks 1"), "#1, 100, #2, 100");
    assert!(matches!(block_on(check::run(&world.engine, |_| {})), Err(check::CheckError::Unreadable { rows: 1, .. })));
    let list = block_on(channels::list(&world.engine, UserId(1), None, 50)).expect("the others are listed");
    assert_eq!(list.channels.iter().map(|summary| summary.id).collect::<Vec<_>>(), [channel("g")]);
}

#[test]
fn of_two_lives_that_race_the_older_appends_before_the_takeover_or_not_at_all() {
    const SENDS: [&str; 3] = ["1 sends a", "d.1 sends b", "2 sends c"];
    let (mut before, mut fenced) = (0, 0);
    for seed in 0..60 {
        let store = store();
        let rates = FaultRates { conflict_permille: 50, unknown_permille: 150, yields_max: 4, ..FaultRates::HOSTILE };
        let mut old = World::claim(quiet(&store), 2, 1);
        let engine = open(&store, SeededFaults::new(seed, rates));
        let tickets = SENDS.map(|op| old.push(op));
        let batch = old.next_batch(0).expect("three are queued");
        let takeover = async {
            for _turn in 0..seed % 40 {
                yield_now().await;
            }
            while view::claim(&engine, Incarnation(3), 1).await.is_err() {}
        };
        let (outcome, ()) = block_on(zip(batch.run(engine.clone()), takeover));
        let finished = old.appenders[0].finished(outcome);
        old.replies.extend(finished.replies);
        // What was fenced, and what was to be tried in parts.
        old.engine = engine;
        old.drain();
        let mut new = World::current(quiet(&store));
        for (words, ticket) in SENDS.into_iter().zip(tickets) {
            let acknowledged = old.outcome(ticket).expect("every operation is answered").is_ok();
            let again = new.run(words).ends_with("again");
            // Refused is not the same as not stored, where the outcome was unknown; acknowledged is stored.
            assert!(again || !acknowledged, "I3: {words} was acknowledged and is not stored, seed {seed}");
            before += u32::from(acknowledged);
            fenced += u32::from(!acknowledged);
        }
        block_on(check::run(&new.engine, |_| {})).unwrap_or_else(|error| panic!("{error}, seed {seed}"));
    }
    assert!(before > 20 && fenced > 20, "both orders are met: {before} acknowledged, {fenced} refused");
}

#[test]
fn the_main_path_holds_on_the_embedded_engine_and_over_a_restart() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let open = || EmbeddedEngine::open(directory.path(), EmbeddedOptions::new(5)).expect("opened");
    let engine = open();
    let mut world = World::claim(engine.clone(), 1, 2);
    world.populate();
    let long = "가나다".repeat(30_000);
    let script = format!(
        "1 sends a, 2 sends b, d.1 sends c; 3 marks 2; 1 adds 4 admin, 1 sends l={long}; 4 removes 3; 1 sends e"
    );
    assert_eq!(world.run(&script), "#1, #2, #1; read #2 unread 0; changed, #3; changed; #4");
    let inboxes: Vec<String> = (1..=4).map(|user| world.inbox(user, 2)).collect();
    assert_eq!(inboxes[3], format!("g added 4, g#3={long}, g removed 3, g#4=e"));
    drop(world);
    engine.close();
    drop(engine);

    let engine = open();
    let mut world = World::claim(engine.clone(), 2, 1);
    assert_eq!(inboxes, (1..=4).map(|user| world.inbox(user, 100)).collect::<Vec<_>>());
    assert_eq!(world.run("1 sends a; 3 sends x; 4 sends f"), "#1 again; 103; #5");
    let checked = world.holds();
    assert_eq!((checked.channels, checked.messages, checked.first_replies, checked.users), (2, 6, 6, 4));
    engine.close();
}
