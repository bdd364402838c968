//! Sets of keys as conflict checks know them: single keys, and ranges that do not overlap.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

/// What a transaction read or wrote: one key, or all from the first (inclusive) to the second (exclusive).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// One key.
    Key(Bytes),
    /// A range of keys, not empty.
    Range(Bytes, Bytes),
}

impl Span {
    /// The range `begin..end`, or `None` if nothing is in it.
    #[must_use]
    pub fn range(begin: &[u8], end: &[u8]) -> Option<Self> {
        (begin < end).then(|| Self::Range(Bytes::copy_from_slice(begin), Bytes::copy_from_slice(end)))
    }

    /// Length of its ends in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        match self {
            Self::Key(key) => key.len(),
            Self::Range(begin, end) => begin.len() + end.len(),
        }
    }
}

/// A set of ranges; those that overlap or touch are one.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    ends: BTreeMap<Bytes, Bytes>,
}

impl Ranges {
    pub(crate) const fn new() -> Self {
        Self { ends: BTreeMap::new() }
    }

    /// Adds `begin..end`, which is not empty.
    pub(crate) fn insert(&mut self, begin: Bytes, end: Bytes) {
        debug_assert!(begin < end, "an empty range");
        let (mut begin, mut end) = (begin, end);
        while let Some((first, last)) = self.touching(&begin, &end) {
            self.ends.remove(&first);
            begin = begin.min(first);
            end = end.max(last);
        }
        self.ends.insert(begin, end);
    }

    fn touching(&self, begin: &[u8], end: &[u8]) -> Option<(Bytes, Bytes)> {
        let below = (Bound::Unbounded, Bound::Included(end));
        let (first, last) = self.ends.range::<[u8], _>(below).next_back()?;
        (last.as_ref() >= begin).then(|| (first.clone(), last.clone()))
    }

    /// Whether `key` is in one of them.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        let below = (Bound::Unbounded, Bound::Included(key));
        let found = self.ends.range::<[u8], _>(below).next_back();
        found.is_some_and(|(_, end)| end.as_ref() > key)
    }

    /// Whether one of them has a key in common with `begin..end`.
    pub(crate) fn overlaps(&self, begin: &[u8], end: &[u8]) -> bool {
        let below = (Bound::Unbounded, Bound::Excluded(end));
        let found = self.ends.range::<[u8], _>(below).next_back();
        found.is_some_and(|(_, last)| last.as_ref() > begin)
    }

    /// Ascending.
    #[cfg(test)]
    fn into_iter(self) -> impl Iterator<Item = (Bytes, Bytes)> {
        self.ends.into_iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ranges` as "ac ce" of one-letter ends, inserted in order, become `merged`.
    fn check(ranges: &str, merged: &str) {
        let ends = |range: &str| {
            let (begin, end) = range.split_at(1);
            (Bytes::copy_from_slice(begin.as_bytes()), Bytes::copy_from_slice(end.as_bytes()))
        };
        let mut set = Ranges::default();
        for range in ranges.split_whitespace() {
            let (begin, end) = ends(range);
            set.insert(begin, end);
        }
        for key in b'a'..=b'z' {
            let within = |range: &str| range.as_bytes()[0] <= key && key < range.as_bytes()[1];
            let expected = ranges.split_whitespace().any(within);
            assert_eq!(set.contains(&[key]), expected, "{ranges}: {}", key as char);
            assert_eq!(set.overlaps(&[key], &[key, 0]), expected, "{ranges}: {}", key as char);
        }
        let expected: Vec<_> = merged.split_whitespace().map(ends).collect();
        assert_eq!(set.into_iter().collect::<Vec<_>>(), expected, "{ranges}");
    }

    #[test]
    fn ranges_that_touch_become_one() {
        check("", "");
        check("ac", "ac");
        check("ac ef", "ac ef");
        check("ac ce", "ae");
        check("ce ac", "ae");
        check("ac bd", "ad");
        check("ah bd", "ah");
        check("bd ah", "ah");
        check("ab de gh ck", "ab ck");
        check("ab de gh aj", "aj");
        check("fh bf ab", "ah");
    }
}
