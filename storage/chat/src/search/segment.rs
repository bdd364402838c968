//! Part of a channel's index: which messages have which terms, in rows that never change.
//!
//! Owns what a directory says of those rows, and how segments are made of messages and of each other. Terms ascend through
//! the rows of a segment. So a term is looked for in one row, which the terms that rows begin with tell, and a message far
//! from the others lengthens its own terms alone. What a directory says is read where it is needed, and kept as it is
//! stored: a search sees thousands of segments.

use std::cmp::Reverse;

use bytes::Bytes;
use schema::record::RecordError;
use schema::{Seq, UnixMs};

use super::bits::order_of;
use super::row::{self, Code, RowWriter};
use super::times::{Sent, Times};
use super::words::{TERM_BITS, Term, TermRange};
use crate::fields::{Compact, Field, Reader, Writer};

/// Bytes at which a row ends. Decoding half of one takes up to 1 µs, and a search decodes one a segment and term; the
/// key, and what the directory has of a row, are 18 bytes more.
const ROW_BYTES: usize = 768;

/// That a message has a term. Orders as segments do.
pub(super) type Posting = (Term, Reverse<Seq>);

/// What is known of a segment without its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its number in the channel, never used again.
    pub(super) id: u32,
    /// Messages; one that was edited counts as often as it was indexed.
    pub(super) messages: u32,
    pub(super) times: Times,
    /// Of all its rows.
    pub(super) bytes: u32,
    /// How the distances of terms are written.
    term_order: u8,
    /// The terms that rows begin with, ascending, each as its distance.
    firsts: Bytes,
}

/// What a segment is made of, before it has a number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Contents {
    /// In any order, and often.
    pub(super) postings: Vec<Posting>,
    pub(super) messages: u32,
    sent: Sent,
}

impl Contents {
    /// Counts a message, whether it has terms or none.
    pub(super) fn add_message(&mut self, seq: Seq, sent_ms: UnixMs) {
        self.messages += 1;
        self.sent.add(seq, sent_ms);
    }

    /// Whether it has no message.
    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Takes in all that a segment holds, whose rows these are.
    pub(super) fn add_segment(&mut self, segment: &Segment, rows: &[Bytes]) -> Result<(), RecordError> {
        self.messages = self.messages.saturating_add(segment.messages);
        self.sent.add_all(&segment.times);
        let firsts = segment.firsts().count();
        if rows.len() != firsts {
            return Err(damaged(rows.len(), format!("segment {} has {firsts} rows", segment.id)));
        }
        for (at, row) in segment.firsts().enumerate().zip(rows) {
            segment.read(at, row, WHOLE, |term, seq| self.postings.push((term, Reverse(seq))))?;
        }
        Ok(())
    }

    /// The segment of this number with these contents, and its rows. All in one row if it is to lie in a directory.
    pub(super) fn encode(mut self, id: u32, in_one_row: bool) -> Option<(Segment, Vec<Vec<u8>>)> {
        let times = self.sent.encode()?;
        self.postings.sort_unstable();
        self.postings.dedup();
        let lists: Vec<&[Posting]> = self.postings.chunk_by(|one, other| one.0 == other.0).collect();
        let term_order = best_order(&lists);
        let mut segment = Segment { id, messages: self.messages, times, bytes: 0, term_order, firsts: Bytes::new() };
        let mut rows = Vec::new();
        let mut row = RowWriter::default();
        let (mut firsts, mut before) = (Vec::new(), 0);
        for list in lists {
            if !in_one_row && row.len_bytes() >= ROW_BYTES {
                rows.push(std::mem::take(&mut row).finish());
            }
            if row.is_empty() {
                let Term(first) = list[0].0;
                Compact(u64::from(first - before)).put(&mut firsts);
                before = first;
            }
            row.add(segment.code(), list);
        }
        if !row.is_empty() {
            rows.push(row.finish());
        }
        let bytes = rows.iter().map(Vec::len).sum::<usize>();
        segment.bytes = u32::try_from(bytes).expect("segments are below the size of a transaction");
        segment.firsts = firsts.into();
        Some((segment, rows))
    }
}

/// All terms.
const WHOLE: TermRange = TermRange { first: Term(0), last: Term(u32::MAX) };

impl Segment {
    /// Its oldest message.
    pub(super) fn first(&self) -> Seq {
        self.times.first().0
    }

    /// Its newest message.
    pub(super) fn last(&self) -> Seq {
        self.times.last().0
    }

    /// When its oldest message was sent.
    pub(super) fn first_ms(&self) -> UnixMs {
        self.times.first().1
    }

    /// When its newest message was sent.
    pub(super) fn last_ms(&self) -> UnixMs {
        self.times.last().1
    }

    fn code(&self) -> Code {
        Code { term_order: self.term_order, last: self.last(), messages: self.messages }
    }

    /// The terms that rows begin with. Ends early in what is damaged.
    fn firsts(&self) -> impl Iterator<Item = Term> {
        let (mut rest, mut before) = (&self.firsts[..], 0_u32);
        std::iter::from_fn(move || {
            let Compact(distance) = Compact::take(&mut rest)?;
            before = before.checked_add(u32::try_from(distance).ok()?)?;
            Some(Term(before))
        })
    }

    /// Which rows may hold these terms, and the terms that they begin with.
    pub(super) fn rows_of(&self, wanted: TermRange) -> impl Iterator<Item = (usize, Term)> {
        let mut rows = self.firsts().enumerate().peekable();
        // The last that begins no later than what is wanted, if there is one.
        let mut begin = None;
        while let Some(row) = rows.next_if(|(_, first)| *first <= wanted.first) {
            begin = Some(row);
        }
        begin.into_iter().chain(rows.take_while(move |(_, first)| *first <= wanted.last))
    }

    /// Tells each of the wanted terms in a row with each message that has it, the newest first within a term.
    ///
    /// # Errors
    /// If the row is not of this segment, as far as that shows.
    pub(super) fn read(
        &self,
        (number, first): (usize, Term),
        row: &[u8],
        wanted: TermRange,
        each: impl FnMut(Term, Seq),
    ) -> Result<(), RecordError> {
        let read = row::read(self.code(), first, row, wanted, each);
        read.ok_or_else(|| damaged(row.len(), format!("row {number} of segment {}", self.id)))
    }

    /// As it stands in a directory: of ascending numbers the distances.
    pub(super) fn put(&self, into: Writer) -> Writer {
        let into = self.times.put(into.number(self.id).number(self.messages));
        into.number(self.bytes).number(self.term_order).bytes(&self.firsts)
    }

    /// The reverse of [`Self::put`]. What is read is part of `row`.
    pub(super) fn take(from: &mut Reader<'_>, row: &Bytes) -> Result<Self, RecordError> {
        let (id, messages, times) = (from.number()?, from.number()?, Times::take(from, row)?);
        let (bytes, term_order) = (from.number()?, from.number::<u8>()?);
        if u32::from(term_order) >= TERM_BITS {
            return Err(from.damaged("an order beyond what terms have"));
        }
        Ok(Self { id, messages, times, bytes, term_order, firsts: row.slice_ref(from.bytes()?) })
    }
}

/// The order in which the distances between these terms take the fewest bits.
fn best_order(lists: &[&[Posting]]) -> u8 {
    let mean = (1 << TERM_BITS) / (lists.len() as u64 + 1);
    let about = order_of(mean);
    let bits = |order: u32| -> u64 {
        let terms = lists.windows(2).map(|pair| u64::from(pair[1][0].0.0 - pair[0][0].0.0 - 1));
        terms.map(|distance| u64::from(2 * (distance + (1 << order)).ilog2() - order + 1)).sum()
    };
    // Pairs that begin alike lie close together, so most distances are below the mean.
    let best = (about.saturating_sub(6)..=about).min_by_key(|order| bits(*order));
    u8::try_from(best.expect("one at least")).expect("an order is below 26")
}

fn damaged(bytes: usize, why: String) -> RecordError {
    RecordError::Damaged { what: "posting", bytes, why }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contents(postings: &[(u32, u64)]) -> Contents {
        let mut contents = Contents::default();
        for &(term, seq) in postings {
            contents.add_message(Seq(seq), UnixMs(seq * 10));
            contents.postings.push((Term(term), Reverse(Seq(seq))));
        }
        contents
    }

    fn all(segment: &Segment, rows: &[Vec<u8>], wanted: TermRange) -> Vec<(u32, u64)> {
        let mut found = Vec::new();
        for row in segment.rows_of(wanted) {
            let each = |term: Term, seq: Seq| found.push((term.0, seq.0));
            segment.read(row, &rows[row.0], wanted, each).expect("its own row");
        }
        found.sort_unstable();
        found
    }

    fn postings() -> impl Strategy<Value = Vec<(u32, u64)>> {
        let term = prop_oneof![4 => 0..64_u32, 1 => 0..1_u32 << TERM_BITS];
        let seq = prop_oneof![6 => 1_000_000..1_000_040_u64, 1 => 1..1_000_000_u64];
        prop::collection::vec((term, seq), 1..1_500)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_segment_tells_what_it_was_made_of(
            one in postings(),
            other in postings(),
            from in 0..1_u32 << TERM_BITS,
            length in 0..1_024_u32,
            in_one_row: bool,
        ) {
            let make = |postings: &[(u32, u64)]| contents(postings).encode(7, in_one_row).expect("not empty");
            let mut merged = Contents::default();
            for part in [&one, &other] {
                let (segment, rows) = make(part);
                let rows: Vec<Bytes> = rows.into_iter().map(Bytes::from).collect();
                merged.add_segment(&segment, &rows).expect("its own rows");
            }
            let (segment, rows) = merged.encode(8, in_one_row).expect("not empty");
            for &(_, seq) in one.iter().chain(&other) {
                prop_assert!(segment.first() <= Seq(seq) && Seq(seq) <= segment.last());
                prop_assert!(segment.times.bound_of(Seq(seq)) >= UnixMs(seq * 10));
                let (end, _) = segment.times.up_to(UnixMs(u64::from(from)));
                prop_assert!(end.is_none_or(|end| end > Seq(seq) || seq * 10 > u64::from(from)));
            }
            prop_assert!(!in_one_row || rows.len() == 1);
            prop_assert_eq!(rows.iter().map(Vec::len).sum::<usize>(), segment.bytes as usize);
            let mut expected = [one, other].concat();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(all(&segment, &rows, WHOLE), expected.clone());
            for first in [from, from % 64] {
                let wanted = TermRange { first: Term(first), last: Term(first + length % 80) };
                let within = expected.iter().filter(|(term, _)| (wanted.first..=wanted.last).contains(&Term(*term)));
                prop_assert_eq!(all(&segment, &rows, wanted), within.copied().collect::<Vec<_>>());
            }
            let bytes = Bytes::from(segment.put(Writer::behind(2)).0);
            let mut reader = Reader::of_row("directory", 2, &bytes).expect("a format");
            prop_assert_eq!(Segment::take(&mut reader, &bytes), Ok(segment));
        }

        #[test]
        fn any_bytes_are_a_row_or_damage(row in prop::collection::vec(any::<u8>(), 0..60), postings in postings()) {
            let (segment, _) = contents(&postings).encode(7, true).expect("not empty");
            let mut found = 0;
            let first = segment.firsts().next().expect("a row");
            let _row_or_damage = segment.read((0, first), &row, WHOLE, |_, _| found += 1);
            prop_assert!(found <= row.len() * 8);
        }
    }
}
