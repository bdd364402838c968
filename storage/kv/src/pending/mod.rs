//! State of one transaction before it commits: its writes, what it read, and how its reads see its own writes.
//!
//! Owns the ordered mutations, read-your-writes, the size of a transaction and the refusals that its commit reports,
//! the same for every engine. Knows nothing of versions of the store: the rows below are given to it.

mod overlay;
mod page;

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::limits;
use crate::resolver::Span;
use crate::transaction::{Page, RangeRequest, key_after};
pub(crate) use overlay::{Entry, Overlay, check_transaction};
pub(crate) use page::Merge;

/// What a transaction read, snapshot reads aside. Behind a lock because reads share the transaction.
#[derive(Debug, Default)]
pub(crate) struct Reads(Mutex<Spans>);

/// Spans read, and what they count towards the transaction's size.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    pub(crate) spans: Vec<Span>,
    pub(crate) size_bytes: usize,
}

impl Reads {
    pub(crate) fn key(&self, key: &[u8]) {
        self.push(Span::Key(Bytes::copy_from_slice(key)));
    }

    /// Of a page cut by a limit only the part that was read.
    pub(crate) fn page(&self, range: &RangeRequest, page: &Page) {
        match (page.rows.last().filter(|_| page.more), range.reverse) {
            (Some(last), false) => self.range(&range.begin, &key_after(&last.key)),
            (Some(last), true) => self.range(&last.key, &range.end),
            (None, _) => self.range(&range.begin, &range.end),
        }
    }

    pub(crate) fn range(&self, begin: &[u8], end: &[u8]) {
        Span::range(begin, end).into_iter().for_each(|span| self.push(span));
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_bytes
    }

    pub(crate) fn into_spans(self) -> Spans {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, span: Span) {
        let mut reads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reads.size_bytes += span.len_bytes() + limits::CONFLICT_OVERHEAD_BYTES;
        reads.spans.push(span);
    }
}

/// What a transaction does that keeps its writes in `own`, an [`Overlay`], until it commits, and its reads in `reads`,
/// and that reads by `read` and `read_range`.
macro_rules! over_overlay {
    () => {
        fn get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Bytes>, Error>> + Send {
            self.read(key, true)
        }

        fn snapshot_get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Bytes>, Error>> + Send {
            self.read(key, false)
        }

        fn get_range(&self, range: &RangeRequest) -> impl Future<Output = Result<Page, Error>> + Send {
            self.read_range(range, true)
        }

        fn snapshot_get_range(&self, range: &RangeRequest) -> impl Future<Output = Result<Page, Error>> + Send {
            self.read_range(range, false)
        }

        fn set(&mut self, key: &[u8], value: &[u8]) {
            self.own.set(key, value);
        }

        fn clear(&mut self, key: &[u8]) {
            self.own.clear(key);
        }

        fn clear_range(&mut self, begin: &[u8], end: &[u8]) {
            self.own.clear_range(begin, end);
        }

        fn atomic(&mut self, op: crate::transaction::Atomic, key: &[u8], operand: &[u8]) {
            self.own.atomic(op, key, operand);
        }

        fn set_versionstamped_key(&mut self, prefix: &[u8], suffix: &[u8], value: &[u8]) {
            let read_version = self.known_version();
            self.own.set_versionstamped_key(prefix, suffix, value, read_version);
        }

        fn set_versionstamped_value(&mut self, key: &[u8], prefix: &[u8], suffix: &[u8]) {
            self.own.set_versionstamped_value(key, prefix, suffix);
        }

        fn add_read_conflict(&mut self, begin: &[u8], end: &[u8]) {
            if !self.own.refuses(self.own.check_range(begin, end)) {
                self.reads.range(begin, end);
            }
        }

        fn size_bytes(&self) -> usize {
            self.reads.size_bytes() + self.own.size_bytes()
        }
    };
}
pub(crate) use over_overlay;
