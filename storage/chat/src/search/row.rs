//! Row of postings: some terms of a segment, and which messages have each.
//!
//! Owns its bytes: the terms, then how many messages each has, then those messages, each of the three to its last byte,
//! behind the lengths of the first two. Most of what a search looks for is not there, which the terms tell alone; they are
//! a third of the row.

use std::cmp::Reverse;

use schema::Seq;

use super::bits::{BitReader, BitWriter, order_of};
use super::segment::Posting;
use super::words::{TERM_BITS, Term, TermRange};
use crate::fields::{Compact, Field};

/// How the numbers of a segment's rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    /// Of terms.
    pub(super) term_order: u8,
    /// The newest message of the segment.
    pub(super) last: Seq,
    /// Messages of the segment.
    pub(super) messages: u32,
}

impl Code {
    /// How the distances of so many messages are written.
    fn seq_order(&self, count: u64) -> u32 {
        order_of(u64::from(self.messages) / count)
    }
}

/// A row in the making.
#[derive(Debug, Default)]
pub(super) struct RowWriter {
    terms: BitWriter,
    counts: BitWriter,
    seqs: BitWriter,
    last: Option<Term>,
}

impl RowWriter {
    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Adds a term, greater than all before, with its messages, the newest first. The first term of a row is not in it.
    pub(super) fn add(&mut self, code: Code, list: &[Posting]) {
        let term = list[0].0;
        if let Some(Term(last)) = self.last.replace(term) {
            self.terms.golomb(u64::from(term.0 - last - 1), code.term_order.into());
        }
        let count = list.len() as u64;
        self.counts.golomb(count - 1, 0);
        let order = code.seq_order(count);
        let mut newer = code.last.0 + 1;
        for &(_, Reverse(seq)) in list {
            self.seqs.golomb(newer - 1 - seq.0, order);
            newer = seq.0;
        }
    }

    pub(super) fn len_bytes(&self) -> usize {
        self.terms.len_bytes() + self.counts.len_bytes() + self.seqs.len_bytes()
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let (terms, counts, seqs) = (self.terms.finish(), self.counts.finish(), self.seqs.finish());
        let mut row = Vec::with_capacity(4 + terms.len() + counts.len() + seqs.len());
        Compact(terms.len() as u64).put(&mut row);
        Compact(counts.len() as u64).put(&mut row);
        [terms, counts, seqs].iter().for_each(|part| row.extend_from_slice(part));
        row
    }
}

/// Tells each of the wanted terms in a row with each message that has it, the newest first within a term. `None` if the
/// row is not of this segment, as far as that shows.
pub(super) fn read(
    code: Code,
    first: Term,
    row: &[u8],
    wanted: TermRange,
    mut each: impl FnMut(Term, Seq),
) -> Option<()> {
    let [mut terms, mut counts, mut seqs] = parts(row)?;
    let mut next = Some(first);
    // Terms before the wanted ones, whose messages are passed over.
    let mut before = 0;
    while let Some(at) = next.filter(|at| *at < wanted.first) {
        before += 1;
        next = term_after(&mut terms, code, at)?;
    }
    let Some(mut term) = next.filter(|at| *at <= wanted.last) else { return Some(()) };
    for _term in 0..before {
        let count = counts.golomb(0)?.checked_add(1)?;
        let order = code.seq_order(count);
        for _message in 0..count {
            seqs.golomb(order)?;
        }
    }
    loop {
        let count = counts.golomb(0)?.checked_add(1)?;
        let order = code.seq_order(count);
        let mut newer = code.last.0 + 1;
        for _message in 0..count {
            newer = newer.checked_sub(seqs.golomb(order)?.checked_add(1)?)?;
            each(term, Seq(newer));
        }
        match term_after(&mut terms, code, term)? {
            Some(next) if next <= wanted.last => term = next,
            Some(_) | None => return Some(()),
        }
    }
}

/// The next term of a row, if there is one; `None` if it is none.
#[expect(clippy::option_option, reason = "a row that ends is no damage")]
fn term_after(terms: &mut BitReader<'_>, code: Code, Term(term): Term) -> Option<Option<Term>> {
    let Some(distance) = terms.golomb(code.term_order.into()) else { return Some(None) };
    let next = (u64::from(term) + 1).checked_add(distance)?;
    u32::try_from(next).ok().filter(|next| next >> TERM_BITS == 0).map(|next| Some(Term(next)))
}

fn parts(mut row: &[u8]) -> Option<[BitReader<'_>; 3]> {
    let mut length = || Compact::take(&mut row).and_then(|Compact(length)| usize::try_from(length).ok());
    let (terms, counts) = (length()?, length()?);
    let (terms, rest) = row.split_at_checked(terms)?;
    let (counts, seqs) = rest.split_at_checked(counts)?;
    Some([terms, counts, seqs].map(BitReader::new))
}
