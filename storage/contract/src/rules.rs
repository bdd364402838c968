//! The rules, by name.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once};

use crate::steps::{A, B, C, D, Step, check, put, then};
use crate::{Subject, ended};
use kv::transaction::{
    Atomic, Begin, Engine, RangeRequest, STAMP_BYTES, Stamp, Transaction, Version, Watch, key_after,
};
use kv::{Error, limits};

/// Optimistic concurrency: the first to commit wins.
pub fn a_read_that_changed_fails_the_commit<E: Engine>(open: &impl Fn() -> Subject<E>) {
    let conflicts = |read: Step, write: Step| check(open, [read, write, B.commit(), A.ends("conflict")]);
    conflicts(A.get("k").none(), B.set("k", "1"));
    conflicts(A.get("k").none(), B.clear("k"));
    conflicts(A.get("k").none(), B.clear_range("a", "z"));
    conflicts(A.get("k").none(), B.add("k", 1));
    conflicts(A.get("k").none(), B.stamped_value("k"));
    conflicts(A.reads("k", "l"), B.set("k", "1"));
    conflicts(A.range("a", "z").is(""), B.set("k", "1"));
    conflicts(A.range("s", "t").is(""), B.stamped_key("s"));
    let clears = [B.set("k", "1"), B.set("l", "1"), B.clear_range("k", "l"), B.commit()];
    check(open, then([A.range("a", "z").is("")], then(clears, [A.ends("conflict")])));
    check(open, [A.get("k").none(), put("k", "1"), C.get("k").is("1"), C.ends("ok"), A.ends("conflict")]);
    let both = [A.get("k").none(), B.get("k").none(), A.set("k", "1"), B.set("k", "2"), B.commit()];
    check(open, then(both, [A.commit().is("conflict"), C.get("k").is("2")]));
}

/// What does not conflict: others' keys, snapshot reads, blind writes, own writes, transactions that only read.
pub fn only_what_was_read_can_conflict<E: Engine>(open: &impl Fn() -> Subject<E>) {
    check(open, [A.get("k").none(), put("l", "1"), A.ends("ok")]);
    check(open, [A.get("k").none(), put("k", "1"), A.commit()]);
    check(open, [A.get("k").none(), put("k", "1"), A.get("k").none(), A.commit(), A.get("k").is("1")]);
    check(open, [A.get("k").snapshot().none(), put("k", "1"), A.ends("ok")]);
    check(open, [A.range("a", "z").snapshot().is(""), put("k", "1"), A.ends("ok")]);
    check(open, [A.set("k", "1"), put("k", "2"), A.commit(), C.get("k").is("1")]);
    let own = [A.add("x", 1), A.set("k", "1"), A.get("k").is("1")];
    check(open, then(own, [put("k", "2"), A.commit(), C.get("k").is("1")]));
    check(open, [A.clear_range("a", "z"), A.get("k").none(), put("k", "2"), A.commit(), C.get("k").none()]);
    check(open, [A.range("b", "d").is(""), put("d", "1"), put("a", "1"), A.ends("ok")]);
    check(open, [A.reads("b", "d"), put("d", "1"), put("a", "1"), A.ends("ok")]);
    check(open, [A.reads("b", "b"), put("b", "1"), A.ends("ok")]);
    check(open, [put("k", "1"), A.blind(), A.reads("k", "l"), A.set("k", "2"), A.commit(), B.get("k").is("2")]);
    let blind = [A.blind(), A.set("k", "1"), A.reads("k", "l"), A.commit()];
    check(open, then(blind, [B.blind(), B.set("l", "2"), B.reads("a", "z"), B.commit(), C.get("k").is("1")]));
    // Of a page cut by a limit only the part that was read can conflict.
    let paged = |page: Step, written: &'static str, expected: &str| {
        let rows = [put("b", "1"), put("c", "1"), put("d", "1")];
        check(open, then(rows, [page.rows(2), put(written, "2"), A.ends(expected)]));
    };
    paged(A.range("a", "z").is("b=1 c=1 …"), "d", "ok");
    paged(A.range("a", "z").is("b=1 c=1 …"), "bb", "conflict");
    paged(A.range("a", "z").reversed().is("d=1 c=1 …"), "b", "ok");
    paged(A.range("a", "z").reversed().is("d=1 c=1 …"), "y", "conflict");
}

/// Read-your-writes, in every combination of what is below and what was done.
pub fn a_transaction_sees_its_own_writes<E: Engine>(open: &impl Fn() -> Subject<E>) {
    check(open, [A.get("k").none(), A.set("k", "1"), A.get("k").is("1"), A.clear("k"), A.get("k").none()]);
    check(open, [A.set("k", ""), A.get("k").is(""), A.commit(), B.get("k").is("")]);
    let cleared = [put("k", "1"), A.clear("k"), A.get("k").none(), B.get("k").is("1")];
    check(open, then(cleared, [A.commit(), B.get("k").is("1"), C.get("k").none()]));
    let three = [put("b", "1"), put("c", "2"), put("d", "3"), A.clear_range("b", "d"), A.all().is("d=3")];
    check(open, then(three, [A.set("c", "4"), A.all().is("c=4 d=3")]));
    let around = [put("c", "1"), A.set("b", "1"), A.set("d", "1"), A.all().is("b=1 c=1 d=1")];
    check(open, then(around, [A.all().reversed().is("d=1 c=1 b=1")]));
    let over = [put("c", "1"), A.set("c", "2"), A.clear("d"), A.all().is("c=2")];
    check(open, then(over, [A.get("c").snapshot().is("2"), A.all().snapshot().is("c=2")]));
    let sums = [A.add("k", 5), A.get("k").number(5), A.add("k", 6), A.get("k").number(11), A.max("k", 7)];
    check(open, then(sums, [A.get("k").number(11), A.commit(), B.get("k").number(11)]));
    let below = [B.add("k", 5), B.commit(), A.add("k", 6), A.get("k").number(11), A.max("k", 20)];
    let anew = [A.get("k").number(20), A.clear("k"), A.add("k", 1), A.get("k").number(1)];
    check(open, then(below, anew));
    let cleared = [B.add("k", 5), B.commit(), A.clear_range("a", "z"), A.add("k", 6), A.get("k").number(6)];
    check(open, then(cleared, [A.commit(), B.get("k").number(6)]));
    let ranges = [put("c", "1"), A.clear_range("a", "m"), A.set("e", "1"), A.clear_range("b", "d")];
    check(open, then(ranges, [A.all().is("e=1"), A.commit(), B.all().is("e=1")]));
}

/// Order, limits and continuation of range reads.
pub fn ranges_come_in_order_and_in_pages<E: Engine>(open: &impl Fn() -> Subject<E>) {
    let check = |steps: &mut dyn Iterator<Item = Step>| {
        check(open, then([put("b", "1"), put("c", "2"), put("d", "3"), put("e", "4")], steps));
    };
    let reads = |step: Step| check(&mut [step].into_iter());
    reads(A.all().is("b=1 c=2 d=3 e=4"));
    reads(A.all().reversed().is("e=4 d=3 c=2 b=1"));
    reads(A.range("b", "d").is("b=1 c=2"));
    reads(A.range("bb", "d").is("c=2"));
    reads(A.range("b", "b").is(""));
    reads(A.range("x", "z").is(""));
    reads(A.range("d", "b").is("inverted range"));
    reads(A.all().rows(2).is("b=1 c=2 …"));
    reads(A.all().rows(3).reversed().is("e=4 d=3 c=2 …"));
    let own = |one: Step, other: Step, up: Step, down: Step| check(&mut [one, other, up, down.reversed()].into_iter());
    own(A.set("bb", "9"), A.clear("c"), A.all().rows(3).is("b=1 bb=9 d=3 …"), A.all().rows(2).is("e=4 d=3 …"));
    own(A.set("a", "9"), A.set("z", "9"), A.all().rows(1).is("a=9 …"), A.all().rows(1).is("z=9 …"));
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
    let stamped = [A.stamped_value("k"), A.get("k").is("unreadable"), A.range("a", "z").is("unreadable")];
    check(open, then(stamped, [A.get("j").none()]));
    check(open, [A.stamped_value("k"), A.set("k", "1"), A.get("k").is("1"), A.commit(), B.get("k").is("1")]);
    let around = [A.get("s").none(), A.range("a", "s").is(""), A.get("t").none()];
    check(open, then([A.stamped_key("s"), A.range("s", "t").is("unreadable")], around));
    let snapshots = [A.get("r").snapshot().none(), A.range("s", "t").snapshot().is("unreadable")];
    check(open, then([B.stamped_key("s"), B.commit(), A.stamped_key("s")], snapshots));
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
        let unread = block_on(tx.get(&at(stamp)));
        assert_eq!(ended(unread), "unreadable", "{stamp:?} after {read_version}");
    }
    match block_on(tx.get(&at(first.stamp))) {
        Ok(value) => assert_eq!(value, Some("1".into())),
        Err(error) => assert!(matches!(error, Error::Unreadable), "{error:?}"),
    }
}

/// Atomic changes commute.
pub fn atomic_changes_do_not_conflict<E: Engine>(open: &impl Fn() -> Subject<E>) {
    let three = [A.add("k", 1), B.add("k", 2), C.add("k", 3), B.commit(), A.commit(), C.commit()];
    check(open, then(three, [D.get("k").number(6)]));
    check(open, [A.max("k", 9), B.max("k", 7), A.commit(), B.commit(), D.get("k").number(9)]);
    let read = [A.add("k", 1), A.get("k").number(1), B.add("k", 2), B.commit(), A.commit().is("conflict")];
    check(open, then(read, [D.get("k").number(2)]));
    check(open, [put("k", "12345678"), A.add("k", 0), A.commit(), B.get("k").is("12345678")]);
}

/// Within one transaction, the last word holds.
pub fn writes_take_effect_in_their_order<E: Engine>(open: &impl Fn() -> Subject<E>) {
    check(open, [A.set("k", "1"), A.set("k", "2"), A.commit(), B.get("k").is("2")]);
    check(open, [A.set("k", "1"), A.clear("k"), A.commit(), B.get("k").none()]);
    check(open, [A.clear("k"), A.set("k", "1"), A.commit(), B.get("k").is("1")]);
    check(open, [A.set("k", "1"), A.clear_range("a", "z"), A.set("l", "2"), A.commit(), B.all().is("l=2")]);
    check(open, [put("k", "1"), A.clear_range("a", "z"), A.set("k", "2"), A.commit(), B.all().is("k=2")]);
    let sums = [A.add("k", 1), A.clear("k"), A.add("k", 2), A.add("k", 3), A.commit()];
    check(open, then(sums, [B.get("k").number(5)]));
    check(open, [A.stamped_key("s"), A.clear_range("s", "t"), A.commit(), B.all().is("")]);
    let stamped = [A.clear_range("s", "t"), A.stamped_value("s"), A.set("s", "1"), A.commit()];
    check(open, then(stamped, [B.all().is("s=1")]));
    check(open, [A.blind(), A.stamped_key("s"), A.clear_range("s", "t"), A.commit(), B.all().is("")]);
    let blind = [put("k", "1"), A.blind(), A.set("l", "1"), A.clear_range("k", "m"), A.add("k", 2), A.clear("l")];
    check(open, then(blind, [A.commit(), B.get("k").number(2)]));
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
        ended(subject.commit(tx))
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
        let version = block_on(tx.read_version()).map_err(|error| ended::<()>(Err(error)))?;
        let value = block_on(tx.get(b"k")).expect("its version is there");
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
    assert_eq!(ended(subject.commit(tx)), "conflict");
    let mut tx = subject.engine.begin(Begin::At(far));
    tx.set(b"x", b"");
    assert_eq!(ended(subject.commit(tx)), "future version");
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

/// What a process is told of another's is the least that it goes on from, whatever it has at hand.
pub fn what_another_process_was_answered_is_seen_once_it_is_told<E: Engine>(open: &impl Fn() -> Subject<E>) {
    let subject = open();
    let other = subject.other.as_ref().unwrap_or(&subject.engine);
    for round in 0..20_u8 {
        let seen = block_on(other.begin(Begin::Fresh).read_version()).expect("no fault");
        let mut tx = subject.engine.begin(Begin::Fresh);
        tx.set(b"k", &[round]);
        let committed = subject.commit(tx).expect("nothing conflicts").version;
        other.floor(committed);
        other.floor(seen);
        let newest = other.newest();
        assert!(newest >= committed, "{newest} is the newest, after {committed} was told of, and {seen}");
        let tx = other.begin(Begin::AtLeast(newest));
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
        assert_eq!(block_on(reads.get(b"k")).expect("no fault"), None);
        writes.set(b"k", b"1");
        clock.advance(age_ms);
        let read = ended(block_on(reads.get(b"k")));
        assert_eq!(read, expected, "a read after {age_ms} ms");
        // What it read, it read in time.
        assert!(subject.commit(reads).is_ok());
        let write = ended(subject.commit(writes));
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
        ended(listen.recv_timeout(Duration::from_secs(10)).expect("told within 10 s"))
    };

    let (tx, watch) = watching(b"k");
    drop(tx);
    assert_eq!(told(watch), "watch cancelled");

    let (tx, mut watch) = watching(b"k");
    subject.commit(tx).expect("only watches");
    put(b"other");
    assert!(block_on(poll_once(&mut watch)).is_none(), "told of another key");
    put(b"k");
    assert_eq!(told(watch), "ok");

    // The change came between the transaction's begin and its commit.
    let (tx, watch) = watching(b"k");
    put(b"k");
    subject.commit(tx).expect("only watches");
    assert_eq!(told(watch), "ok");

    let (tx, watch) = watching(b"k");
    subject.commit(tx).expect("only watches");
    let mut clears = subject.engine.begin(Begin::Fresh);
    clears.clear_range(b"a", b"z");
    subject.commit(clears).expect("nothing conflicts");
    assert_eq!(told(watch), "ok");

    let mut tx = subject.engine.begin(Begin::Fresh);
    block_on(tx.get(b"k")).expect("no fault");
    tx.set(b"x", b"");
    let watch = tx.watch(b"k");
    put(b"k");
    assert_eq!(ended(subject.commit(tx)), "conflict");
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
