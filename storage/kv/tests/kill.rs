//! The process dies at any moment: by `kill -9`, and by its own hand when the disk refuses a write. Whatever it had
//! answered is there afterwards.
//!
//! The test runs itself as a child that commits and prints an acknowledgement of each commit to a pipe.
//! `STORAGE_KILL_ROUNDS` sets the number of kills (10), `STORAGE_KILL_SEED` their moments (1).

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use futures_lite::future::block_on;
use kv::embedded::{EmbeddedEngine, EmbeddedOptions};
use kv::{Begin, Engine, RangeRequest, Transaction};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tempfile::TempDir;

/// Names the data directory to a child.
const CHILD: &str = "STORAGE_KILL_CHILD";

/// Threads that commit in the child, so that groups have several transactions.
const WRITERS: u8 = 4;

/// A writer's commits in order: its letter, then 1, 2, 3, …
type Commit = (u8, u64);

fn open(path: &Path) -> EmbeddedEngine {
    let options = EmbeddedOptions { cache_bytes: 1 << 20, ..EmbeddedOptions::new(1) };
    EmbeddedEngine::open(path, options).expect("whoever had it open is dead")
}

/// The value of a commit: of any size up to 8 KB, and nothing that compresses.
fn value((writer, number): Commit) -> Vec<u8> {
    let mut state = u64::from(writer) << 32 | number;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state
    };
    let len_bytes = (draw() >> 40) % 8_000;
    (0..len_bytes).map(|_| (draw() >> 56) as u8).collect()
}

/// Not a test but the child's program: commits until it is killed.
#[test]
fn child() {
    let Ok(path) = env::var(CHILD) else { return };
    let engine = open(Path::new(&path));
    let found = stored(&engine);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (engine, first) = (engine.clone(), found.get(&writer).map_or(1, |numbers| numbers.len() as u64 + 1));
            scope.spawn(move || {
                for number in first.. {
                    commit(&engine, (writer, number));
                }
            });
        }
    });
}

fn commit(engine: &EmbeddedEngine, commit: Commit) {
    let (writer, number) = commit;
    let mut tx = engine.begin(Begin::Fresh);
    let key = [b"row ".as_slice(), &[writer], &number.to_be_bytes()].concat();
    tx.set(&key, &value(commit));
    tx.set_versionstamped_key(b"log ", b"", &key[4..]);
    block_on(tx.commit()).expect("nothing conflicts, and a failed write ends the process");
    let line = format!("ack {writer} {number}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("the parent reads until this is dead");
}

/// What each writer committed, by the log of versionstamps, every row of which must be there whole.
fn stored(engine: &EmbeddedEngine) -> BTreeMap<u8, Vec<u64>> {
    let mut found: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
    let mut request = Some(RangeRequest::prefix(b"log ").rows(500));
    while let Some(asked) = request {
        // A transaction for each page: together they may take longer than one may live.
        let tx = engine.begin(Begin::Fresh);
        let page = block_on(tx.get_range(&asked)).expect("no fault");
        for row in &page.rows {
            let (writer, number) = (row.value[0], &row.value[1..]);
            let number = u64::from_be_bytes(number.try_into().expect("8 bytes were written"));
            let key = [b"row ".as_slice(), &row.value].concat();
            let stored = block_on(tx.get(&key)).expect("no fault");
            assert!(stored.is_some_and(|stored| stored == value((writer, number))), "{writer} {number} is not whole");
            found.entry(writer).or_default().push(number);
        }
        request = asked.after(&page);
    }
    found
}

/// Runs the child through `sh`, which `prepares`.
fn spawn(path: &Path, prepare: &str) -> Child {
    let program = env::current_exe().expect("this test");
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{prepare} exec \"$0\" \"$@\"")).arg(program);
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env(CHILD, path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("this test runs as a child")
}

/// The acknowledgements read from a child while `until` runs, once the first of them came, and until its end.
fn acknowledged(child: &mut Child, until: impl FnOnce(&mut Child)) -> Vec<Commit> {
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut first = String::new();
    while !first.starts_with("ack ") {
        first.clear();
        assert!(lines.read_line(&mut first).expect("a pipe") > 0, "the child ended before its first commit");
    }
    let reading = thread::spawn(move || {
        let mut text = first.into_bytes();
        lines.read_to_end(&mut text).expect("a pipe");
        text
    });
    until(child);
    let text = reading.join().expect("it only reads");
    let text = String::from_utf8(text).expect("the child writes text");
    // What follows the last line end was cut off with the child, and says nothing.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let commits = whole.lines().filter_map(|line| {
        let (writer, number) = line.strip_prefix("ack ")?.split_once(' ')?;
        Some((writer.parse().ok()?, number.parse().ok()?))
    });
    commits.collect()
}

/// Every acknowledged commit is there, each writer's in order and without a gap; beyond them only what was in flight.
fn check(path: &Path, acknowledged: &[Commit]) {
    let found = stored(&open(path));
    for writer in 0..WRITERS {
        let numbers = found.get(&writer).map_or(&[][..], Vec::as_slice);
        let in_order = (1..).zip(numbers).all(|(expected, number)| expected == *number);
        assert!(in_order, "writer {writer}: out of order or with a gap: {numbers:?}");
        let last = acknowledged.iter().filter(|commit| commit.0 == writer).map(|commit| commit.1).max();
        let Some(last) = last else { continue };
        let len = numbers.len() as u64;
        assert!(len >= last, "I3: writer {writer} was told of {last}, {len} are there");
        assert!(len <= last + 1, "writer {writer} was told of {last}, {len} are there, one can be in flight");
    }
}

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn a_killed_process_loses_nothing_that_it_answered() {
    let directory = TempDir::new().expect("a temporary directory");
    let (rounds, seed) = (setting("STORAGE_KILL_ROUNDS", 10), setting("STORAGE_KILL_SEED", 1));
    let mut total = 0;
    for round in 0..rounds {
        let draw = (seed + round).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        let wait = Duration::from_millis(draw % 400);
        let mut child = spawn(directory.path(), "");
        let acknowledged = acknowledged(&mut child, |child| {
            thread::sleep(wait);
            child.kill().expect("it is ours");
        });
        child.wait().expect("it is dead");
        eprintln!("seed {seed} round {round}: killed after {wait:?}, {} commits answered", acknowledged.len());
        check(directory.path(), &acknowledged);
        total += acknowledged.len();
    }
    assert!(total > 0, "no commit was answered in {rounds} rounds");
}

#[test]
fn a_failed_write_ends_the_process_with_one_line() {
    let directory = TempDir::new().expect("a temporary directory");
    // Beyond the limit set below a write fails; without the trap the kernel would kill the process for it.
    let mut child = spawn(directory.path(), "trap '' XFSZ;");
    let acknowledged = acknowledged(&mut child, |child| {
        thread::sleep(Duration::from_millis(100));
        let pid = Pid::from_child(child);
        prlimit(Some(pid), Resource::Fsize, Rlimit { current: Some(1), maximum: Some(1) }).expect("it is ours");
    });
    let status = child.wait().expect("it ended");
    let mut errors = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut errors).expect("text");
    assert_eq!(status.code(), Some(1), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.starts_with("rookery: the store cannot write, the process ends: "), "{errors}");
    assert!(!acknowledged.is_empty());
    check(directory.path(), &acknowledged);
}
