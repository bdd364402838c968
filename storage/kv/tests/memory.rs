//! The memory engine keeps the contract, in both durabilities, and loses in a power loss what it may lose.

use std::sync::Arc;

use contract::{Subject, ended};
use futures_lite::future::{block_on, poll_once};
use kv::memory::{
    CommitFault, Durability, FaultRates, MemoryEngine, MemoryOptions, MemoryStore, ScriptedFaults, SeededFaults,
};
use kv::{Begin, Engine, Generation, ManualClock, Transaction};

fn open(durability: Durability) -> Subject<MemoryEngine> {
    let clock = Arc::new(ManualClock::default());
    let options = MemoryOptions { clock: Arc::clone(&clock) as _, durability, ..MemoryOptions::default() };
    let engine = MemoryEngine::open(&MemoryStore::new(Generation(1)), options);
    let syncing = engine.clone();
    let sync = move || {
        syncing.sync();
    };
    Subject { engine, clock: Some(clock), other: None, sync: Box::new(sync) }
}

/// Two processes of one store, each a client of it.
fn open_clients() -> Subject<MemoryEngine> {
    let subject = open(Durability::Immediate);
    Subject { other: Some(subject.engine.client()), engine: subject.engine.client(), ..subject }
}

mod immediate {
    contract::contract_tests!(|| super::open(super::Durability::Immediate), cases: 300);
}

mod stepped {
    contract::contract_tests!(|| super::open(super::Durability::Stepped), cases: 300);
}

mod clients {
    contract::contract_tests!(super::open_clients, cases: 300);
}

/// What happens to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A commit that sets this key is handed in.
    Set(&'static str),
    /// What was handed in is made durable.
    Sync,
    /// The process ends, and the store is opened again.
    Crash,
    /// The machine loses power, and the store is opened again.
    PowerLoss,
}
use Step::{Crash, PowerLoss, Set, Sync};

/// Takes `steps` on a store, and compares the keys that were answered with success, and those that are read at the end.
fn check(durability: Durability, steps: &[Step], acks: &[&str], keys: &[&str]) {
    let store = MemoryStore::new(Generation(1));
    let reopen = || MemoryEngine::open(&store, MemoryOptions { durability, ..MemoryOptions::default() });
    let mut engine = reopen();
    let mut waiting = Vec::new();
    let mut answered = Vec::new();
    for step in steps {
        match step {
            Set(key) => {
                let mut tx = engine.begin(Begin::Fresh);
                tx.set(key.as_bytes(), b"");
                let mut commit = Box::pin(tx.commit());
                match block_on(poll_once(&mut commit)) {
                    Some(result) => answered.push((*key, result)),
                    None => waiting.push((*key, commit)),
                }
                continue;
            }
            Sync => assert_eq!(engine.sync(), waiting.len(), "{steps:?}"),
            Crash => store.crash(),
            PowerLoss => store.power_loss(),
        }
        // After any of them nothing waits any more.
        answered.extend(waiting.drain(..).map(|(key, commit)| (key, block_on(commit))));
        if *step != Sync {
            engine = reopen();
        }
    }
    let succeeded: Vec<_> = answered.iter().filter(|(_, result)| result.is_ok()).map(|(key, _)| *key).collect();
    assert_eq!(succeeded, acks, "{steps:?}");
    let page = block_on(reopen().begin(Begin::Fresh).get_range(&kv::RangeRequest::new(b"", b"\xFF")));
    let rows = page.expect("no fault").rows;
    let found: Vec<_> = rows.iter().map(|row| String::from_utf8_lossy(&row.key)).collect();
    assert_eq!(found, keys, "{steps:?}");
}

#[test]
fn a_power_loss_takes_what_was_not_synced_and_nothing_that_was_answered() {
    check(Durability::Stepped, &[Set("a"), Set("b"), Sync], &["a", "b"], &["a", "b"]);
    check(Durability::Stepped, &[Set("a"), PowerLoss], &[], &[]);
    check(Durability::Stepped, &[Set("a"), Sync, Set("b"), PowerLoss], &["a"], &["a"]);
    check(
        Durability::Stepped,
        &[Set("a"), Sync, Set("a"), Set("b"), PowerLoss, Set("c"), Sync],
        &["a", "c"],
        &["a", "c"],
    );
    check(
        Durability::Stepped,
        &[Set("a"), Sync, Set("b"), PowerLoss, Set("c"), PowerLoss, Set("d"), Sync, PowerLoss],
        &["a", "d"],
        &["a", "d"],
    );
    // A killed process leaves what it wrote, answered or not.
    check(Durability::Stepped, &[Set("a"), Crash], &[], &["a"]);
    check(Durability::Stepped, &[Set("a"), Sync, Set("b"), Crash, Set("c"), PowerLoss], &["a"], &["a", "b"]);
    check(Durability::Stepped, &[Set("a"), Crash, PowerLoss], &[], &["a"]);
}

#[test]
fn a_power_loss_takes_what_was_answered_where_durability_is_deferred() {
    check(Durability::Deferred, &[Set("a"), Set("b"), Sync], &["a", "b"], &["a", "b"]);
    check(Durability::Deferred, &[Set("a"), PowerLoss], &["a"], &[]);
    check(Durability::Deferred, &[Set("a"), Sync, Set("b"), PowerLoss], &["a", "b"], &["a"]);
}

#[test]
fn versions_go_on_above_everything_that_was_readable() {
    let store = MemoryStore::new(Generation(1));
    let mut last = None;
    for round in 0..10 {
        let engine = MemoryEngine::open(&store, MemoryOptions::default());
        for _ in 0..round {
            let mut tx = engine.begin(Begin::Fresh);
            tx.set(b"k", b"");
            let stamp = block_on(tx.commit()).expect("nothing conflicts").stamp;
            assert!(last < Some(stamp), "{last:?} before {stamp:?}");
            last = Some(stamp);
        }
        if round % 2 == 0 { store.power_loss() } else { store.crash() }
    }
}

#[test]
fn what_is_not_durable_cannot_be_read_and_conflicts_wait_for_it() {
    let subject = open(Durability::Stepped);
    let engine = &subject.engine;
    let writing = |value: &[u8], reads: bool| {
        let mut tx = engine.begin(Begin::Fresh);
        if reads {
            block_on(tx.get(b"k")).expect("no fault");
        }
        tx.set(b"k", value);
        Box::pin(tx.commit())
    };
    let mut first = writing(b"1", false);
    assert!(block_on(poll_once(&mut first)).is_none());
    let mut second = writing(b"2", true);
    assert!(block_on(poll_once(&mut second)).is_none(), "its cause cannot be read yet");
    assert_eq!(block_on(engine.begin(Begin::Fresh).get(b"k")).expect("no fault"), None);
    assert_eq!((engine.unsynced(), engine.sync(), engine.unsynced()), (2, 2, 0));
    assert!(block_on(first).is_ok());
    assert_eq!(ended(block_on(second)), "conflict");
    assert_eq!(block_on(engine.begin(Begin::Fresh).get(b"k")).expect("no fault"), Some("1".into()));
}

/// Two processes of one store, `a` and `b`. Steps: `a=1` commits, `+100` lets time pass, `b>` is told of all that was
/// answered, `b` reads as `cached`, `known` (at least what it knows) or `fresh`, and finds the value that is expected.
fn check_clients(steps: &str, expected: &str) {
    let clock = Arc::new(ManualClock::default());
    let options = MemoryOptions { clock: Arc::clone(&clock) as _, ..MemoryOptions::default() };
    let store = MemoryEngine::open(&MemoryStore::new(Generation(1)), options);
    let (a, b) = (store.client(), store.client());
    let mut found = Vec::new();
    for step in steps.split_whitespace() {
        let begin = match step.split_at(1) {
            ("+", ms) => {
                clock.advance(ms.parse().expect("milliseconds"));
                continue;
            }
            ("a", value) => {
                let mut tx = a.begin(Begin::Fresh);
                tx.set(b"k", value.trim_start_matches('=').as_bytes());
                block_on(tx.commit()).expect("nothing conflicts");
                continue;
            }
            ("b", ">") => {
                b.floor(a.newest());
                continue;
            }
            ("c", "ached") => Begin::Cached,
            ("k", "nown") => Begin::AtLeast(b.newest()),
            ("f", "resh") => Begin::Fresh,
            _ => panic!("{step:?} is no step"),
        };
        let value = block_on(b.begin(begin).get(b"k")).expect("no fault");
        found.push(value.map_or("none".to_owned(), |value| String::from_utf8_lossy(&value).into_owned()));
    }
    assert_eq!(found.join(" "), expected, "{steps}");
}

#[test]
fn a_process_reads_what_it_has_at_hand_and_no_older_than_it_knows() {
    check_clients("a=1 cached a=2 cached known fresh cached", "1 1 1 2 2");
    check_clients("a=1 fresh a=2 +250 cached +1 cached", "1 1 2");
    check_clients("a=1 fresh a=2 known b> known cached", "1 1 2 2");
    // What it is told makes what it has no younger.
    check_clients("a=1 fresh +250 a=2 b> a=3 cached +1 cached", "1 2 3");
}

#[test]
fn a_scripted_fault_does_what_it_says() {
    let check = |fate: CommitFault, result: &str, stored: bool| {
        let options = MemoryOptions { faults: Box::new(ScriptedFaults::new([fate])), ..MemoryOptions::default() };
        let engine = MemoryEngine::open(&MemoryStore::new(Generation(1)), options);
        let mut tx = engine.begin(Begin::Fresh);
        tx.set(b"k", b"");
        let found = ended(block_on(tx.commit()));
        let there = block_on(engine.begin(Begin::Fresh).get(b"k")).expect("no fault").is_some();
        assert_eq!((found, there), (result, stored), "{fate:?}");
    };
    check(CommitFault::None, "ok", true);
    check(CommitFault::Conflict, "conflict", false);
    check(CommitFault::Throttled, "throttled", false);
    check(CommitFault::TooOld, "too old", false);
    check(CommitFault::UnknownCommitted, "unknown", true);
    check(CommitFault::UnknownLost, "unknown", false);
}

/// One counter, one seed: the same history twice, with every kind of fault in it.
#[test]
fn a_seed_repeats_its_faults() {
    let history = |seed: u64| {
        let faults = Box::new(SeededFaults::new(seed, FaultRates::HOSTILE));
        let engine =
            MemoryEngine::open(&MemoryStore::new(Generation(1)), MemoryOptions { faults, ..MemoryOptions::default() });
        let mut history = Vec::new();
        for _ in 0..2_000 {
            let mut tx = engine.begin(Begin::Cached);
            let read = ended(block_on(tx.get(b"k")));
            tx.set(b"k", b"");
            let committed = ended(block_on(tx.commit()));
            history.push((read, committed));
        }
        history
    };
    let (first, again, other) = (history(1), history(1), history(2));
    assert_eq!(first, again);
    assert_ne!(first, other);
    for fate in ["ok", "conflict", "throttled", "too old", "unknown"] {
        assert!(first.iter().any(|(_, committed)| *committed == fate), "no commit was {fate}");
    }
    assert!(first.iter().any(|(read, _)| *read == "throttled"), "no read failed");
}
