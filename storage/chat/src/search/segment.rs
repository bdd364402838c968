//! Part of a channel's index: which messages have which terms, in rows that never change.
//!
//! Owns the bytes of those rows and what a directory says of them. Terms ascend through the rows of a segment; a term's
//! messages follow it, the newest first, as distances. So a term is looked for in one row, which the terms that rows
//! begin with tell, and a message far from the others lengthens its own terms alone.

use std::cmp::Reverse;

use bytes::Bytes;
use schema::record::RecordError;
use schema::{Seq, UnixMs};

use super::bits::{BitReader, BitWriter, order_of};
use super::words::{TERM_BITS, Term, TermRange};
use crate::fields::{Reader, Writer};

/// Bytes at which a row ends. Decoding half of one takes some 2 µs, and a search decodes one a segment and term; the
/// key, and what the directory has of a row, are 18 bytes more.
const ROW_BYTES: usize = 768;

/// Messages for which a directory keeps one time, and times that it keeps of a segment. A search for what is earlier
/// reads some of that many messages too much, and a time takes some 5 bytes: 320 of a segment of 512 messages, which
/// takes 17 KB.
const MESSAGES_OF_TIME: u32 = 8;
const TIMES_MAX: u32 = 64;

/// That a message has a term. Orders as segments do.
pub(super) type Posting = (Term, Reverse<Seq>);

/// What is known of a segment without its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its number in the channel, never used again.
    pub(super) id: u32,
    /// Messages; one that was edited counts as often as it was indexed.
    pub(super) messages: u32,
    /// When some of its messages were sent, ascending: the oldest, the newest, and some between. In a channel no
    /// message was sent before an older one, so these bound the times of all.
    times: Vec<(Seq, UnixMs)>,
    /// Of all its rows.
    pub(super) bytes: u32,
    /// How the distances of terms are written.
    term_order: u8,
    /// The terms that rows begin with, ascending.
    rows: Vec<Term>,
}

/// What a segment is made of, before it has a number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Contents {
    /// In any order, and often.
    pub(super) postings: Vec<Posting>,
    pub(super) messages: u32,
    /// When some of the messages were sent, in any order; among them the oldest and the newest.
    times: Vec<(Seq, UnixMs)>,
}

impl Contents {
    /// Counts a message, whether it has terms or none.
    pub(super) fn add_message(&mut self, seq: Seq, sent_ms: UnixMs) {
        self.messages += 1;
        self.times.push((seq, sent_ms));
    }

    /// Whether it has no message.
    pub(super) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Takes in all that a segment holds, whose rows these are.
    pub(super) fn add_segment(&mut self, segment: &Segment, rows: &[Bytes]) -> Result<(), RecordError> {
        self.messages = self.messages.saturating_add(segment.messages);
        self.times.extend_from_slice(&segment.times);
        if rows.len() != segment.rows.len() {
            return Err(damaged(rows.len(), format!("segment {} has {} rows", segment.id, segment.rows.len())));
        }
        for (number, row) in rows.iter().enumerate() {
            segment.read(number, row, WHOLE, |term, seq| self.postings.push((term, Reverse(seq))))?;
        }
        Ok(())
    }

    /// The segment of this number with these contents, and its rows. All in one row if it is to lie in a directory.
    pub(super) fn encode(mut self, id: u32, in_one_row: bool) -> Option<(Segment, Vec<Vec<u8>>)> {
        if self.is_empty() {
            return None;
        }
        self.postings.sort_unstable();
        self.postings.dedup();
        let lists: Vec<&[Posting]> = self.postings.chunk_by(|one, other| one.0 == other.0).collect();
        let term_order = best_order(&lists);
        let (messages, times) = (self.messages, thinned(self.times, self.messages));
        let mut segment = Segment { id, messages, times, bytes: 0, term_order, rows: Vec::new() };
        let mut rows = Vec::new();
        let mut row = BitWriter::default();
        let mut before = None;
        for list in lists {
            let term = list[0].0;
            if before.is_none() || (row.len_bytes() >= ROW_BYTES && !in_one_row) {
                if before.is_some() {
                    rows.push(std::mem::take(&mut row).finish());
                }
                segment.rows.push(term);
            } else if let Some(Term(before)) = before {
                row.golomb(u64::from(term.0 - before - 1), term_order.into());
            }
            before = Some(term);
            segment.write(&mut row, list);
        }
        if before.is_some() {
            rows.push(row.finish());
        }
        let bytes = rows.iter().map(Vec::len).sum::<usize>();
        segment.bytes = u32::try_from(bytes).expect("segments are below the size of a transaction");
        Some((segment, rows))
    }
}

/// Some of the times: the oldest, the newest, and one for each [`MESSAGES_OF_TIME`] between, evenly spread.
fn thinned(mut times: Vec<(Seq, UnixMs)>, messages: u32) -> Vec<(Seq, UnixMs)> {
    times.sort_unstable();
    times.dedup();
    let wanted = (messages / MESSAGES_OF_TIME).clamp(1, TIMES_MAX) as usize;
    let last = times.len() - 1;
    let mut kept: Vec<_> = (0..=wanted).map(|step| times[last * step / wanted]).collect();
    kept.dedup();
    kept
}

/// All terms.
const WHOLE: TermRange = TermRange { first: Term(0), last: Term(u32::MAX) };

impl Segment {
    /// Its oldest message.
    pub(super) fn first(&self) -> Seq {
        self.times.first().expect("a segment has a message").0
    }

    /// Its newest message.
    pub(super) fn last(&self) -> Seq {
        self.times.last().expect("a segment has a message").0
    }

    /// When its oldest message was sent.
    pub(super) fn first_ms(&self) -> UnixMs {
        self.times.first().expect("a segment has a message").1
    }

    /// When its newest message was sent.
    pub(super) fn last_ms(&self) -> UnixMs {
        self.times.last().expect("a segment has a message").1
    }

    /// When one of its messages was sent at the latest.
    pub(super) fn bound_of(&self, seq: Seq) -> UnixMs {
        let at = self.times.partition_point(|(other, _)| *other < seq);
        self.times.get(at).map_or(self.last_ms(), |&(_, sent_ms)| sent_ms)
    }

    /// A message that, as all after it, was sent later; `None` if no such is known.
    pub(super) fn later_than(&self, latest: UnixMs) -> Option<Seq> {
        let at = self.times.partition_point(|(_, sent_ms)| *sent_ms <= latest);
        self.times.get(at).map(|&(seq, _)| seq)
    }

    /// How many messages have a term, and which.
    fn write(&self, row: &mut BitWriter, list: &[Posting]) {
        let count = list.len() as u64;
        row.golomb(count - 1, 0);
        let order = self.seq_order(count);
        let mut newer = self.last().0 + 1;
        for &(_, Reverse(seq)) in list {
            row.golomb(newer - 1 - seq.0, order);
            newer = seq.0;
        }
    }

    /// How the distances of so many messages are written.
    fn seq_order(&self, count: u64) -> u32 {
        order_of(u64::from(self.messages) / count)
    }

    /// Which rows may hold these terms.
    pub(super) fn rows_of(&self, wanted: TermRange) -> std::ops::Range<usize> {
        let begin = self.rows.partition_point(|first| *first <= wanted.first).saturating_sub(1);
        begin..self.rows.partition_point(|first| *first <= wanted.last).max(begin)
    }

    /// Tells each of the wanted terms in a row with each message that has it, the newest first within a term.
    ///
    /// # Errors
    /// If the row is not of this segment, as far as that shows.
    pub(super) fn read(
        &self,
        number: usize,
        row: &[u8],
        wanted: TermRange,
        mut each: impl FnMut(Term, Seq),
    ) -> Result<(), RecordError> {
        let damaged = || damaged(row.len(), format!("row {number} of segment {}", self.id));
        let mut bits = BitReader::new(row);
        let mut term = *self.rows.get(number).ok_or_else(damaged)?;
        while term <= wanted.last {
            let count = bits.golomb(0).and_then(|count| count.checked_add(1)).ok_or_else(damaged)?;
            let order = self.seq_order(count);
            let mut newer = self.last().0 + 1;
            for _message in 0..count {
                let distance = bits.golomb(order).and_then(|distance| distance.checked_add(1));
                newer = distance.and_then(|distance| newer.checked_sub(distance)).ok_or_else(damaged)?;
                if term >= wanted.first {
                    each(term, Seq(newer));
                }
            }
            let Some(distance) = bits.golomb(self.term_order.into()) else { break };
            let next = u64::from(term.0) + 1 + distance;
            term = u32::try_from(next).ok().filter(|next| next >> TERM_BITS == 0).map(Term).ok_or_else(damaged)?;
        }
        Ok(())
    }

    /// As it stands in a directory: of ascending numbers the distances.
    pub(super) fn put(&self, into: Writer) -> Writer {
        let mut into = into.number(self.id).number(self.messages).number(self.times.len() as u64);
        let mut before = (Seq::ZERO, UnixMs(0));
        for &(seq, sent_ms) in &self.times {
            into = into.number(seq.0 - before.0.0).number(sent_ms.0 - before.1.0);
            before = (seq, sent_ms);
        }
        into = into.number(self.bytes).number(self.term_order).number(self.rows.len() as u64);
        let mut before = 0;
        for first in &self.rows {
            into = into.number(first.0 - before);
            before = first.0;
        }
        into
    }

    /// The reverse of [`Self::put`].
    pub(super) fn take(from: &mut Reader<'_>) -> Result<Self, RecordError> {
        let (id, messages, count) = (from.number()?, from.number()?, from.count()?);
        let mut times = Vec::with_capacity(count);
        let mut time = (Seq::ZERO, UnixMs(0));
        for _time in 0..count {
            time = (Seq(from.above(time.0.0)?), UnixMs(from.above(time.1.0)?));
            times.push(time);
        }
        if times.is_empty() {
            return Err(from.damaged("a segment without a message"));
        }
        let (bytes, term_order, count) = (from.number()?, from.number::<u8>()?, from.count()?);
        if u32::from(term_order) >= TERM_BITS {
            return Err(from.damaged("an order beyond what terms have"));
        }
        let mut rows = Vec::with_capacity(count);
        let mut term = 0;
        for _row in 0..count {
            term = from.above(term)?;
            rows.push(Term(u32::try_from(term).map_err(|_| from.damaged("a term beyond the last"))?));
        }
        Ok(Self { id, messages, times, bytes, term_order, rows })
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
        for number in segment.rows_of(wanted) {
            let each = |term: Term, seq: Seq| found.push((term.0, seq.0));
            segment.read(number, &rows[number], wanted, each).expect("its own row");
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
                prop_assert!(segment.bound_of(Seq(seq)) >= UnixMs(seq * 10));
                let end = segment.later_than(UnixMs(u64::from(from)));
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
            let bytes = segment.put(Writer::behind(2)).0;
            let mut reader = Reader::of_row("directory", 2, &bytes).expect("a format");
            prop_assert_eq!(Segment::take(&mut reader), Ok(segment));
        }

        #[test]
        fn any_bytes_are_a_row_or_damage(row in prop::collection::vec(any::<u8>(), 0..60), postings in postings()) {
            let (segment, _) = contents(&postings).encode(7, true).expect("not empty");
            let mut found = 0;
            let _row_or_damage = segment.read(0, &row, WHOLE, |_, _| found += 1);
            prop_assert!(found <= row.len() * 8);
        }
    }
}
