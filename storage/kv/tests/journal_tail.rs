//! A power loss leaves holes in what was not synced, and the store opens by itself without that; a disk that loses what was
//! synced is told of, and nothing is cut.

use std::fs;
use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use futures_lite::future::block_on;
use kv::embedded::{EmbeddedEngine, EmbeddedOptions};
use kv::{Begin, Engine, Transaction};
use tempfile::TempDir;

/// What a disk writes at once.
const PAGE_BYTES: usize = 4_096;

/// Groups that each check stores.
const GROUPS: usize = 12;

/// Bytes of their value, unless a check says otherwise.
const VALUE_BYTES: usize = 20_000;

/// Ends a batch of the journal.
const MAGIC: &[u8] = b"FJL\x03";

#[derive(Debug, Clone, Copy)]
enum Kind {
    Zeroes,
    Garbage,
}
use Kind::{Garbage, Zeroes};

/// Bytes of the journal.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// A page in the middle of a group.
    Middle(usize),
    /// What a group begins with, into its first row.
    Start(usize),
    /// What a group ends with.
    End(usize),
    /// From a little before the end of a group on, a page.
    Across(usize),
    /// All groups from one to another, which is not damaged.
    All(usize, usize),
}
use Place::{Across, All, End, Middle, Start};

#[derive(Debug, Clone, Copy)]
enum Expected {
    /// It opens with so many groups, and keeps what was behind them in a file.
    Kept(usize),
    /// It opens with so many groups and what was behind them is not worth keeping.
    Left(usize),
    /// It does not open and nothing is changed; at least so many groups are behind the damage.
    Refused(usize),
}
use Expected::{Kept, Left, Refused};

/// In which life of the engine the groups are stored: in the first the journal is longer than what is in it.
const LIVES: [usize; 2] = [1, 2];

fn check(damages: &[(Kind, Place)], expected: Expected) {
    check_values(VALUE_BYTES, damages, expected);
}

fn check_values(value_bytes: usize, damages: &[(Kind, Place)], expected: Expected) {
    for life in LIVES {
        check_life(life, value_bytes, damages, expected);
    }
}

fn check_life(life: usize, value_bytes: usize, damages: &[(Kind, Place)], expected: Expected) {
    let told = format!("{damages:?} in life {life}, values of {value_bytes} bytes");
    let directory = TempDir::new().expect("a temporary directory");
    let before = store(directory.path(), life, value_bytes);
    let journal = directory.path().join("store/rows/0.jnl");
    let mut bytes = fs::read(&journal).expect("fjall's first journal");
    let groups = groups(&bytes, before);
    for (kind, place) in damages {
        damage(&mut bytes[range(*place, &groups)], *kind);
    }
    fs::write(&journal, &bytes).expect("writable");
    match expected {
        Kept(left) | Left(left) => {
            let engine = open(directory.path()).unwrap_or_else(|error| panic!("{told}: {error}"));
            assert_eq!(stored(&engine), (0..left).collect::<Vec<_>>(), "{told}");
            put(&engine, left, value_bytes);
            drop(engine);
            let engine = open(directory.path()).unwrap_or_else(|error| panic!("{told}, later: {error}"));
            assert_eq!(stored(&engine), (0..=left).collect::<Vec<_>>(), "{told}, later");
            let tail = without_zeroes(&bytes[groups[left].start..]);
            let kept: Vec<Vec<u8>> = kept(directory.path()).iter().map(|path| fs::read(path).expect("kept")).collect();
            match expected {
                Kept(_) => assert!(kept == [tail], "{told}: not what was cut, or not once"),
                Left(_) | Refused(_) => assert!(kept.is_empty(), "{told}: {} files kept", kept.len()),
            }
        }
        Refused(least) => {
            let error = open(directory.path()).err().unwrap_or_else(|| panic!("{told}: opened"));
            let (All(first, _) | Middle(first) | Start(first) | End(first) | Across(first)) = damages[0].1;
            let at = groups[first].start;
            let text = error.to_string().replace(&journal.display().to_string(), "JOURNAL");
            let expected =
                format!("JOURNAL is damaged at byte {at}: at least {least} groups were written from there on");
            assert!(text.starts_with(&expected), "{told}: {text}");
            assert!(text.ends_with(&format!("truncate --size={at} JOURNAL")), "{told}: {text}");
            assert!(fs::read(&journal).expect("readable") == bytes, "{told}: it was changed");
            assert!(kept(directory.path()).is_empty(), "{told}: kept");
        }
    }
}

fn open(path: &Path) -> Result<EmbeddedEngine, kv::embedded::OpenError> {
    EmbeddedEngine::open(path, EmbeddedOptions { cache_bytes: 1 << 20, ..EmbeddedOptions::new(7) })
}

/// Stores the groups in the engine's `life`, each by itself, and says how many others were stored before.
fn store(path: &Path, life: usize, value_bytes: usize) -> usize {
    for _ in 1..life {
        drop(open(path).expect("a directory of its own"));
    }
    let before = fs::read(path.join("store/rows/0.jnl")).map_or(1, |bytes| ends(&bytes).len());
    let engine = open(path).expect("a directory of its own");
    for group in 0..GROUPS {
        put(&engine, group, value_bytes);
    }
    before
}

fn put(engine: &EmbeddedEngine, group: usize, value_bytes: usize) {
    let mut tx = engine.begin(Begin::Fresh);
    tx.set(format!("row {group:03}").as_bytes(), &value(group, value_bytes));
    block_on(tx.commit()).expect("nothing conflicts");
}

/// Nothing that compresses, and nothing that looks like a part of the journal.
fn value(group: usize, value_bytes: usize) -> Vec<u8> {
    let mut state = group as u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8 | 0x80
    };
    (0..value_bytes).map(|_| draw()).collect()
}

/// The groups that are there, whole.
fn stored(engine: &EmbeddedEngine) -> Vec<usize> {
    let groups = (0..GROUPS + 1).filter(|group| {
        let found = block_on(engine.begin(Begin::Fresh).get(format!("row {group:03}").as_bytes())).expect("no fault");
        found.is_some_and(|stored| stored[..] == value(*group, stored.len()))
    });
    groups.collect()
}

fn ends(bytes: &[u8]) -> Vec<usize> {
    let found = bytes.windows(MAGIC.len()).enumerate().filter(|(_, window)| *window == MAGIC);
    found.map(|(at, _)| at + MAGIC.len()).collect()
}

/// Where each group is, after `before` others; an empty one follows.
fn groups(bytes: &[u8], before: usize) -> Vec<Range<usize>> {
    let ends = ends(bytes);
    let groups: Vec<_> = ends.windows(2).map(|ends| ends[0]..ends[1]).skip(before - 1).collect();
    assert_eq!(groups.len(), GROUPS, "each was stored by itself");
    let end = groups[GROUPS - 1].end;
    groups.into_iter().chain(iter::once(end..end)).collect()
}

fn range(place: Place, groups: &[Range<usize>]) -> Range<usize> {
    let (at, len) = match place {
        Middle(group) => (groups[group].start + groups[group].len() / 2, PAGE_BYTES.min(groups[group].len() / 4)),
        Start(group) => (groups[group].start, 60),
        End(group) => (groups[group].end - 20, 20),
        Across(group) => (groups[group].end - 100, PAGE_BYTES),
        All(first, end) => (groups[first].start, groups[end].start - groups[first].start),
    };
    at..at + len
}

fn damage(bytes: &mut [u8], kind: Kind) {
    match kind {
        Zeroes => bytes.fill(0),
        Garbage => bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at % 251) as u8 ^ 0x5A),
    }
}

fn without_zeroes(bytes: &[u8]) -> Vec<u8> {
    let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes[..len].to_vec()
}

fn kept(path: &Path) -> Vec<PathBuf> {
    let files =
        fs::read_dir(path.join("store/rows")).expect("it is there").map(|entry| entry.expect("readable").path());
    files.filter(|path| path.to_string_lossy().contains(".jnl.cut-")).collect()
}

#[test]
fn damage_in_the_last_two_groups_is_cut_off() {
    for kind in [Zeroes, Garbage] {
        check(&[(kind, Middle(11))], Kept(11));
        check(&[(kind, Start(11))], Kept(11));
        check(&[(kind, Middle(10))], Kept(10));
        check(&[(kind, Start(10))], Kept(10));
        check(&[(kind, End(10))], Kept(10));
        check(&[(kind, Across(10))], Kept(10));
        check(&[(kind, Middle(10)), (kind, Middle(11))], Kept(10));
        check(&[(kind, Start(10)), (kind, End(11))], Kept(10));
        check(&[(kind, Start(10)), (kind, Start(11))], Kept(10));
        check_values(100, &[(kind, Middle(11))], Kept(11));
        check_values(100, &[(kind, Middle(10))], Kept(10));
        check_values(100, &[(kind, Start(10))], Kept(10));
    }
    check(&[(Garbage, End(11))], Kept(11));
    check_values(100, &[(Zeroes, All(10, 11))], Kept(10));
}

#[test]
fn a_group_without_its_end_is_not_kept() {
    check(&[], Left(12));
    check(&[(Zeroes, End(11))], Left(11));
    check(&[(Zeroes, Middle(11)), (Zeroes, End(11))], Left(11));
    check(&[(Zeroes, All(11, 12))], Left(11));
    check(&[(Zeroes, All(10, 12))], Left(10));
}

#[test]
fn damage_in_what_was_synced_is_told_of_and_nothing_is_cut() {
    for kind in [Zeroes, Garbage] {
        check(&[(kind, Middle(9))], Refused(3));
        check(&[(kind, Start(9))], Refused(3));
        check(&[(kind, End(9))], Refused(3));
        check(&[(kind, Across(9))], Refused(3));
        check(&[(kind, Middle(5))], Refused(7));
        check(&[(kind, Start(0))], Refused(12));
        check(&[(kind, Middle(0)), (kind, Middle(11))], Refused(12));
        check_values(100, &[(kind, Middle(9))], Refused(3));
        check_values(100, &[(kind, Start(5))], Refused(7));
        // Three groups in one page, and one behind it.
        check_values(100, &[(kind, All(8, 11))], Refused(4));
    }
}

/// Any of the pages of the last two groups did not reach the disk; of the first of them what was synced before is there.
#[test]
fn whatever_pages_a_power_loss_leaves_out_the_store_opens_with_all_that_was_synced() {
    for (value_bytes, seeds) in [(VALUE_BYTES, 0..30_u64), (3_000, 30..50), (100, 50..60)] {
        for seed in seeds {
            let directory = TempDir::new().expect("a temporary directory");
            let before = store(directory.path(), 1 + (seed % 2) as usize, value_bytes);
            let journal = directory.path().join("store/rows/0.jnl");
            let mut bytes = fs::read(&journal).expect("fjall's first journal");
            let groups = groups(&bytes, before);
            let (synced, end) = (groups[GROUPS - 2].start, groups[GROUPS].start);
            let mut state = seed;
            for page in synced / PAGE_BYTES..end.div_ceil(PAGE_BYTES) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                if state >> 62 == 0 {
                    bytes[(page * PAGE_BYTES).max(synced)..((page + 1) * PAGE_BYTES).min(end)].fill(0);
                }
            }
            fs::write(&journal, &bytes).expect("writable");
            let engine = open(directory.path()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            let stored = stored(&engine);
            assert!(stored.len() >= GROUPS - 2, "I3: seed {seed}: {stored:?}");
            assert_eq!(stored, (0..stored.len()).collect::<Vec<_>>(), "seed {seed}");
        }
    }
}

/// A process died when it had begun the next file of the journal: the older one was synced before that, and lacks nothing but
/// what was never written whole.
#[test]
fn a_file_of_the_journal_that_is_not_the_newest_was_synced_whole() {
    let check = |damages: &[(Kind, Place)], expected: Result<usize, &str>| {
        let directory = TempDir::new().expect("a temporary directory");
        let before = store(directory.path(), 1, VALUE_BYTES);
        let [journal, newer] = ["0.jnl", "1.jnl"].map(|name| directory.path().join("store/rows").join(name));
        let mut bytes = fs::read(&journal).expect("fjall's first journal");
        let groups = groups(&bytes, before);
        for (kind, place) in damages {
            damage(&mut bytes[range(*place, &groups)], *kind);
        }
        fs::write(&journal, &bytes).expect("writable");
        fs::write(newer, []).expect("writable");
        let opened = open(directory.path()).map(|engine| stored(&engine).len());
        let opened = opened.map_err(|error| error.to_string().replace(&journal.display().to_string(), "JOURNAL"));
        assert_eq!(opened, expected.map_err(str::to_owned), "{damages:?}");
        assert!(expected.is_ok() || fs::read(&journal).expect("readable") == bytes, "{damages:?}: it was changed");
    };
    let refused = "JOURNAL is damaged: it was synced whole, and is not whole any more; restore it from a backup";
    check(&[], Ok(12));
    check(&[(Zeroes, Middle(11))], Err(refused));
    check(&[(Zeroes, Start(3))], Err(refused));
    check(&[(Garbage, End(11))], Err(refused));
    check(&[(Zeroes, All(10, 12))], Ok(10));
    check(&[(Zeroes, End(11))], Ok(11));
}

/// What the system may take for written, after an `fsync` that failed, is written once more.
#[test]
fn the_last_groups_are_written_again_before_they_can_be_read() {
    for groups_len in [0, 1, 3] {
        let directory = TempDir::new().expect("a temporary directory");
        for group in 0..groups_len {
            put(&open(directory.path()).expect("a directory of its own"), group, VALUE_BYTES);
        }
        let journal = directory.path().join("store/rows/0.jnl");
        drop(open(directory.path()).expect("it was closed"));
        let before = (fs::read(&journal).expect("readable"), written_at(&journal));
        thread::sleep(Duration::from_millis(20));
        drop(open(directory.path()).expect("it was closed"));
        assert!(fs::read(&journal).expect("readable") == before.0, "{groups_len} groups: it was changed");
        assert!(written_at(&journal) > before.1, "{groups_len} groups: nothing was written");
    }
}

fn written_at(path: &Path) -> SystemTime {
    fs::metadata(path).and_then(|metadata| metadata.modified()).expect("a file")
}
