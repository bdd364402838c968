//! Writes of the last seconds: they answer "was any of this written after that version?".
//!
//! Owns the writes of groups in flight too. Of each key only the last version that wrote it is looked up, by the key's
//! hash, in a table a second: so the common question looks into one table, and a write costs one entry, where sorted keys
//! that were merged took a quarter of the committing thread, and held it up for the longest merges. Two keys of one hash
//! of 64 bits would be one key here, which is a conflict too many and never one too few. Questions about ranges look at
//! each key written since; few ask them. Against one ordered map of all keys: `cargo bench -p kv --bench resolver`.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use super::request::Write;
use super::spans::{Ranges, Span};
use crate::limits;
use crate::transaction::Version;

/// How long a write is remembered: a transaction's life, and a second for its last group commit to become durable.
const KEPT_MS: u64 = limits::TRANSACTION_LIFE_MS + 1_000;

/// Time of one table of last writes, so that tables are forgotten one by one.
const TABLE_MS: u64 = 1_000;

/// Counted for a key beyond its bytes: where it ends, and its entry in a table.
const KEY_OVERHEAD_BYTES: usize = 40;

/// What one version wrote.
#[derive(Debug)]
pub(super) struct GroupWrites {
    version: Version,
    /// When it was released; `None` while it is in flight.
    released_ms: Option<u64>,
    /// The keys in the order of their writes, one behind the other, and where each ends.
    key_bytes: Vec<u8>,
    ends: Vec<u32>,
    ranges: Ranges,
    len_bytes: usize,
}

impl GroupWrites {
    fn new(version: Version) -> Self {
        let (key_bytes, ends, ranges) = (Vec::new(), Vec::new(), Ranges::default());
        Self { version, released_ms: None, key_bytes, ends, ranges, len_bytes: 0 }
    }

    /// The single keys in the order of their writes; some may be there twice.
    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| &self.key_bytes[begin as usize..end as usize])
    }

    /// The ranges.
    pub(super) fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    fn wrote_within(&self, begin: &[u8], end: &[u8]) -> bool {
        self.ranges.overlaps(begin, end) || self.keys().any(|key| begin <= key && key < end)
    }
}

/// Writes of the last [`KEPT_MS`], and of what is in flight.
#[derive(Debug)]
pub(super) struct Recent {
    /// Ascending by version; those in flight last.
    groups: VecDeque<GroupWrites>,
    /// The versions of those that wrote ranges, ascending.
    with_ranges: VecDeque<Version>,
    /// One at least, oldest first.
    tables: VecDeque<LastWrites>,
    /// Writes at this version and before are forgotten.
    floor: Version,
    len_bytes: usize,
    /// Beyond it the oldest group goes, whatever its age.
    limit_bytes: usize,
}

/// The last version in the time of this table that wrote a key, by the key's hash.
#[derive(Debug, Default)]
struct LastWrites {
    by_hash: HashMap<u64, Version, BuildHasherDefault<Hashed>>,
    /// The newest version of them.
    newest: Version,
    /// When the first of its groups was released.
    first_ms: Option<u64>,
}

/// The hash of what is hashed already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("only hashes are looked up");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Of a key. The same in every process, and nobody knows two keys of one hash.
fn hash_of(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    hasher.finish()
}

impl Recent {
    pub(super) fn new(floor: Version, limit_bytes: usize) -> Self {
        Self {
            groups: VecDeque::new(),
            with_ranges: VecDeque::new(),
            tables: VecDeque::from([LastWrites::default()]),
            floor,
            len_bytes: 0,
            limit_bytes,
        }
    }

    /// The version at and before which nothing is known. A transaction that reads below it is too old.
    pub(super) fn floor(&self) -> Version {
        self.floor
    }

    /// Whether anything in `span` was written after `since`, which is not below the floor, up to `through`. Of a key that
    /// was written after `through` too, no.
    pub(super) fn written(&self, span: &Span, since: Version, through: Version) -> bool {
        debug_assert!(since >= self.floor, "asked below the floor");
        match span {
            Span::Key(key) => self.key_written(key, since, through),
            Span::Range(begin, end) if end.strip_prefix(&begin[..]) == Some(&[0]) => {
                self.key_written(begin, since, through)
            }
            Span::Range(begin, end) => {
                let mut newer = self.groups.iter().rev().take_while(|group| group.version > since);
                newer.any(|group| group.version <= through && group.wrote_within(begin, end))
            }
        }
    }

    fn key_written(&self, key: &[u8], since: Version, through: Version) -> bool {
        let is_meant = |version: Version| since < version && version <= through;
        let hash = hash_of(key);
        let mut newer = self.tables.iter().rev().take_while(|table| table.newest > since);
        let last = newer.find_map(|table| table.by_hash.get(&hash));
        let mut ranges = self.with_ranges.iter().rev().take_while(|version| **version > since);
        last.is_some_and(|last| is_meant(*last))
            || ranges.any(|version| is_meant(*version) && self.group(*version).ranges.contains(key))
    }

    fn group(&self, version: Version) -> &GroupWrites {
        let at = self.groups.partition_point(|group| group.version < version);
        &self.groups[at]
    }

    /// The next group, of a version greater than all before, is in flight.
    pub(super) fn open(&mut self, version: Version) {
        self.groups.push_back(GroupWrites::new(version));
    }

    /// The newest group writes this.
    pub(super) fn insert(&mut self, write: &Write) {
        let group = self.groups.back_mut().expect("a group is open");
        let len_bytes = match write {
            Write::Set(key, _) | Write::Clear(key) | Write::Atomic(_, key, _) => {
                group.key_bytes.extend_from_slice(key);
                group.ends.push(u32::try_from(group.key_bytes.len()).expect("a group is smaller than 4 GB"));
                let table = self.tables.back_mut().expect("one at least");
                table.newest = group.version;
                table.by_hash.insert(hash_of(key), group.version);
                key.len() + KEY_OVERHEAD_BYTES
            }
            Write::ClearRange(begin, end) if begin < end => {
                group.ranges.insert(begin.clone(), end.clone());
                if self.with_ranges.back() != Some(&group.version) {
                    self.with_ranges.push_back(group.version);
                }
                begin.len() + end.len() + 2 * KEY_OVERHEAD_BYTES
            }
            Write::ClearRange(..) => 0,
        };
        group.len_bytes += len_bytes;
        self.len_bytes += len_bytes;
    }

    /// The groups up to `version` are in flight no longer: tells each, the oldest first. Then forgets the old.
    pub(super) fn release(&mut self, now_ms: u64, version: Version, mut each: impl FnMut(&GroupWrites)) {
        let in_flight = self.groups.partition_point(|group| group.released_ms.is_some());
        for group in self.groups.iter_mut().skip(in_flight).take_while(|group| group.version <= version) {
            group.released_ms = Some(now_ms);
            each(group);
        }
        let table = self.tables.back_mut().expect("one at least");
        if now_ms.saturating_sub(*table.first_ms.get_or_insert(now_ms)) >= TABLE_MS {
            // As large as the last at once, since to grow takes as long as to fill.
            let by_hash = HashMap::with_capacity_and_hasher(table.by_hash.len(), BuildHasherDefault::new());
            let next = LastWrites { by_hash, newest: table.newest, first_ms: None };
            self.tables.push_back(next);
        }
        self.forget(now_ms);
    }

    fn forget(&mut self, now_ms: u64) {
        let is_old = |group: &GroupWrites| group.released_ms.is_some_and(|at_ms| at_ms + KEPT_MS < now_ms);
        let is_in_flight = |group: &GroupWrites| group.released_ms.is_none();
        while let Some(first) = self.groups.front() {
            if is_in_flight(first) || (!is_old(first) && self.len_bytes <= self.limit_bytes) {
                break;
            }
            self.floor = first.version;
            self.len_bytes -= first.len_bytes;
            self.groups.pop_front();
        }
        let floor = self.floor;
        while self.with_ranges.pop_front_if(|version| *version <= floor).is_some() {}
        while self.tables.len() > 1 && self.tables[0].newest <= floor {
            self.tables.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn bytes(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    /// "k" is a key, "a-c" a range.
    fn span(text: &str) -> Span {
        match text.split_once('-') {
            Some((begin, end)) => Span::Range(bytes(begin), bytes(end)),
            None => Span::Key(bytes(text)),
        }
    }

    fn written(text: &str) -> Write {
        match span(text) {
            Span::Key(key) => Write::Clear(key),
            Span::Range(begin, end) => Write::ClearRange(begin, end),
        }
    }

    /// Writes `groups` ("a b-d") as versions 1, 2, … at one a `step_ms`, then asks whether `asked` was written after
    /// each version, from 0 on: `y`, `n`, or `?` where that is forgotten.
    fn check(step_ms: u64, groups: &[&str], asked: &str, answers: &str) {
        let mut recent = Recent::new(Version(0), usize::MAX);
        let newest = Version(groups.len() as u64);
        for (version, group) in (1..).zip(groups) {
            let before = Version(version - 1);
            recent.open(Version(version));
            group.split_whitespace().for_each(|write| recent.insert(&written(write)));
            // In flight it is there, and not for whoever asks about what is durable.
            if before >= recent.floor() {
                let in_flight = recent.written(&span(asked), before, Version(version));
                assert_eq!(in_flight, recent.written(&span(asked), before, Version(u64::MAX)), "{asked} in {groups:?}");
                assert!(!recent.written(&span(asked), before, before), "{asked} in {groups:?}");
            }
            recent.release(version * step_ms, Version(version), |_| {});
        }
        let answer = |since| match Version(since) {
            since if since < recent.floor() => '?',
            since if recent.written(&span(asked), since, newest) => 'y',
            _ => 'n',
        };
        let found: String = (0..=groups.len() as u64).map(answer).collect();
        assert_eq!(found, answers, "{asked} after {groups:?} every {step_ms} ms");
    }

    #[test]
    fn a_write_is_seen_from_every_version_before_it() {
        check(1, &["a"], "a", "yn");
        check(1, &["a"], "b", "nn");
        check(1, &["a", "b", "a"], "a", "yyyn");
        check(1, &["a", "b", "c"], "a", "ynnn");
        check(1, &["a", "b", "c"], "b-c", "yynn");
        check(1, &["a", "b", "c"], "b-z", "yyyn");
        check(1, &["a", "b", "c"], "d-z", "nnnn");
    }

    #[test]
    fn ranges_are_written_as_a_whole() {
        check(1, &["b-d"], "a", "nn");
        check(1, &["b-d"], "b", "yn");
        check(1, &["b-d"], "d", "nn");
        check(1, &["b-d"], "a-b", "nn");
        check(1, &["b-d"], "a-c", "yn");
        check(1, &["b-d"], "d-e", "nn");
        check(1, &["a-z", "c-e", "k"], "d", "yynn");
        check(1, &["a-z", "c-e", "k"], "f", "ynnn");
        check(1, &["a-z", "c-e", "k"], "e-g", "ynnn");
        check(1, &["c-e g-i", "a-z"], "d", "yyn");
        check(1, &["a-d f-i", "c-g h-k"], "b", "ynn");
        check(1, &["a-d f-i", "c-g h-k"], "g", "ynn");
        check(1, &["a-d f-i", "c-g h-k"], "h", "yyn");
    }

    #[test]
    fn what_is_older_than_a_transaction_can_be_is_forgotten() {
        check(3_000, &["a", "b", "c"], "a", "ynnn");
        check(3_001, &["a", "b", "c"], "a", "?nnn");
        check(3_001, &["a", "b", "c", "d", "e"], "c", "???nnn");
        check(3_001, &["a", "b", "c", "d", "e"], "e", "???yyn");
    }

    #[test]
    fn what_does_not_fit_is_forgotten_whatever_its_age() {
        let key_bytes = 1 + KEY_OVERHEAD_BYTES;
        let mut recent = Recent::new(Version(0), 10 * key_bytes);
        for version in 1..=100 {
            recent.open(Version(version));
            recent
                .insert(&written(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"][version as usize % 12]));
            recent.release(1, Version(version), |_| {});
            assert!(recent.len_bytes <= 10 * key_bytes, "{} bytes at {version}", recent.len_bytes);
        }
        assert!(recent.floor() > Version(0) && recent.floor() < Version(100), "{:?}", recent.floor());
    }

    /// Against the plain rule, over pseudo-random writes.
    #[test]
    fn tables_answer_as_the_log_of_writes_would() {
        let mut state = 7_u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut recent = Recent::new(Version(0), usize::MAX);
        let mut log: Vec<(Span, Version)> = Vec::new();
        for version in 1..150 {
            recent.open(Version(version));
            for _ in 0..draw(4) {
                let begin = format!("{:02}", draw(90));
                let write = match draw(3) {
                    0 => format!("{begin}-{:02}", begin.parse::<u64>().expect("digits") + 5),
                    _ => begin,
                };
                log.push((span(&write), Version(version)));
                recent.insert(&written(&write));
            }
            // Some tables, each of some versions.
            recent.release(version * 30, Version(version), |_| {});
        }
        let ends = |span: &Span| match span {
            Span::Key(key) => (key.clone(), bytes(&format!("{}\0", str::from_utf8(key).expect("digits")))),
            Span::Range(begin, end) => (begin.clone(), end.clone()),
        };
        for since in 0..150 {
            for begin in 10..90 {
                for asked in [span(&format!("{begin}")), span(&format!("{begin}-{}", begin + 3))] {
                    let (begin, end) = ends(&asked);
                    let expected = log.iter().any(|(write, version)| {
                        let (first, last) = ends(write);
                        version.0 > since && first < end && begin < last
                    });
                    let found = recent.written(&asked, Version(since), Version(150));
                    assert_eq!(found, expected, "{asked:?} after {since}");
                }
            }
        }
    }
}
