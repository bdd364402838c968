//! The embedded engine keeps the contract, and its data directory what was answered.

use std::error::Error as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use contract::Subject;
use futures_lite::future::{block_on, poll_once};
use kv::embedded::{EmbeddedEngine, EmbeddedOptions, OnFatal, OpenError};
use kv::retry::{Abort, at_once, run};
use kv::{Atomic, Begin, Committed, Engine, Error, Generation, ManualClock, RangeRequest, Transaction};
use tempfile::TempDir;

fn options() -> EmbeddedOptions {
    EmbeddedOptions { cache_bytes: 1 << 20, ..EmbeddedOptions::new(7) }
}

fn open(path: &Path) -> EmbeddedEngine {
    EmbeddedEngine::open(path, options()).expect("a directory of its own")
}

/// The directory lives as long as the subject.
fn subject() -> Subject<EmbeddedEngine> {
    let directory = TempDir::new().expect("a temporary directory");
    let clock = Arc::new(ManualClock::default());
    let options = EmbeddedOptions { clock: Arc::clone(&clock) as _, ..options() };
    let engine = EmbeddedEngine::open(directory.path(), options).expect("a directory of its own");
    Subject { engine, clock: Some(clock), other: None, sync: Box::new(move || assert!(directory.path().is_dir())) }
}

contract::contract_tests!(subject, cases: 40);

fn put(engine: &EmbeddedEngine, key: &[u8], value: &[u8]) -> kv::Committed {
    let mut tx = engine.begin(Begin::Fresh);
    tx.set(key, value);
    block_on(tx.commit()).expect("nothing conflicts")
}

fn get(engine: &EmbeddedEngine, key: &[u8]) -> Option<Vec<u8>> {
    let value = block_on(engine.begin(Begin::Fresh).get(key)).expect("no fault");
    value.map(|value| value.to_vec())
}

#[test]
fn what_was_answered_is_there_after_reopening_and_versions_go_on() {
    let directory = TempDir::new().expect("a temporary directory");
    let mut last = None;
    for round in 0..5_u8 {
        let options = EmbeddedOptions { entropy: 100 + u64::from(round), ..options() };
        let engine = EmbeddedEngine::open(directory.path(), options).expect("it was closed");
        assert_eq!(engine.generation(), Generation(100), "drawn once");
        for before in 0..round {
            assert_eq!(get(&engine, &[b'k', before]), Some(vec![before]), "round {round}");
        }
        let committed = put(&engine, &[b'k', round], &[round]);
        assert!(last < Some(committed.stamp), "round {round}: {last:?} before {committed:?}");
        last = Some(committed.stamp);
        match round % 2 {
            0 => engine.close(),
            _ => drop(engine),
        }
    }
}

#[test]
fn closing_finishes_what_waits_and_refuses_what_comes() {
    let directory = TempDir::new().expect("a temporary directory");
    let engine = open(directory.path());
    let mut commits = Vec::new();
    for number in 0..100_u8 {
        let mut tx = engine.begin(Begin::Fresh);
        tx.set(&[number], b"");
        let mut commit = Box::pin(tx.commit());
        commits.push((block_on(poll_once(&mut commit)), commit));
    }
    engine.close();
    for (early, commit) in commits {
        assert!(early.unwrap_or_else(|| block_on(commit)).is_ok());
    }
    let mut tx = engine.begin(Begin::Fresh);
    assert!(matches!(block_on(tx.get(b"k")), Err(Error::Fatal(_))));
    tx.set(b"k", b"");
    assert!(matches!(block_on(tx.commit()), Err(Error::Fatal(_))));
    let engine = open(directory.path());
    let page = block_on(engine.begin(Begin::Fresh).get_range(&RangeRequest::new(b"", b"\xFF")));
    assert_eq!(page.expect("no fault").rows.len(), 100);
}

#[test]
fn a_directory_that_cannot_be_used_says_what_to_do() {
    let directory = TempDir::new().expect("a temporary directory");
    let check = |path: &Path, expected: &str| {
        let error = EmbeddedEngine::open(path, options()).expect_err(expected);
        let text = error.to_string().replace(&directory.path().display().to_string(), "TMP");
        assert_eq!(text, expected, "{error:?}");
    };
    let in_use = directory.path().join("in use");
    let engine = open(&in_use);
    check(&in_use, "TMP/in use is in use by another process; stop it, or name another data directory");
    drop(engine);
    drop(open(&in_use));

    check(&directory.path().join("a/b"), "TMP/a does not exist; create it, or name another data directory");

    let file = directory.path().join("file");
    fs::write(&file, "").expect("writable");
    check(&file, "TMP/file is not a directory; name another data directory");

    let newer = directory.path().join("newer");
    drop(open(&newer));
    fs::write(newer.join("store/format"), "rookery store 3\n").expect("writable");
    check(&newer, "TMP/newer has format 3, this program knows 2; use the newer program");
    fs::write(newer.join("store/format"), "rookery store 1\n").expect("writable");
    check(
        &newer,
        "TMP/newer has format 1, this program knows 2; export it with the older program, and import that with this one \
         into an empty data directory",
    );
    fs::write(newer.join("store/format"), "rookery store 2\n").expect("writable");
    drop(open(&newer));

    let damaged = directory.path().join("damaged");
    drop(open(&damaged));
    fs::write(damaged.join("store/format"), "").expect("writable");
    check(
        &damaged,
        "TMP/damaged/store/format is damaged: it does not name a format of this program; restore it from a backup",
    );
    fs::remove_file(damaged.join("store/format")).expect("writable");
    check(&damaged, "TMP/damaged/store/format is damaged: it is missing; restore it from a backup");
    fs::write(damaged.join("store/format"), "rookery store 2\n").expect("writable");
    fs::remove_dir_all(damaged.join("store/rows")).expect("writable");
    check(&damaged, "TMP/damaged/store/rows is damaged: it is missing; restore it from a backup");
}

/// The superuser may write anywhere, so this needs another user to show; it is skipped where there is none.
#[test]
fn a_directory_without_the_right_to_write_is_named() {
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().join("read only");
    fs::create_dir(&path).expect("writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).expect("it is ours");
    if fs::write(path.join("probe"), "").is_ok() {
        return;
    }
    let error = EmbeddedEngine::open(&path, options()).expect_err("nothing can be written");
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
}

/// A process that died while it made the store left something in `store.new`.
#[test]
fn a_store_half_made_is_made_again() {
    let directory = TempDir::new().expect("a temporary directory");
    fs::create_dir_all(directory.path().join("store.new/rows")).expect("writable");
    fs::write(directory.path().join("store.new/rows/0.jnl"), "half").expect("writable");
    fs::write(directory.path().join("token.key"), "not ours").expect("writable");
    let engine = open(directory.path());
    put(&engine, b"k", b"1");
    assert_eq!(get(&engine, b"k"), Some(b"1".to_vec()));
    assert!(!directory.path().join("store.new").exists());
    assert_eq!(fs::read(directory.path().join("token.key")).expect("untouched"), b"not ours");
}

#[test]
fn commits_that_gather_share_a_group() {
    let directory = TempDir::new().expect("a temporary directory");
    let engine = open(directory.path());
    engine.stats().take_samples();
    let mut commits = Vec::new();
    for _ in 0..500 {
        let mut tx = engine.begin(Begin::Fresh);
        tx.atomic(Atomic::Add, b"count", &1_u64.to_le_bytes());
        let mut commit = Box::pin(tx.commit());
        commits.push((block_on(poll_once(&mut commit)), commit));
    }
    for (early, commit) in commits {
        early.unwrap_or_else(|| block_on(commit)).expect("nothing conflicts");
    }
    assert_eq!(get(&engine, b"count"), Some(500_u64.to_le_bytes().to_vec()));
    let samples = engine.stats().take_samples();
    assert_eq!(samples.iter().map(|sample| sample.transactions).sum::<usize>(), 500);
    assert!(samples.len() < 250, "{} groups for 500 commits handed in at once", samples.len());
    assert!(engine.free_bytes().expect("a file system") > 0);
}

#[test]
fn the_watchdog_tells_of_a_commit_that_does_not_return() {
    let directory = TempDir::new().expect("a temporary directory");
    let (stalled, stalls) = mpsc::channel();
    let options = EmbeddedOptions {
        stall: Duration::ZERO,
        on_stall: Arc::new(move |so_far| {
            let _test_is_over = stalled.send(so_far);
        }),
        ..options()
    };
    let engine = EmbeddedEngine::open(directory.path(), options).expect("a directory of its own");
    // Every fsync takes longer than no time at all.
    for number in 0..50_u8 {
        put(&engine, &[number], &[0; 50_000]);
    }
    let so_far = stalls.recv_timeout(Duration::from_secs(10)).expect("told");
    assert!(so_far > Duration::ZERO);
}

/// Threads move amounts between accounts while others add them up: every sum is the same.
#[test]
fn threads_see_only_whole_transactions() {
    const ACCOUNTS: u8 = 8;
    const EACH: u64 = 1_000;
    let directory = TempDir::new().expect("a temporary directory");
    let engine = open(directory.path());
    for account in 0..ACCOUNTS {
        put(&engine, &[account], &EACH.to_le_bytes());
    }
    let amount = |value: Option<bytes::Bytes>| {
        u64::from_le_bytes(value.expect("an account").as_ref().try_into().expect("8 bytes"))
    };
    let transfer = |from: u8, to: u8| {
        let moved = run(&engine, Begin::Fresh, 1_000, at_once, |mut tx, _| async move {
            let (paying, paid) = (amount(tx.get(&[from]).await?), amount(tx.get(&[to]).await?));
            tx.set(&[from], &(paying - 1).to_le_bytes());
            tx.set(&[to], &(paid + 1).to_le_bytes());
            Ok::<_, Abort<()>>((tx, ()))
        });
        block_on(moved).expect("one of those who conflict commits");
    };
    thread::scope(|scope| {
        let account = |at: u32| u8::try_from(at % u32::from(ACCOUNTS)).expect("fewer than 256");
        let movers = [1, 3]
            .map(|step| scope.spawn(move || (0..100).for_each(|at| transfer(account(at), account(at * step + step)))));
        let all = RangeRequest::new(b"", [ACCOUNTS]);
        while movers.iter().any(|mover| !mover.is_finished()) {
            let page = block_on(engine.begin(Begin::Cached).get_range(&all)).expect("no fault");
            let sum: u64 = page.rows.into_iter().map(|row| amount(Some(row.value))).sum();
            assert_eq!(sum, EACH * u64::from(ACCOUNTS));
        }
    });
    let conflicts = engine.stats().conflicts.load(Ordering::Relaxed);
    assert_eq!(engine.stats().commits.load(Ordering::Relaxed), 200 + u64::from(ACCOUNTS), "{conflicts} conflicts");
}

/// Holds a committing thread in its `wake`, as nothing should, until told to go on; or panics there.
struct Blocking {
    entered: mpsc::Sender<()>,
    go_on: Mutex<mpsc::Receiver<()>>,
}

impl Wake for Blocking {
    fn wake(self: Arc<Self>) {
        self.entered.send(()).expect("the test waits for it");
        let go_on = self.go_on.lock().expect("one thread at a time");
        go_on.recv_timeout(Duration::from_secs(60)).expect("told to go on");
    }
}

/// Commits, and returns with the committing thread that did it held in `wake` until the sender says to go on.
fn hold(engine: &EmbeddedEngine, key: &[u8]) -> (impl Future<Output = Result<Committed, Error>>, mpsc::Sender<()>) {
    let (entered, inside) = mpsc::channel();
    let (tell, go_on) = mpsc::channel();
    let waker = Waker::from(Arc::new(Blocking { entered, go_on: Mutex::new(go_on) }));
    let mut tx = engine.begin(Begin::Fresh);
    tx.set(key, b"");
    let mut commit = Box::pin(tx.commit());
    let early = commit.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(early.is_pending(), "an fsync is not that fast");
    inside.recv_timeout(Duration::from_secs(60)).expect("the commit is answered");
    (commit, tell)
}

#[test]
fn a_full_queue_refuses_and_what_it_took_is_committed() {
    let directory = TempDir::new().expect("a temporary directory");
    let engine = open(directory.path());
    let [(one, let_one_go), (other, let_other_go)] = [b"one", b"two"].map(|key| hold(&engine, key));
    let value = vec![0; 100_000];
    let mut commits = Vec::new();
    let refused = loop {
        let mut tx = engine.begin(Begin::Fresh);
        (0..50_u8).for_each(|row| tx.set(&[row], &value));
        let mut commit = Box::pin(tx.commit());
        match block_on(poll_once(&mut commit)) {
            Some(result) => break result,
            None => commits.push(commit),
        }
        assert!(commits.len() < 100, "the queue has no bound");
    };
    assert!(matches!(refused, Err(Error::Throttled)), "{refused:?}");
    assert_eq!(engine.stats().throttled.load(Ordering::Relaxed), 1);
    for go_on in [let_one_go, let_other_go] {
        go_on.send(()).expect("a committing thread waits");
    }
    assert!(block_on(one).is_ok() && block_on(other).is_ok());
    for commit in commits {
        assert!(block_on(commit).is_ok());
    }
    put(&engine, b"after", b"");
}

#[test]
fn a_panic_on_a_committing_thread_leaves_nobody_waiting() {
    let directory = TempDir::new().expect("a temporary directory");
    let (tell, told) = mpsc::channel();
    let on_fatal: OnFatal = Arc::new(move |error| tell.send(error.clone()).expect("the test listens"));
    let options = EmbeddedOptions { on_fatal, ..options() };
    let engine = EmbeddedEngine::open(directory.path(), options).expect("a directory of its own");
    let [(one, let_one_go), (other, let_other_go)] = [b"one", b"two"].map(|key| hold(&engine, key));
    let mut tx = engine.begin(Begin::Fresh);
    tx.set(b"third", b"");
    let mut third = Box::pin(tx.commit());
    let early = block_on(poll_once(&mut third));
    // Nobody will tell the waker to go on: it panics. The other thread goes on, and ends for that.
    drop(let_one_go);
    let fatal = told.recv_timeout(Duration::from_secs(60)).expect("the hook runs");
    let_other_go.send(()).expect("a committing thread waits");
    assert!(block_on(one).is_ok() && block_on(other).is_ok(), "they were answered before the panic");
    let third = early.unwrap_or_else(|| block_on(third));
    assert!(matches!(third, Err(Error::Fatal(_))), "{third:?}");
    assert_eq!(fatal.source().map(ToString::to_string).as_deref(), Some("the committing thread panicked"));
    let fourth = block_on(engine.begin(Begin::Fresh).get(b"k"));
    assert!(matches!(fourth, Err(Error::Fatal(_))), "{fourth:?}");
    drop(engine);
    let engine = open(directory.path());
    assert_eq!([b"one", b"two"].map(|key| get(&engine, key)), [Some(Vec::new()), Some(Vec::new())]);
}
