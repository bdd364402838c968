//! The engine over a cluster that is not well: the stand-in with faults on request.

use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use contract::ended;
use fdb_c::{Fault, Server, ServerOptions};
use futures_lite::future::{block_on, poll_once};
use kv::foundationdb::{FoundationDb, FoundationDbEngine, FoundationDbStats, FoundationDbTransaction, OpenError};
use kv::retry::{Abort, at_once, run};
use kv::{Atomic, Begin, Engine, Error, Generation, RangeRequest, Stamp, Transaction, Version};
use tempfile::TempDir;

/// A server of its own for a test, and its cluster file.
struct Cluster {
    server: Server,
    directory: TempDir,
}

impl Cluster {
    fn start() -> Self {
        let server = Server::start(ServerOptions::default()).expect("a free port");
        Self { server, directory: TempDir::new().expect("a temporary directory") }
    }

    fn connect(&self, prefix: &str, new_generation: u64) -> FoundationDb {
        let options = self.server.options(self.directory.path(), prefix, new_generation);
        FoundationDb::connect(&options).expect("the stand-in's library is there")
    }

    fn open(&self) -> FoundationDbEngine {
        block_on(self.connect("store", 1).open()).expect("the store is new")
    }
}

/// One commit after another of one row, each with its own end, and what the engine counts of it.
#[test]
fn a_commit_ends_in_the_words_of_the_trait() {
    let cluster = Cluster::start();
    let engine = cluster.open();
    let check = |fault: Fault, expected: &str, stored: bool, counted: fn(&FoundationDbStats) -> u64| {
        let before = counted(engine.stats());
        cluster.server.script(&[fault]);
        let mut tx = engine.begin(Begin::Fresh);
        let key = format!("{fault:?}");
        tx.set(key.as_bytes(), b"");
        let ended = ended(block_on(tx.commit()));
        let there = block_on(engine.begin(Begin::Fresh).get(key.as_bytes())).expect("no fault").is_some();
        assert_eq!((ended, there, counted(engine.stats()) - before), (expected, stored, 1), "{fault:?}");
    };
    check(Fault::None, "ok", true, |stats| stats.commits.load(Ordering::Relaxed));
    check(Fault::Conflict, "conflict", false, |stats| stats.conflicts.load(Ordering::Relaxed));
    check(Fault::UnknownCommitted, "unknown", true, |stats| stats.unknown.load(Ordering::Relaxed));
    check(Fault::UnknownLost, "unknown", false, |stats| stats.unknown.load(Ordering::Relaxed));
    check(Fault::TooOld, "too old", false, |stats| stats.too_old.load(Ordering::Relaxed));
    check(Fault::FutureVersion, "future version", false, |stats| stats.commits_throttled.load(Ordering::Relaxed));
    check(Fault::Behind, "throttled", false, |stats| stats.commits_throttled.load(Ordering::Relaxed));
    check(Fault::CutCommitted, "unknown", true, |stats| stats.unknown.load(Ordering::Relaxed));
    check(Fault::Cut, "unknown", false, |stats| stats.unknown.load(Ordering::Relaxed));
    assert_eq!(engine.stats().take_samples().len(), 1, "one commit was answered with success");
}

#[test]
fn a_read_ends_in_the_words_of_the_trait() {
    let cluster = Cluster::start();
    let engine = cluster.open();
    let check = |fault: Fault, expected: &str| {
        let faulty = || {
            let tx = engine.begin(Begin::Fresh);
            block_on(tx.read_version()).expect("no fault");
            cluster.server.script_reads(&[fault]);
            tx
        };
        let get = ended(block_on(faulty().get(b"k")));
        let range = block_on(faulty().get_range(&RangeRequest::prefix(b"k")));
        let range = ended(range);
        assert_eq!((get, range), (expected, expected), "{fault:?}");
    };
    check(Fault::None, "ok");
    check(Fault::TooOld, "too old");
    check(Fault::FutureVersion, "future version");
    check(Fault::Behind, "throttled");
    check(Fault::Cut, "too old");
}

/// Each end of a commit, then a retry that remembers what may have happened: the counter is 1 whatever came between.
#[test]
fn a_retry_is_told_of_an_unknown_result_and_counts_once() {
    let cluster = Cluster::start();
    let engine = cluster.open();
    let check = |faults: &[Fault]| {
        let key = format!("{faults:?}");
        cluster.server.script(faults);
        let result = block_on(run(&engine, Begin::Cached, 5, at_once, |mut tx: FoundationDbTransaction, attempt| {
            let key = key.as_bytes().to_vec();
            async move {
                if attempt.maybe_committed && tx.get(&key).await?.is_some() {
                    return Err(Abort::Refused("committed before"));
                }
                tx.atomic(Atomic::Add, &key, &[1]);
                Ok((tx, ()))
            }
        }));
        let count = block_on(engine.begin(Begin::Fresh).get(key.as_bytes())).expect("no fault");
        assert_eq!(count.as_deref(), Some([1_u8].as_slice()), "{faults:?}: {result:?}");
    };
    check(&[Fault::Conflict, Fault::Behind]);
    check(&[Fault::UnknownCommitted]);
    check(&[Fault::UnknownLost, Fault::Conflict]);
    check(&[Fault::UnknownCommitted, Fault::None]);
    check(&[Fault::CutCommitted]);
    check(&[Fault::Cut, Fault::TooOld]);
}

/// Versions asked of the cluster and versions at hand, begin by begin.
#[test]
fn a_version_at_hand_is_begun_at_while_it_is_young_and_nothing_failed_there() {
    let cluster = Cluster::start();
    let engine = cluster.open();
    let asked = || engine.stats().read_versions_asked.load(Ordering::Relaxed);
    let check = |begin: Begin, expected: u64| {
        let before = asked();
        let version = block_on(engine.begin(begin).read_version()).expect("to be had");
        assert_eq!(asked() - before, expected, "{begin:?}");
        version
    };
    let put = |value: &[u8]| {
        let mut tx = engine.begin(Begin::Fresh);
        tx.set(b"k", value);
        block_on(tx.commit()).expect("nothing conflicts").version
    };
    check(Begin::Cached, 1);
    check(Begin::Cached, 0);
    check(Begin::Fresh, 1);
    let own = put(b"1");
    assert_eq!(check(Begin::Cached, 0), own, "the newest at hand is the commit's");
    assert_eq!(check(Begin::AtLeast(own), 0), own);
    assert_eq!(check(Begin::At(own), 0), own);
    check(Begin::AtLeast(Version(0)), 0);
    thread::sleep(Duration::from_millis(kv::CACHED_MS_MAX + 50));
    check(Begin::Cached, 1);
    check(Begin::At(own), 0);

    // Another process's commit, of which this one does not know: what reads before it conflicts once.
    let other = cluster.open();
    let mut tx = other.begin(Begin::Fresh);
    tx.set(b"k", b"2");
    block_on(tx.commit()).expect("nothing conflicts");
    let mut attempts = 0;
    let counted =
        block_on(run(&engine, Begin::AtLeast(own), 5, at_once, |mut tx: FoundationDbTransaction, attempt| {
            attempts = attempt.number;
            async move {
                let value = tx.get(b"k").await?;
                tx.set(b"x", &value.unwrap_or_default());
                Ok::<_, Abort<()>>((tx, ()))
            }
        }));
    assert!(counted.is_ok() && attempts == 2, "{counted:?} in {attempts} attempts");
}

#[test]
fn a_store_is_created_once_and_a_newer_or_another_is_refused() {
    let cluster = Cluster::start();
    let open = |prefix: &str, new_generation: u64| block_on(cluster.connect(prefix, new_generation).open());
    let generations = [(1, "a", 7, 7), (2, "a", 8, 7), (3, "b", 8, 8)];
    for (row, prefix, new_generation, expected) in generations {
        let engine = open(prefix, new_generation).unwrap_or_else(|error| panic!("row {row}: {error}"));
        assert_eq!(engine.generation(), Generation(expected), "row {row}");
    }

    // Several at once are of one generation.
    let first_of: Vec<_> = (10..18)
        .map(|generation| {
            let cluster = cluster.connect("raced", generation);
            thread::spawn(move || block_on(cluster.open()).expect("one of them is first").generation())
        })
        .collect();
    let mut generations: Vec<_> = first_of.into_iter().map(|opening| opening.join().expect("no panic")).collect();
    generations.dedup();
    assert_eq!(generations.len(), 1, "{generations:?}");

    let path = cluster.server.cluster_file(cluster.directory.path());
    let database = foundationdb::Database::from_path(path.to_str().expect("ASCII")).expect("the client runs");
    let put = |key: &[u8], value: &[u8]| {
        let tx = database.create_trx().expect("the client runs");
        tx.set(key, value);
        block_on(tx.commit()).expect("nothing conflicts");
    };

    // A prefix that begins with another's: neither store sees the other's rows, in whatever table.
    let longer = open("store2", 9).expect("the store is new");
    let mut tx = longer.begin(Begin::Fresh);
    tx.set(b"k", b"2");
    block_on(tx.commit()).expect("nothing conflicts");
    let shorter = open("store", 10).expect("there is nothing of it");
    let all = RangeRequest::new(b"", b"\xFF");
    assert_eq!(block_on(shorter.begin(Begin::Fresh).get_range(&all)).expect("no fault").rows, []);

    put(b"foreign\0k", b"");
    let refused = open("foreign", 9).expect_err("there are rows");
    assert!(matches!(refused, OpenError::NotAStore { .. }), "{refused:?}");

    let check = |format: &[u8], expected: &str| {
        put(b"b\0\xFFformat", format);
        let said = open("b", 9).expect_err("it is refused").to_string();
        assert!(said.contains(expected), "{format:?}: {said}");
    };
    check(&3_u32.to_be_bytes(), "format 3, this program knows 2; use the newer program");
    check(&1_u32.to_be_bytes(), "format 1, this program knows 2; export it with the older program, and import");
    check(b"x", "the row for the format is damaged");
}

/// What the engine never hands over, as the client library says it.
#[test]
fn what_the_server_refuses_comes_at_the_commit_by_foundationdbs_numbers() {
    let cluster = Cluster::start();
    let _network = cluster.open();
    let path = cluster.server.cluster_file(cluster.directory.path());
    let database = foundationdb::Database::from_path(path.to_str().expect("ASCII")).expect("the client runs");
    let check = |write: &dyn Fn(&foundationdb::Transaction), expected: i32| {
        let tx = database.create_trx().expect("the client runs");
        write(&tx);
        assert_eq!(block_on(tx.commit()).map_or_else(|error| error.code(), |_| 0), expected);
    };
    check(&|tx| tx.set(&[b'k'; 10_000], &[0; 100_000]), 0);
    check(&|tx| tx.set(&[b'k'; 10_001], b""), 2102);
    check(&|tx| tx.set(b"k", &[0; 100_001]), 2103);
    check(&|tx| (0..99_u8).for_each(|row| tx.set(&[row], &[0; 100_000])), 0);
    check(&|tx| (0..100_u8).for_each(|row| tx.set(&[row], &[0; 100_000])), 2101);
    check(&|tx| (0..200_u8).for_each(|row| tx.set(&[row], &[0; 100_000])), 2101);
    check(&|tx| tx.set(b"\xFF", b""), 2004);
    check(&|tx| tx.atomic_op(b"k", b"v", foundationdb::options::MutationType::BitAnd), 2018);
    check(&|tx| tx.atomic_op(b"k", b"v", foundationdb::options::MutationType::SetVersionstampedKey), 2000);
}

/// 6 s without the cluster: reads end with a word after 5 s, a commit waits for its answer, and opening waits too.
#[test]
fn a_cluster_that_is_away_ends_reads_but_no_commit() {
    let cluster = Cluster::start();
    let engine = cluster.open();
    let (tell, listen) = mpsc::channel();
    cluster.server.pause();
    let paused = Instant::now();

    let reading = {
        let engine = engine.clone();
        thread::spawn(move || {
            let read = ended(block_on(engine.begin(Begin::Fresh).get(b"k")));
            (read, paused.elapsed())
        })
    };
    let committing = {
        let (engine, tell) = (engine.clone(), tell.clone());
        thread::spawn(move || {
            let mut tx = engine.begin(Begin::Fresh);
            tx.set(b"k", b"1");
            let committed = block_on(tx.commit());
            tell.send("commit").expect("the test waits");
            committed
        })
    };
    let opening = {
        let cluster = cluster.connect("late", 3);
        thread::spawn(move || {
            let opened = block_on(cluster.open());
            tell.send("open").expect("the test waits");
            opened
        })
    };
    assert!(listen.recv_timeout(Duration::from_secs(6)).is_err(), "answered while the cluster was away");
    let (read, after) = reading.join().expect("no panic");
    assert_eq!(read, "unavailable");
    assert!((Duration::from_secs(5)..Duration::from_secs(20)).contains(&after), "{after:?}");

    cluster.server.resume();
    let committed = committing.join().expect("no panic");
    assert!(committed.is_ok(), "{committed:?}");
    assert_eq!(opening.join().expect("no panic").expect("the store is new").generation(), Generation(3));
    let value = block_on(engine.begin(Begin::Fresh).get(b"k")).expect("the cluster is back");
    assert_eq!(value.as_deref(), Some(b"1".as_slice()));
    assert_eq!(engine.stats().unavailable.load(Ordering::Relaxed), 1);
}

/// A full store refuses commits, each after a wait of the client's choice, and goes on with reads.
#[test]
fn a_full_store_throttles_commits_and_serves_reads() {
    let cluster = Cluster::start();
    let engine = cluster.open();
    cluster.server.fill(true);
    let began = Instant::now();
    let throttled = || engine.stats().commits_throttled.load(Ordering::Relaxed);
    let result = block_on(run(&engine, Begin::Fresh, 5, at_once, |mut tx: FoundationDbTransaction, _| async move {
        tx.get(b"k").await?;
        tx.set(b"k", b"1");
        Ok::<_, Abort<()>>((tx, ()))
    }));
    let refused = matches!(&result, Err(kv::retry::Failed::Store { last: Error::Throttled, .. }));
    assert!(refused, "{result:?}");
    // The stand-in's client waits 10, 20, 40 ms …, so attempts wait 10, 30, 70, 150 and 310 ms.
    let took = began.elapsed();
    assert!((Duration::from_millis(570)..Duration::from_secs(10)).contains(&took), "five attempts in {took:?}");
    assert_eq!((throttled(), engine.stats().reads_throttled.load(Ordering::Relaxed)), (5, 0));
    cluster.server.fill(false);
    let put = || {
        let mut tx = engine.begin(Begin::Fresh);
        tx.set(b"k", b"1");
        block_on(tx.commit())
    };
    assert!(put().is_ok());
    // What was served ends the row: the next wait is short again.
    cluster.server.fill(true);
    let began = Instant::now();
    assert!(matches!(put(), Err(Error::Throttled)));
    assert!(began.elapsed() < Duration::from_millis(600), "{:?}", began.elapsed());
}

/// Reads that are throttled wait likewise, and are no sign of a full store.
#[test]
fn reads_that_are_put_off_wait_longer_each_time() {
    let cluster = Cluster::start();
    let engine = cluster.open();
    cluster.server.script_reads(&[Fault::Behind; 4]);
    let began = Instant::now();
    for attempt in 1..=4 {
        let read = block_on(engine.begin(Begin::Fresh).read_version());
        assert!(matches!(read, Err(Error::Throttled)), "attempt {attempt}: {read:?}");
    }
    assert!(began.elapsed() >= Duration::from_millis(260), "{:?}", began.elapsed());
    assert!(block_on(engine.begin(Begin::Fresh).read_version()).is_ok());
    let stats = engine.stats();
    let counts = [&stats.reads_throttled, &stats.commits_throttled].map(|counter| counter.load(Ordering::Relaxed));
    assert_eq!(counts, [4, 0]);
}

/// What the contract's rule says, in real time.
#[test]
fn a_transaction_lives_five_seconds() {
    let cluster = Cluster::start();
    let engine = cluster.open();
    let begin = || {
        let tx = engine.begin(Begin::Fresh);
        block_on(tx.get(b"k")).expect("no fault");
        tx
    };
    let (reads, mut writes, mut in_time) = (begin(), begin(), begin());
    writes.set(b"x", b"1");
    in_time.set(b"y", b"1");
    thread::sleep(Duration::from_secs(2));
    assert!(block_on(in_time.commit()).is_ok(), "after 2 s");
    thread::sleep(Duration::from_millis(3_100));
    let read = ended(block_on(reads.get(b"l")));
    assert_eq!(read, "too old", "a read after 5.1 s");
    // What it read, it read in time.
    assert!(block_on(reads.commit()).is_ok());
    let commit = ended(block_on(writes.commit()));
    assert_eq!(commit, "too old", "a commit after 5.1 s");
}

/// The future of a commit, dropped after it was handed in: the commit happens or not, and nobody hangs.
#[test]
fn a_commit_that_nobody_waits_for_harms_nobody() {
    let cluster = Cluster::start();
    let engine = cluster.open();
    for round in 0..50_u8 {
        let mut tx = engine.begin(Begin::Fresh);
        tx.atomic(Atomic::Add, b"count", &[1]);
        let mut commit = Box::pin(tx.commit());
        let early = block_on(poll_once(&mut commit));
        assert!(early.is_none(), "round {round}: answered before the server was asked");
    }
    let mut last = engine.begin(Begin::Fresh);
    last.set_versionstamped_value(b"last", b"", b"");
    let committed = block_on(last.commit()).expect("nothing conflicts");
    let tx = engine.begin(Begin::AtLeast(committed.version));
    let stamp = block_on(tx.get(b"last")).expect("no fault").expect("written");
    assert_eq!(stamp, Stamp(committed.stamp.0).0.as_slice());
    let count = block_on(tx.get(b"count")).expect("no fault").map_or(0, |count| count[0]);
    assert!(count <= 50, "{count} of 50 happened");
    // Whatever happened, happened before a commit that was handed in later: nothing comes after.
    for round in 0..5_u8 {
        thread::sleep(Duration::from_millis(20));
        let mut later = engine.begin(Begin::Fresh);
        let now = block_on(later.get(b"count")).expect("no fault").map_or(0, |count| count[0]);
        assert_eq!(now, count, "round {round}");
        later.set(b"later", &[round]);
        block_on(later.commit()).expect("nothing conflicts");
    }
}
