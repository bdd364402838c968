//! Ranges known to hold no row, because they were cleared and not written since.
//!
//! A queue is cleared behind its reader, each time from its beginning. The row store keeps a mark for every row
//! removed, and to walk over those again for each clear costs 0.25 µs each (measured), which grows without end.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

/// Ranges remembered: some for each queue of a node (arrivals of each shard, pushes of each partition).
const RANGES_MAX: usize = 4_096;

/// What the thread that writes, which is one at a time, knows to be empty.
#[derive(Debug, Default)]
pub(super) struct EmptyRanges {
    /// Begin and end; disjoint.
    ranges: BTreeMap<Bytes, Bytes>,
}

impl EmptyRanges {
    /// The parts of `begin..end` in which there may be rows. From now on there are none.
    pub(super) fn clear(&mut self, begin: &Bytes, end: &Bytes) -> Vec<(Bytes, Bytes)> {
        let mut merged = (begin.clone(), end.clone());
        let mut parts = Vec::new();
        let mut from = begin.clone();
        for (empty_begin, empty_end) in self.take_touching(begin, end) {
            if from < empty_begin {
                parts.push((from, empty_begin.clone()));
            }
            from = empty_end.clone();
            merged.0 = merged.0.min(empty_begin);
            merged.1 = merged.1.max(empty_end);
        }
        if from < *end {
            parts.push((from, end.clone()));
        }
        if self.ranges.len() == RANGES_MAX {
            self.ranges.pop_first();
        }
        self.ranges.insert(merged.0, merged.1);
        parts
    }

    /// Takes out the ranges that overlap or touch `begin..end`, ascending.
    fn take_touching(&mut self, begin: &Bytes, end: &Bytes) -> Vec<(Bytes, Bytes)> {
        let first = self.ranges.range::<Bytes, _>(..begin).next_back();
        let first = first.filter(|(_, first_end)| *first_end >= begin).map_or(begin, |(first_begin, _)| first_begin);
        let touching = (Bound::Included(first.clone()), Bound::Included(end.clone()));
        self.ranges.extract_if(touching, |_, _| true).collect()
    }

    /// There is a row at `key` now. What comes after it in its range is forgotten: queues are written at their ends.
    pub(super) fn fill(&mut self, key: &Bytes) {
        let Some((begin, end)) = self.ranges.range_mut::<Bytes, _>(..=key).next_back() else { return };
        if *end <= *key {
            return;
        }
        if begin == key {
            self.ranges.remove(key);
        } else {
            // A copy: the key may lie among others that it would keep.
            *end = Bytes::copy_from_slice(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    enum Step {
        Clear(&'static str, &'static str),
        Write(&'static str),
    }
    use Step::{Clear, Write};

    /// What the last clear of `steps` had to look through.
    fn check(steps: &[Step], scanned: &[(&'static str, &'static str)]) {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        let mut empty = EmptyRanges::default();
        let mut last = Vec::new();
        for step in steps {
            match step {
                Clear(begin, end) => last = empty.clear(&bytes(begin), &bytes(end)),
                Write(key) => empty.fill(&bytes(key)),
            }
        }
        let expected: Vec<_> = scanned.iter().map(|(begin, end)| (bytes(begin), bytes(end))).collect();
        assert_eq!(last, expected, "{steps:?}");
    }

    #[test]
    fn a_clear_looks_only_where_rows_may_be() {
        check(&[Clear("a", "d")], &[("a", "d")]);
        check(&[Clear("a", "d"), Clear("a", "d")], &[]);
        check(&[Clear("a", "d"), Clear("b", "c")], &[]);
        check(&[Clear("a", "d"), Clear("a", "f")], &[("d", "f")]);
        check(&[Clear("a", "d"), Clear("c", "f")], &[("d", "f")]);
        check(&[Clear("c", "f"), Clear("a", "d")], &[("a", "c")]);
        check(&[Clear("b", "c"), Clear("e", "f"), Clear("a", "h")], &[("a", "b"), ("c", "e"), ("f", "h")]);
        check(&[Clear("a", "d"), Clear("d", "e"), Clear("a", "e")], &[]);
        check(&[Clear("a", "d"), Clear("e", "g"), Clear("d", "h")], &[("d", "e"), ("g", "h")]);
        check(&[Clear("a", "d"), Write("b"), Clear("a", "d")], &[("b", "d")]);
        check(&[Clear("a", "d"), Write("a"), Clear("a", "d")], &[("a", "d")]);
        check(&[Clear("a", "d"), Write("d"), Clear("a", "d")], &[]);
        check(&[Clear("a", "d"), Write("e"), Clear("a", "e")], &[("d", "e")]);
        check(&[Clear("a", "d"), Write("b"), Write("c"), Clear("a", "e")], &[("b", "e")]);
        check(&[Clear("b", "d"), Write("a"), Clear("a", "d")], &[("a", "b")]);
        check(&[Clear("a", "d"), Write("b"), Clear("a", "d"), Clear("a", "d")], &[]);
    }
}
