//! Writes of the last seconds: they answer "was any of this written after that version?".
//!
//! Segments of sorted keys, newest last, merged as they grow alike (as the levels of a log-structured tree), so that
//! the common question, about the last few versions, looks at the last few keys, an old one at a dozen segments, and
//! forgetting is dropping the first segment. Against one ordered map of all keys: `cargo bench -p kv --bench resolver`.

use std::cmp::Ordering;
use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;

use super::spans::{Ranges, Span};
use crate::limits;
use crate::transaction::Version;

/// How long a write is remembered: a transaction's life, and a second for its last group commit to become durable.
const KEPT_MS: u64 = limits::TRANSACTION_LIFE_MS + 1_000;

/// Segments are not merged beyond this span of time, so that they can be forgotten one by one.
const SEGMENT_MS: u64 = 1_000;

/// Counted for a key beyond its bytes: its handle and its version.
const KEY_OVERHEAD_BYTES: usize = 40;

/// What one version wrote.
#[derive(Debug)]
pub(super) struct GroupWrites {
    pub(super) version: Version,
    keys: BTreeSet<Bytes>,
    ranges: Ranges,
}

impl GroupWrites {
    pub(super) fn new(version: Version) -> Self {
        Self { version, keys: BTreeSet::new(), ranges: Ranges::default() }
    }

    pub(super) fn insert(&mut self, span: Span) {
        match span {
            Span::Key(key) => {
                self.keys.insert(key);
            }
            Span::Range(begin, end) => self.ranges.insert(begin, end),
        }
    }

    /// Whether it wrote any key of `span`.
    pub(super) fn overlaps(&self, span: &Span) -> bool {
        match span {
            Span::Key(key) => self.contains(key),
            Span::Range(begin, end) => {
                self.keys.range(begin.clone()..end.clone()).next().is_some() || self.ranges.overlaps(begin, end)
            }
        }
    }

    pub(super) fn contains(&self, key: &Bytes) -> bool {
        self.keys.contains(key) || self.ranges.contains(key)
    }

    /// The single keys, ascending, and whether ranges were written too.
    pub(super) fn keys(&self) -> (&BTreeSet<Bytes>, bool) {
        (&self.keys, !self.ranges.is_empty())
    }
}

/// Writes of the last [`KEPT_MS`].
#[derive(Debug)]
pub(super) struct Recent {
    /// Ascending by version.
    segments: VecDeque<Segment>,
    /// Writes at this version and before are forgotten.
    floor: Version,
    len_bytes: usize,
    /// Beyond it the oldest segment goes, whatever its age.
    limit_bytes: usize,
}

#[derive(Debug)]
struct Segment {
    newest: Version,
    first_ms: u64,
    newest_ms: u64,
    len_bytes: usize,
    /// Ascending, each once, with the last version that wrote it.
    keys: Vec<(Bytes, Version)>,
    /// Ascending, disjoint, with the last version that wrote it.
    ranges: Vec<Written>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    begin: Bytes,
    end: Bytes,
    version: Version,
}

impl Recent {
    pub(super) fn new(floor: Version, limit_bytes: usize) -> Self {
        Self { segments: VecDeque::new(), floor, len_bytes: 0, limit_bytes }
    }

    /// The version at and before which nothing is known. A transaction that reads below it is too old.
    pub(super) fn floor(&self) -> Version {
        self.floor
    }

    /// Whether anything in `span` was written after `since`, which is not below the floor.
    pub(super) fn written_after(&self, span: &Span, since: Version) -> bool {
        debug_assert!(since >= self.floor, "asked below the floor");
        let newer = self.segments.iter().rev().take_while(|segment| segment.newest > since);
        newer.into_iter().any(|segment| segment.written_after(span, since))
    }

    /// Adds the writes of the newest version and forgets the old.
    pub(super) fn push(&mut self, now_ms: u64, group: GroupWrites) {
        let segment = Segment::new(now_ms, group);
        self.len_bytes += segment.len_bytes;
        self.segments.push_back(segment);
        self.merge();
        self.forget(now_ms);
    }

    fn merge(&mut self) {
        while let [.., older, newer] = self.segments.make_contiguous() {
            let alike = older.len_bytes <= 2 * newer.len_bytes;
            if !alike || newer.newest_ms.saturating_sub(older.first_ms) > SEGMENT_MS {
                break;
            }
            let newer = self.segments.pop_back().expect("matched above");
            let older = self.segments.pop_back().expect("matched above");
            self.len_bytes -= older.len_bytes + newer.len_bytes;
            let merged = older.merge(newer);
            self.len_bytes += merged.len_bytes;
            self.segments.push_back(merged);
        }
    }

    fn forget(&mut self, now_ms: u64) {
        while let Some(first) = self.segments.front() {
            let old = first.newest_ms + KEPT_MS < now_ms;
            if !old && self.len_bytes <= self.limit_bytes {
                break;
            }
            self.floor = first.newest;
            self.len_bytes -= first.len_bytes;
            self.segments.pop_front();
        }
    }
}

impl Segment {
    fn new(now_ms: u64, group: GroupWrites) -> Self {
        let version = group.version;
        let keys: Vec<_> = group.keys.into_iter().map(|key| (key, version)).collect();
        let ranges = group.ranges.into_iter();
        let ranges = ranges.map(|(begin, end)| Written { begin, end, version }).collect();
        Self::sized(version, now_ms, now_ms, keys, ranges)
    }

    fn sized(
        newest: Version,
        first_ms: u64,
        newest_ms: u64,
        keys: Vec<(Bytes, Version)>,
        ranges: Vec<Written>,
    ) -> Self {
        let keys_bytes: usize = keys.iter().map(|(key, _)| key.len() + KEY_OVERHEAD_BYTES).sum();
        let ends = ranges.iter().map(|range| range.begin.len() + range.end.len());
        let ranges_bytes: usize = ends.map(|bytes| bytes + 2 * KEY_OVERHEAD_BYTES).sum();
        Self { newest, first_ms, newest_ms, len_bytes: keys_bytes + ranges_bytes, keys, ranges }
    }

    fn written_after(&self, span: &Span, since: Version) -> bool {
        match span {
            Span::Key(key) => {
                let at = self.keys.binary_search_by(|(other, _)| other.cmp(key));
                at.is_ok_and(|at| self.keys[at].1 > since)
                    || self.ranges_from(key).next().is_some_and(|range| range.begin <= *key && range.version > since)
            }
            Span::Range(begin, end) => {
                let from = self.keys.partition_point(|(key, _)| key < begin);
                let keys = self.keys[from..].iter().take_while(|(key, _)| key < end);
                let mut ranges = self.ranges_from(begin).take_while(|range| range.begin < *end);
                keys.into_iter().any(|(_, version)| *version > since) || ranges.any(|range| range.version > since)
            }
        }
    }

    /// The ranges that end after `key`, ascending.
    fn ranges_from(&self, key: &Bytes) -> impl Iterator<Item = &Written> {
        let from = self.ranges.partition_point(|range| range.end <= *key);
        self.ranges[from..].iter()
    }

    fn merge(self, newer: Self) -> Self {
        // Both runs are sorted, which the sort finds; it is stable, so of two alike the newer stays first.
        let mut keys = newer.keys;
        keys.extend(self.keys);
        keys.sort_by(|(a, _), (b, _)| a.cmp(b));
        keys.dedup_by(|(later, _), (first, _)| later == first);
        let ranges = lay_over(self.ranges, newer.ranges);
        Self::sized(newer.newest, self.first_ms, newer.newest_ms, keys, ranges)
    }
}

/// The `newer` ranges, and what they leave of the `older`. Both ascending and disjoint, and so the result.
fn lay_over(older: Vec<Written>, newer: Vec<Written>) -> Vec<Written> {
    let mut result = Vec::with_capacity(older.len() + newer.len());
    let mut from = 0;
    for mut range in older {
        while newer.get(from).is_some_and(|cover| cover.end <= range.begin) {
            from += 1;
        }
        for cover in newer[from..].iter().take_while(|cover| cover.begin < range.end) {
            if range.begin < cover.begin {
                result.push(Written { end: cover.begin.clone(), ..range.clone() });
            }
            range.begin = range.begin.max(cover.end.clone());
        }
        if range.begin.cmp(&range.end) == Ordering::Less {
            result.push(range);
        }
    }
    result.extend(newer);
    result.sort_by(|a, b| a.begin.cmp(&b.begin));
    result
}

#[cfg(test)]
mod tests {
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

    /// Pushes `groups` ("a b-d") as versions 1, 2, … at one a `step_ms`, then asks whether `asked` was written after
    /// each version, from 0 on: `y`, `n`, or `?` where that is forgotten.
    fn check(step_ms: u64, groups: &[&str], asked: &str, answers: &str) {
        let mut recent = Recent::new(Version(0), usize::MAX);
        for (version, group) in (1..).zip(groups) {
            let mut writes = GroupWrites::new(Version(version));
            group.split_whitespace().for_each(|write| writes.insert(span(write)));
            recent.push(version * step_ms, writes);
        }
        let answer = |since| match Version(since) {
            since if since < recent.floor() => '?',
            since if recent.written_after(&span(asked), since) => 'y',
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
            let mut writes = GroupWrites::new(Version(version));
            writes.insert(span(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"][version as usize % 12]));
            recent.push(1, writes);
            assert!(recent.len_bytes <= 10 * key_bytes, "{} bytes at {version}", recent.len_bytes);
        }
        assert!(recent.floor() > Version(0) && recent.floor() < Version(100), "{:?}", recent.floor());
    }

    /// Against the plain rule, over pseudo-random writes: merging loses nothing.
    #[test]
    fn merged_segments_answer_as_the_log_of_writes_would() {
        let mut state = 7_u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut recent = Recent::new(Version(0), usize::MAX);
        let mut log: Vec<(Span, Version)> = Vec::new();
        for version in 1..150 {
            let mut writes = GroupWrites::new(Version(version));
            for _ in 0..draw(4) {
                let begin = format!("{:02}", draw(90));
                let write = match draw(3) {
                    0 => span(&format!("{begin}-{}", begin.parse::<u64>().expect("digits") + 5)),
                    _ => span(&begin),
                };
                log.push((write.clone(), Version(version)));
                writes.insert(write);
            }
            recent.push(version, writes);
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
                    let found = recent.written_after(&asked, Version(since));
                    assert_eq!(found, expected, "{asked:?} after {since}");
                }
            }
        }
    }
}
