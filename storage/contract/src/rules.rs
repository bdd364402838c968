//! The rules, by name.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once};

use crate::Subject;
use crate::script::{check, name};
use kv::limits;
use kv::transaction::{
    Atomic, Begin, Engine, RangeRequest, STAMP_BYTES, Stamp, Transaction, Version, Watch, key_after,
};

/// Optimistic concurrency: the first to commit wins.
pub fn a_read_that_changed_fails_the_commit<E: Engine>(open: &impl Fn() -> Subject<E>) {
    check(open, "a get k => none; b set k 1; b commit; a set x 1; a commit => conflict");
    check(open, "a get k => none; b clear k; b commit; a set x 1; a commit => conflict");
    check(open, "a get k => none; b clear a z; b commit; a set x 1; a commit => conflict");
    check(open, "a get k => none; b add k 1; b commit; a set x 1; a commit => conflict");
    check(open, "a get k => none; b stampvalue k; b commit; a set x 1; a commit => conflict");
    check(open, "a reads k l; b set k 1; b commit; a set x 1; a commit => conflict");
    check(open, "a range a z => ; b set k 1; b commit; a set x 1; a commit => conflict");
    check(open, "a range a z => ; b set k 1; b set l 1; b clear k l; b commit; a set x 1; a commit => conflict");
    check(open, "a range s t => ; b stampkey s - v; b commit; a set x 1; a commit => conflict");
    check(
        open,
        "a get k => none; b set k 1; b commit; c get k => 1; c set x 1; c commit; a set x 2; a commit => conflict",
    );
    check(open, "a get k => none; b get k => none; a set k 1; b set k 2; b commit; a commit => conflict; c get k => 2");
}

/// What does not conflict: others' keys, snapshot reads, blind writes, own writes, transactions that only read.
pub fn only_what_was_read_can_conflict<E: Engine>(open: &impl Fn() -> Subject<E>) {
    check(open, "a get k => none; b set l 1; b commit; a set x 1; a commit");
    check(open, "a get k => none; b set k 1; b commit; a commit");
    check(open, "a get k => none; b set k 1; b commit; a get k => none; a commit; a get k => 1");
    check(open, "a peek k => none; b set k 1; b commit; a set x 1; a commit");
    check(open, "a glance a z => ; b set k 1; b commit; a set x 1; a commit");
    check(open, "a set k 1; b set k 2; b commit; a commit; c get k => 1");
    check(open, "a add x 1; a set k 1; a get k => 1; b set k 2; b commit; a commit; c get k => 1");
    check(open, "a clear a z; a get k => none; b set k 2; b commit; a commit; c get k => none");
    check(open, "a range b d => ; b set d 1; b set a 1; b commit; a set x 1; a commit");
    check(open, "a reads b d; b set d 1; b set a 1; b commit; a set x 1; a commit");
    check(open, "a reads b b; b set b 1; b commit; a set x 1; a commit");
    check(open, "p set k 1; p commit; a blind; a reads k l; a set k 2; a commit; b get k => 2");
    check(open, "a blind; a set k 1; a reads k l; a commit; b blind; b set l 2; b reads a z; b commit; c get k => 1");
    check(
        open,
        "p set b 1; p set c 1; p set d 1; p commit; a range a z 2 => b=1 c=1 …; b set d 2; b commit; a set x 1; a commit",
    );
    check(
        open,
        "p set b 1; p set c 1; p set d 1; p commit; a range a z 2 => b=1 c=1 …; b set bb 2; b commit; a set x 1; a commit => conflict",
    );
    check(
        open,
        "p set b 1; p set c 1; p set d 1; p commit; a reverse a z 2 => d=1 c=1 …; b set b 2; b commit; a set x 1; a commit",
    );
    check(
        open,
        "p set b 1; p set c 1; p set d 1; p commit; a reverse a z 2 => d=1 c=1 …; b set y 2; b commit; a set x 1; a commit => conflict",
    );
}

/// Read-your-writes, in every combination of what is below and what was done.
pub fn a_transaction_sees_its_own_writes<E: Engine>(open: &impl Fn() -> Subject<E>) {
    check(open, "a get k => none; a set k 1; a get k => 1; a clear k; a get k => none");
    check(open, "a set k -; a get k => -; a commit; b get k => -");
    check(
        open,
        "p set k 1; p commit; a clear k; a get k => none; b get k => 1; a commit; b get k => 1; c get k => none",
    );
    check(
        open,
        "p set b 1; p set c 2; p set d 3; p commit; a clear b d; a range a z => d=3; a set c 4; a range a z => c=4 d=3",
    );
    check(open, "p set c 1; p commit; a set b 1; a set d 1; a range a z => b=1 c=1 d=1; a reverse a z => d=1 c=1 b=1");
    check(open, "p set c 1; p commit; a set c 2; a clear d; a range a z => c=2; a peek c => 2; a glance a z => c=2");
    check(open, "a add k 5; a num k => 5; a add k 6; a num k => 11; a max k 7; a num k => 11; a commit; b num k => 11");
    check(
        open,
        "p add k 5; p commit; a add k 6; a num k => 11; a max k 20; a num k => 20; a clear k; a add k 1; a num k => 1",
    );
    check(open, "p add k 5; p commit; a clear a z; a add k 6; a num k => 6; a commit; b num k => 6");
    check(
        open,
        "p set c 1; p commit; a clear a m; a set e 1; a clear b d; a range a z => e=1; a commit; b range a z => e=1",
    );
}

/// Order, limits and continuation of range reads.
pub fn ranges_come_in_order_and_in_pages<E: Engine>(open: &impl Fn() -> Subject<E>) {
    let put = "p set b 1; p set c 2; p set d 3; p set e 4; p commit";
    let check = |steps: &str| check(open, &format!("{put}; {steps}"));
    check("a range - ~ => b=1 c=2 d=3 e=4");
    check("a reverse - ~ => e=4 d=3 c=2 b=1");
    check("a range b d => b=1 c=2; a range bb d => c=2; a range b b => ; a range x z => ");
    check("a range d b => inverted range");
    check("a range - ~ 2 => b=1 c=2 …; a reverse - ~ 3 => e=4 d=3 c=2 …");
    check("a set bb 9; a clear c; a range - ~ 3 => b=1 bb=9 d=3 …; a reverse - ~ 2 => e=4 d=3 …");
    check("a set a 9; a set z 9; a range - ~ 1 => a=9 …; a reverse - ~ 1 => z=9 …");
    let subject = open();
    let mut tx = subject.engine.begin(Begin::Fresh);
    (0..100_u8).for_each(|key| tx.set(&[b'r', key], &[key; 50]));
    subject.commit(tx).expect("nothing conflicts");
    for reverse in [false, true] {
        let tx = subject.engine.begin(Begin::Fresh);
        let mut request = Some(RangeRequest { reverse, ..RangeRequest::prefix(b"r").bytes(500) });
        let (mut keys, mut pages) = (Vec::new(), 0);
        while let Some(asked) = request {
            let page = block_on(tx.get_range(&asked)).expect("nothing fails");
            assert!(page.rows.len() <= 10, "a page of {} rows of 52 bytes", page.rows.len());
            keys.extend(page.rows.iter().map(|row| row.key[1]));
            pages += 1;
            request = asked.after(&page);
        }
        let mut expected: Vec<u8> = (0..100).collect();
        if reverse {
            expected.reverse();
        }
        assert_eq!(keys, expected, "reverse {reverse}");
        assert!((10..=11).contains(&pages), "{pages} pages of 10 rows");
    }
}

/// FoundationDB's error 1036.
pub fn versionstamped_writes_cannot_be_read_before_commit<E: Engine>(open: &impl Fn() -> Subject<E>) {
    check(open, "a stampvalue k; a get k => unreadable; a range a z => unreadable; a get j => none");
    check(open, "a stampvalue k; a set k 1; a get k => 1; a commit; b get k => 1");
    check(open, "a stampkey s - v; a range s t => unreadable; a get s => none; a range a s => ; a get t => none");
    check(open, "p stampkey s - v; p commit; a stampkey s - v; a peek r => none; a glance s t => unreadable");
    // Any stamp that the commit may still get is refused, those of commits before it need not be.
    let subject = open();
    let mut tx = subject.engine.begin(Begin::Fresh);
    tx.set_versionstamped_key(b"s", b"x", b"1");
    let first = subject.commit(tx).expect("nothing conflicts");
    let mut tx = subject.engine.begin(Begin::AtLeast(first.version));
    let read_version = block_on(tx.read_version()).expect("released");
    tx.set_versionstamped_key(b"s", b"x", b"2");
    let at = |stamp: Stamp| [b"s".as_slice(), &stamp.0, b"x"].concat();
    for stamp in [Stamp::new(Version(read_version.0 + 1), 0), Stamp([0xFF; STAMP_BYTES])] {
        let unread = block_on(tx.get(&at(stamp))).map_err(|error| name(&error));
        assert_eq!(unread, Err("unreadable"), "{stamp:?} after {read_version}");
    }
    let before = block_on(tx.get(&at(first.stamp))).map_err(|error| name(&error));
    assert!(before == Err("unreadable") || before == Ok(Some("1".into())), "{before:?}");
}

/// Atomic changes commute.
pub fn atomic_changes_do_not_conflict<E: Engine>(open: &impl Fn() -> Subject<E>) {
    check(open, "a add k 1; b add k 2; c add k 3; b commit; a commit; c commit; d num k => 6");
    check(open, "a max k 9; b max k 7; a commit; b commit; d num k => 9");
    check(open, "a add k 1; a num k => 1; b add k 2; b commit; a commit => conflict; d num k => 2");
    check(open, "p set k 12345678; p commit; a add k 0; a commit; b get k => 12345678");
}

/// Within one transaction, the last word holds.
pub fn writes_take_effect_in_their_order<E: Engine>(open: &impl Fn() -> Subject<E>) {
    check(open, "a set k 1; a set k 2; a commit; b get k => 2");
    check(open, "a set k 1; a clear k; a commit; b get k => none");
    check(open, "a clear k; a set k 1; a commit; b get k => 1");
    check(open, "a set k 1; a clear a z; a set l 2; a commit; b range - ~ => l=2");
    check(open, "p set k 1; p commit; a clear a z; a set k 2; a commit; b range - ~ => k=2");
    check(open, "a add k 1; a clear k; a add k 2; a add k 3; a commit; b num k => 5");
    check(open, "a stampkey s - v; a clear s t; a commit; b range - ~ => ");
    check(open, "a clear s t; a stampvalue s; a set s 1; a commit; b range - ~ => s=1");
    check(open, "a blind; a stampkey s - v; a clear s t; a commit; b range - ~ => ");
    check(open, "p set k 1; p commit; a blind; a set l 1; a clear k m; a add k 2; a clear l; a commit; b num k => 2");
    // Whatever stands in for the stamp until it is known, to clear that is not to clear the row.
    for version_first in [false, true] {
        let subject = open();
        let mut tx = subject.engine.begin(Begin::Fresh);
        if version_first {
            block_on(tx.read_version()).expect("no fault");
        }
        let at = |stamp: [u8; STAMP_BYTES]| [b"s".as_slice(), &stamp, b"x"].concat();
        tx.set_versionstamped_key(b"s", b"x", b"1");
        for bound in [[0; STAMP_BYTES], [0xFF; STAMP_BYTES]] {
            tx.clear(&at(bound));
            tx.clear_range(&at(bound), &key_after(&at(bound)));
        }
        let stamp = subject.commit(tx).expect("nothing conflicts").stamp;
        let stored = block_on(subject.engine.begin(Begin::Fresh).get(&at(stamp.0))).expect("no fault");
        assert_eq!(stored.as_deref(), Some(b"1".as_slice()), "version first: {version_first}");
    }
}

/// Sizes and reserved keys, at the limit and beyond it.
pub fn limits_are_checked_at_commit<E: Engine>(open: &impl Fn() -> Subject<E>) {
    let subject = open();
    let commit = |write: &dyn Fn(&mut E::Tx)| {
        let mut tx = subject.engine.begin(Begin::Fresh);
        write(&mut tx);
        subject.commit(tx).map_or_else(|error| name(&error), |_| "ok")
    };
    let key = |len_bytes: usize| vec![b'k'; len_bytes];
    let check = |len_bytes: usize, expected: &str| {
        assert_eq!(commit(&|tx| tx.set(&key(len_bytes), b"")), expected, "set, {len_bytes}");
        assert_eq!(commit(&|tx| tx.clear(&key(len_bytes))), expected, "clear, {len_bytes}");
        let add = commit(&|tx| tx.atomic(Atomic::Add, &key(len_bytes), &[1]));
        assert_eq!(add, expected, "add, {len_bytes}");
        let prefix = key(len_bytes - STAMP_BYTES - 1);
        let stamped = commit(&|tx| tx.set_versionstamped_key(&prefix, b"s", b""));
        assert_eq!(stamped, expected, "stamped key, {len_bytes}");
    };
    check(limits::KEY_BYTES_MAX, "ok");
    check(limits::KEY_BYTES_MAX + 1, "key too large");
    let check = |len_bytes: usize, expected: &str| {
        let value = vec![b'v'; len_bytes];
        assert_eq!(commit(&|tx| tx.set(b"k", &value)), expected, "set, {len_bytes}");
        let prefix = &value[STAMP_BYTES + limits::STAMP_OFFSET_BYTES..];
        let stamped = commit(&|tx| tx.set_versionstamped_value(b"k", prefix, b""));
        assert_eq!(stamped, expected, "stamped value, {len_bytes}");
    };
    check(limits::VALUE_BYTES_MAX, "ok");
    check(limits::VALUE_BYTES_MAX + 1, "value too large");
    let check = |rows: usize, expected: &str| {
        let value = vec![b'v'; limits::VALUE_BYTES_MAX];
        let found = commit(&|tx| (0..rows).for_each(|row| tx.set(&row.to_be_bytes(), &value)));
        assert_eq!(found, expected, "{rows} rows");
    };
    check(99, "ok");
    check(100, "transaction too large");
    assert_eq!(commit(&|tx| tx.set(b"\xFF", b"")), "reserved key");
    assert_eq!(commit(&|tx| tx.set(b"\xFE\xFF", b"")), "ok");
    assert_eq!(commit(&|tx| tx.clear_range(b"x", b"\xFF\x00")), "reserved key");
    assert_eq!(commit(&|tx| tx.clear_range(b"x", b"\xFF")), "ok");
    assert_eq!(commit(&|tx| tx.clear_range(b"b", b"a")), "inverted range");
    assert_eq!(commit(&|tx| tx.add_read_conflict(b"b", b"a")), "inverted range");
    // A refused write takes the whole transaction with it.
    commit(&|tx| {
        tx.set(b"refused", b"1");
        tx.set(&key(limits::KEY_BYTES_MAX + 1), b"");
    });
    let there = block_on(subject.engine.begin(Begin::Fresh).get(b"refused")).expect("no fault");
    assert_eq!(there, None);
}

/// Versionstamps: unique, in commit order, in keys and in values.
pub fn stamps_ascend_and_are_what_rows_bear<E: Engine>(open: &impl Fn() -> Subject<E>) {
    let subject = open();
    let mut stamps: Vec<Stamp> = Vec::new();
    for round in 0..20_u8 {
        let mut tx = subject.engine.begin(Begin::Fresh);
        tx.set_versionstamped_key(b"by stamp ", &[0], &[round]);
        tx.set_versionstamped_key(b"by stamp ", &[1], &[round]);
        tx.set_versionstamped_value(&[b'v', round], b"<", b">");
        let committed = subject.commit(tx).expect("nothing conflicts");
        assert_eq!(committed.stamp.version(), committed.version);
        assert!(committed.stamp < Stamp::after(committed.version));
        stamps.push(committed.stamp);
    }
    assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
    let tx = subject.engine.begin(Begin::Fresh);
    let page = block_on(tx.get_range(&RangeRequest::prefix(b"by stamp "))).expect("no fault");
    let found: Vec<_> = page.rows.iter().map(|row| row.key.to_vec()).collect();
    let keys =
        stamps.iter().flat_map(|stamp| [0, 1].map(|suffix| [b"by stamp ".as_slice(), &stamp.0, &[suffix]].concat()));
    assert_eq!(found, keys.collect::<Vec<_>>());
    for (round, stamp) in (0..).zip(&stamps) {
        let value = block_on(tx.get(&[b'v', round])).expect("no fault").expect("written");
        assert_eq!(value, [b"<".as_slice(), &stamp.0, b">"].concat());
    }
    let read_version = block_on(tx.read_version()).expect("no fault");
    let reads = subject.commit(tx).expect("only read");
    assert_eq!((reads.version, reads.stamp), (read_version, Stamp::after(read_version)));
}

/// Fresh, cached, at least, at.
pub fn a_transaction_begins_where_it_asked<E: Engine>(open: &impl Fn() -> Subject<E>) {
    let subject = open();
    let put = |value: &[u8]| {
        let mut tx = subject.engine.begin(Begin::Fresh);
        tx.set(b"k", value);
        subject.commit(tx).expect("nothing conflicts").version
    };
    let (first, second) = (put(b"1"), put(b"2"));
    assert!(first < second);
    let read = |begin: Begin| {
        let tx = subject.engine.begin(begin);
        let version = block_on(tx.read_version()).map_err(|error| name(&error))?;
        let value = block_on(tx.get(b"k")).map_err(|error| name(&error))?;
        Ok::<_, &str>((version, value.expect("written at 1").to_vec()))
    };
    assert_eq!(read(Begin::Fresh).map(|(_, value)| value), Ok(b"2".to_vec()));
    assert_eq!(read(Begin::AtLeast(second)).map(|(_, value)| value), Ok(b"2".to_vec()));
    assert_eq!(read(Begin::At(second)), Ok((second, b"2".to_vec())));
    assert_eq!(read(Begin::At(first)), Ok((first, b"1".to_vec())));
    let (cached, value) = read(Begin::Cached).expect("there is one at hand");
    assert_eq!(value, if cached < second { b"1".to_vec() } else { b"2".to_vec() });
    assert!(read(Begin::AtLeast(first)).expect("durable").0 >= first);
    let far = Version(second.0 + 1_000_000_000);
    assert_eq!(read(Begin::AtLeast(far)), Err("future version"));
    assert_eq!(read(Begin::At(far)), Err("future version"));
    // What began in the past is checked against all that happened since.
    let mut tx = subject.engine.begin(Begin::At(first));
    block_on(tx.get(b"k")).expect("still kept");
    tx.set(b"x", b"");
    assert_eq!(subject.commit(tx).map_err(|error| name(&error)), Err("conflict"));
    let mut tx = subject.engine.begin(Begin::At(far));
    tx.set(b"x", b"");
    assert_eq!(subject.commit(tx).map_err(|error| name(&error)), Err("future version"));
}

/// Who was answered, is seen.
pub fn what_was_answered_is_seen<E: Engine>(open: &impl Fn() -> Subject<E>) {
    let subject = open();
    for round in 0..50_u8 {
        let mut tx = subject.engine.begin(Begin::Fresh);
        tx.set(b"k", &[round]);
        let committed = subject.commit(tx).expect("nothing conflicts");
        let tx = subject.engine.begin(Begin::Fresh);
        assert!(block_on(tx.read_version()).expect("no fault") >= committed.version);
        let newest = subject.engine.newest();
        assert!(newest >= committed.version, "{newest} is the newest, after {} was answered", committed.version);
        let tx = subject.engine.begin(Begin::AtLeast(newest));
        assert_eq!(block_on(tx.get(b"k")).expect("no fault"), Some(vec![round].into()));
    }
}

/// Then it is too old, to read as to commit.
pub fn a_transaction_lives_five_seconds<E: Engine>(open: &impl Fn() -> Subject<E>) {
    let check = |age_ms: u64, expected: &str| {
        let subject = open();
        let Some(clock) = &subject.clock else { return };
        let mut writes = subject.engine.begin(Begin::Fresh);
        let reads = subject.engine.begin(Begin::Fresh);
        assert_eq!(block_on(reads.get(b"k")).map_err(|error| name(&error)), Ok(None));
        writes.set(b"k", b"1");
        clock.advance(age_ms);
        let read = block_on(reads.get(b"k")).map_or_else(|error| name(&error), |_| "ok");
        assert_eq!(read, expected, "a read after {age_ms} ms");
        // What it read, it read in time.
        assert!(subject.commit(reads).is_ok());
        let write = subject.commit(writes).map_or_else(|error| name(&error), |_| "ok");
        assert_eq!(write, expected, "a commit after {age_ms} ms");
    };
    check(limits::TRANSACTION_LIFE_MS, "ok");
    check(limits::TRANSACTION_LIFE_MS + 1, "too old");
}

/// Watches: of a change after the read version, once the watching transaction committed.
pub fn a_watch_tells_of_a_change<E: Engine>(open: &impl Fn() -> Subject<E>) {
    let subject = open();
    // A write that leaves the value as it was need not be told.
    let mut writes = 0_u8;
    let mut put = |key: &[u8]| {
        let mut tx = subject.engine.begin(Begin::Fresh);
        writes += 1;
        tx.set(key, &[writes]);
        subject.commit(tx).expect("nothing conflicts");
    };
    let watching = |key: &[u8]| {
        let mut tx = subject.begin().expect("a version to watch from");
        let watch = tx.watch(key);
        (tx, watch)
    };
    let told = |watch: Watch| {
        let (tell, listen) = mpsc::channel();
        thread::spawn(move || tell.send(block_on(watch)));
        let result = listen.recv_timeout(Duration::from_secs(10)).expect("told within 10 s");
        result.map_or_else(|error| name(&error), |()| "changed")
    };

    let (tx, watch) = watching(b"k");
    drop(tx);
    assert_eq!(told(watch), "watch cancelled");

    let (tx, mut watch) = watching(b"k");
    subject.commit(tx).expect("only watches");
    put(b"other");
    assert!(block_on(poll_once(&mut watch)).is_none(), "told of another key");
    put(b"k");
    assert_eq!(told(watch), "changed");

    // The change came between the transaction's begin and its commit.
    let (tx, watch) = watching(b"k");
    put(b"k");
    subject.commit(tx).expect("only watches");
    assert_eq!(told(watch), "changed");

    let (tx, watch) = watching(b"k");
    subject.commit(tx).expect("only watches");
    let mut clears = subject.engine.begin(Begin::Fresh);
    clears.clear_range(b"a", b"z");
    subject.commit(clears).expect("nothing conflicts");
    assert_eq!(told(watch), "changed");

    let mut tx = subject.engine.begin(Begin::Fresh);
    block_on(tx.get(b"k")).expect("no fault");
    tx.set(b"x", b"");
    let watch = tx.watch(b"k");
    put(b"k");
    assert_eq!(subject.commit(tx).map_err(|error| name(&error)), Err("conflict"));
    assert_eq!(told(watch), "watch cancelled");
}

/// Commits in flight together: each is answered, those that share a version in different orders.
pub fn many_commits_at_once<E: Engine>(open: &impl Fn() -> Subject<E>) {
    let subject = open();
    let mut committing = Vec::new();
    for number in 0..200_u32 {
        let mut tx = subject.engine.begin(Begin::Fresh);
        tx.atomic(Atomic::Add, b"count", &1_u64.to_le_bytes());
        tx.set_versionstamped_key(b"row ", b"", &number.to_be_bytes());
        let mut commit = Box::pin(tx.commit());
        let early = block_on(poll_once(&mut commit));
        committing.push((commit, early));
    }
    (subject.sync)();
    let mut stamps: Vec<Stamp> = Vec::new();
    for (commit, early) in committing {
        let committed = early.unwrap_or_else(|| block_on(commit)).expect("nothing conflicts");
        stamps.push(committed.stamp);
    }
    stamps.sort();
    stamps.dedup();
    assert_eq!(stamps.len(), 200, "stamps are unique");
    let tx = subject.engine.begin(Begin::Fresh);
    let count = block_on(tx.get(b"count")).expect("no fault").expect("written");
    assert_eq!(count, 200_u64.to_le_bytes().as_slice());
    let page = block_on(tx.get_range(&RangeRequest::prefix(b"row "))).expect("no fault");
    let found: Vec<_> = page.rows.iter().map(|row| row.key.to_vec()).collect();
    let keys = stamps.iter().map(|stamp| [b"row ".as_slice(), &stamp.0].concat());
    assert_eq!(found, keys.collect::<Vec<_>>());
}
