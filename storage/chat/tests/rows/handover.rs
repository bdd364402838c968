//! Appenders across views: a queue outlives the view under which it was asked for, what has moved is refused whole, and
//! a batch whose view ended meanwhile is decided once (I3, I4, I5, I7).

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use chat::appender::Batch;
use chat::{arrivals, view};
use futures_lite::future::block_on;
use kv::memory::CommitFault::{self, Conflict, UnknownCommitted, UnknownLost};
use kv::memory::{Faults, MemoryEngine, MemoryStore, ScriptedFaults};
use schema::view::Partition;
use schema::{Stamp, View};

use crate::world::{World, channel, first_shard, give, open, quiet, store};

/// Fates of batches' commits; what changes views meets none.
struct Fates {
    fates: ScriptedFaults,
    quiet: Arc<AtomicBool>,
    /// How often others go on before each step.
    yields: u32,
}

impl Faults for Fates {
    fn commit(&mut self) -> CommitFault {
        if self.quiet.load(Ordering::Relaxed) { CommitFault::None } else { self.fates.commit() }
    }

    fn yields(&mut self) -> u32 {
        self.yields
    }
}

/// A store whose view changes beside life 2.
struct Views {
    engine: MemoryEngine,
    quiet: Arc<AtomicBool>,
}

/// Life 2, which has the store to itself, and the view that it stands in.
fn begin(store: &MemoryStore, fates: &[CommitFault], yields: u32) -> (World<MemoryEngine>, Views) {
    World::claim(quiet(store), 2, 1);
    let calm = Arc::new(AtomicBool::new(false));
    let fates = ScriptedFaults::new(fates.iter().copied());
    let engine = open(store, Fates { fates, quiet: Arc::clone(&calm), yields });
    (World::current(engine.clone()), Views { engine, quiet: calm })
}

impl Views {
    fn current(&self) -> View {
        block_on(view::current(&self.engine)).expect("readable").expect("claimed").view
    }

    /// Gives the partitions of some channels to a life.
    fn give(&self, channels: &str, to: u64) {
        self.quiet.store(true, Ordering::Relaxed);
        let partitions: Vec<_> = channels.split('+').map(|name| Partition::of_channel(channel(name))).collect();
        give(&self.engine, &partitions, to);
        self.quiet.store(false, Ordering::Relaxed);
    }
}

/// What life 2 does of a script, of steps separated by `;`, where its commits end so: an operation is queued, a batch
/// `begins` and `ends`, the store's view `gives` channels to a life, and life 2 `learns` the view or `is expelled`. Said
/// is what is answered when a batch ends, and `none` where none begins.
fn check(fates: &[CommitFault], script: &str, expected: &str) {
    let (mut old, views) = begin(&store(), fates, 0);
    let (mut said, mut flight, mut asked) = (Vec::new(), None::<Batch>, Vec::new());
    for step in script.split("; ") {
        match step.split(' ').collect::<Vec<_>>()[..] {
            ["begins"] => {
                flight = old.next_batch(0);
                if flight.is_none() {
                    said.push("none".to_owned());
                }
            }
            ["ends"] => {
                old.fenced = false;
                old.run_one(0, flight.take().expect("one is in flight"));
                let answered: Vec<u64> = asked.extract_if(.., |ticket| old.outcome(*ticket).is_some()).collect();
                let mut words: Vec<String> = answered.into_iter().map(|ticket| old.reply(ticket)).collect();
                words.extend(old.fenced.then(|| "fenced".to_owned()));
                said.push(words.join(", "));
            }
            ["gives", channels, "to", life] => views.give(channels, life.parse().expect("a life")),
            ["learns"] => old.view = Arc::new(views.current()),
            ["is", "expelled"] => old.appenders[0].expel(),
            _ => asked.push(old.push(step)),
        }
    }
    assert_eq!(said.join("; "), expected, "{script} after {fates:?}");
    assert_eq!(old.appenders[0].is_idle(), asked.is_empty(), "{script}");
    assert!(!asked.is_empty() || old.appenders[0].queued_bytes() == 0, "{script}");
    old.holds();
}

#[test]
fn a_batch_whose_view_ended_is_queued_again_before_all_others() {
    check(&[], "1 sends a; begins; 2 sends b; gives x to 3; ends; begins", "fenced; none");
    check(
        &[],
        "1 sends a; begins; 2 sends b; gives x to 3; ends; begins; learns; begins; 2 sends c; ends; begins; ends",
        "fenced; none; #1, #2; #3",
    );
    // Under a view that ended as well, and under one that is known before the batch comes back.
    check(
        &[],
        "1 sends a; begins; gives x to 3; learns; gives y to 3; ends; begins; ends; begins; learns; begins; ends",
        "fenced; fenced; none; #1",
    );
    // What was to be tried in parts stays in parts.
    check(
        &[Conflict; 2],
        "1 sends a; d.1 sends b; 1 sends c; begins; ends; begins; gives x to 3; ends; learns; begins; ends; begins; ends",
        "; fenced; #1; #1, #2",
    );
}

#[test]
fn what_moved_is_refused_whole_and_the_rest_goes_on_in_its_order() {
    let moved = "1 sends a; d.1 sends b; begins; 1 sends c; d.2 sends e; gives g to 3; ends; learns; begins; ends";
    check(&[], moved, "fenced; 113, #1, 113, #2");
    check(&[], "1 sends a; gives g+d to 3; learns; begins; ends; begins", "113; none");
    // Also what is back by the view that is learned: whoever had it meanwhile may have been asked the same, and then the
    // opposite of it.
    check(&[], "1 sends a; d.1 sends b; gives g to 3; gives g to 2; learns; begins; ends", "113, #1");
    check(&[], "1 sends a; begins; gives g to 3; gives g to 2; ends; learns; begins; ends", "fenced; 113");
    check(&[], "gives g to 3; gives g to 2; learns; 1 sends a; begins; ends", "#1");
    // Also what is queued far behind: a channel that comes back with the next view is not behind itself.
    let sends: Vec<String> = (0..1_100).map(|number| format!("1 sends a{number}")).collect();
    let refused = vec!["113"; sends.len()].join(", ");
    let back = "gives g to 3; learns; begins; gives g to 2; learns; 1 sends b; ends; begins; ends";
    check(&[], &format!("{}; {back}", sends.join("; ")), &format!("{refused}; #1"));
    // While the rest is tried in vain too.
    check(
        &[Conflict; 2],
        "1 sends a; d.1 sends b; d.2 sends c; gives g to 3; learns; begins; ends; begins; ends; begins; ends",
        "113; #1; #2",
    );
}

#[test]
fn a_life_that_is_in_no_view_any_more_refuses_all_that_it_has_and_is_given() {
    let ends = "1 sends a; begins; 2 sends b; gives x to 3; is expelled; ends; d.1 sends c; begins; ends; begins";
    check(&[], ends, "fenced; 113, 113, 113; none");
    // What has committed has.
    check(&[], "1 sends a; begins; 2 sends b; is expelled; ends; begins; ends", "#1; 113");
    check(&[], "1 sends a; is expelled; begins; ends; gives x to 3; learns; 1 sends b; begins; ends", "113; 113");
}

#[test]
fn a_home_reads_on_across_views_and_is_told_which_stood() {
    let (mut world, views) = begin(&store(), &[], 0);
    let (home, none) = (first_shard(2), BTreeSet::new());
    let read = |after| {
        let page = block_on(arrivals::read(&views.engine, home, after, 0, &none, 10));
        page.map(|page| (page.rows.len(), page.through, page.epoch.0))
            .map_err(|error| u16::from(error.into_refusal().code))
    };
    let (_, first, epoch) = read(Stamp::default()).expect("it lives");
    assert_eq!(epoch, 2);
    world.run("1 sends a");
    views.give("x", 3);
    // What arrives from here on may arrive elsewhere, which is for the home to judge.
    let (rows, second, epoch) = read(first).expect("it lives");
    assert_eq!((rows, epoch), (1, 3), "what arrived under the view before is one stream with what comes");
    world.run("1 sends b");
    assert_eq!(read(second).map(|(rows, _, epoch)| (rows, epoch)), Ok((1, 3)));
    assert_eq!(read(first).map(|(rows, _, epoch)| (rows, epoch)), Ok((2, 3)));
    // Its life is over.
    World::claim(views.engine.clone(), 4, 1);
    assert_eq!(read(second), Err(113));
}

/// A send is under way when the view changes, after so many steps of its batch. Whatever became of its commit, it is
/// answered by what is stored, and stored once, by who has the channel then. Returns whether the batch was fenced, and
/// whether it was still under way.
fn decided_once(fates: &[CommitFault], moves: bool, steps: usize) -> (bool, bool) {
    let store = store();
    let (mut old, views) = begin(&store, fates, 1);
    let ticket = old.push("1 sends a");
    let mut run = Box::pin(old.next_batch(0).expect("one is queued").run(old.engine.clone()));
    let mut outcome = None;
    for _ in 0..steps {
        if let Poll::Ready(ended) = run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            outcome = Some(ended);
            break;
        }
    }
    let under_way = outcome.is_none();
    views.give(if moves { "g" } else { "x" }, 3);
    let outcome = outcome.unwrap_or_else(|| block_on(run));
    let finished = old.appenders[0].finished(outcome);
    let fenced = finished.fenced.is_some();
    assert_eq!(finished.replies.is_empty(), fenced, "it is answered or queued again");
    old.replies.extend(finished.replies);
    old.drain();
    let context = format!("{fates:?}, moves: {moves}, after {steps} steps, fenced: {fenced}");
    let mut next = World::claim(quiet(&store), 4, 1);
    let again = next.run("1 sends a");
    match &*old.reply(ticket) {
        "#1" => assert_eq!(again, "#1 again", "I3: {context}"),
        "113" => assert!(moves && fenced && again == "#1", "R10: {again}, {context}"),
        other => panic!("{other}: {context}"),
    }
    next.holds();
    (fenced, under_way)
}

#[test]
fn a_batch_under_way_when_its_view_ends_is_decided_once() {
    for fates in [
        &[][..],
        &[Conflict],
        &[UnknownLost],
        &[UnknownCommitted],
        &[UnknownLost, UnknownLost, UnknownCommitted],
        &[UnknownLost, Conflict, UnknownLost],
    ] {
        for moves in [false, true] {
            let (mut steps, mut fenced) = (0, Vec::new());
            loop {
                let (is_fenced, under_way) = decided_once(fates, moves, steps);
                fenced.push(is_fenced);
                steps += 1;
                if !under_way {
                    break;
                }
            }
            let both = fenced.contains(&true) && fenced.contains(&false);
            assert!(both, "the view ends before the commit and after: {fenced:?} with {fates:?}");
        }
    }
}
