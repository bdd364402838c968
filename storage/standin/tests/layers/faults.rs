//! Each error that FoundationDB can give, and that whoever sends finds his message stored once all the same.

use std::collections::BTreeSet;

use chat::check;
use fdb_c::{Fault, Faults, ServerOptions};
use futures_lite::future::block_on;

use crate::served::Served;

/// Sends one message while commits and reads end as scripted. It is acknowledged, stored once, and took so many
/// attempts to commit.
fn check(commits: &[Fault], reads: &[Fault], attempts: u64) {
    let served = Served::start();
    let mut world = served.world(1);
    let before = served.server.calls();
    served.server.script(commits);
    served.server.script_reads(reads);
    assert_eq!(world.run("1 sends a"), "#1", "{commits:?} {reads:?}");
    let after = served.server.calls();
    let found = (after.commits - before.commits, after.committed - before.committed);
    assert_eq!(found, (attempts, 1), "attempts to commit, and commits, with {commits:?} {reads:?}");
    assert_eq!(world.run("1 sends a; 2 sends b"), "#1 again; #2", "{commits:?} {reads:?}");
    block_on(check::run(&world.engine, |_| {})).expect("the invariants hold");
}

#[test]
fn a_commit_that_fails_is_tried_again_and_happens_once() {
    check(&[], &[], 1);
    check(&[Fault::Conflict], &[], 2);
    check(&[Fault::TooOld], &[], 2);
    check(&[Fault::FutureVersion], &[], 2);
    check(&[Fault::Behind], &[], 2);
    check(&[Fault::Behind, Fault::FutureVersion, Fault::Behind], &[], 4);
}

#[test]
fn an_unknown_outcome_is_looked_up_by_the_batch_row() {
    // It had committed: the next attempt finds the row and commits nothing.
    check(&[Fault::UnknownCommitted], &[], 1);
    check(&[Fault::UnknownLost], &[], 2);
    check(&[Fault::UnknownLost, Fault::UnknownCommitted], &[], 2);
    check(&[Fault::UnknownLost, Fault::Conflict, Fault::UnknownCommitted], &[], 3);
}

#[test]
fn a_connection_that_breaks_in_a_commit_is_an_unknown_outcome() {
    check(&[Fault::CutCommitted], &[], 1);
    check(&[Fault::Cut], &[], 2);
    check(&[Fault::Cut, Fault::CutCommitted], &[], 2);
    check(&[Fault::CutCommitted], &[Fault::None, Fault::Cut], 1);
}

#[test]
fn a_read_that_fails_is_tried_again() {
    check(&[], &[Fault::TooOld], 1);
    check(&[], &[Fault::FutureVersion], 1);
    check(&[], &[Fault::Behind], 1);
    check(&[], &[Fault::Cut], 1);
    check(&[], &[Fault::None, Fault::None, Fault::TooOld], 1);
    // Between the attempt that committed and the one that looks for its row.
    let after_first = [Fault::None; 2];
    check(&[Fault::UnknownCommitted], &[after_first.as_slice(), &[Fault::Behind, Fault::TooOld]].concat(), 1);
}

/// Whatever is acknowledged is there once, in order, and what is not can be sent again.
#[test]
fn a_hostile_store_loses_and_doubles_nothing() {
    let mut seen = BTreeSet::new();
    for seed in 1..=3 {
        let faults = Faults {
            conflict: 40,
            unknown_committed: 30,
            unknown_lost: 30,
            too_old: 10,
            future: 20,
            behind: 10,
            read_too_old: 3,
            read_future: 3,
            read_behind: 3,
            delay_ms: 1,
        };
        let served = Served::with(ServerOptions { seed, ..ServerOptions::default() });
        let mut world = served.world(1);
        served.server.set_faults(faults);
        for round in 0..60 {
            if round % 20 == 19 {
                served.server.cut();
            }
            let script = format!("1 sends a{round}, d.2 sends b{round}, 2 sends c{round}=x, d.1 sends e{round}");
            let mut tickets: Vec<(&str, u64)> = script.split(", ").map(|op| (op, world.push(op))).collect();
            world.drain();
            // A client repeats what was refused for now.
            for _repetition in 0..100 {
                tickets.retain(|(_, ticket)| world.outcome(*ticket).is_none_or(|reply| reply.is_err()));
                for (op, ticket) in &mut tickets {
                    assert!(world.outcome(*ticket).is_some_and(crate::world::is_temporary), "seed {seed}, {op}");
                    *ticket = world.push(op);
                }
                world.drain();
            }
            assert!(tickets.is_empty(), "seed {seed}, round {round}: {tickets:?} are refused for ever");
        }
        served.server.set_faults(Faults::default());
        let checked = block_on(check::run(&world.engine, |_| {})).expect("the invariants hold");
        assert_eq!(checked.messages, 240, "seed {seed}");
        seen.extend(served.server.calls().errors.into_keys());
    }
    assert!([1007, 1009, 1020, 1021, 1037].iter().all(|code| seen.contains(code)), "of the faults only {seen:?}");
}
