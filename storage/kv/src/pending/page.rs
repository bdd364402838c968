//! One page of a range read: the rows below with the transaction's own writes merged in.

use std::iter::Peekable;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::overlay::{Entry, Overlay};
use crate::error::Error;
use crate::transaction::{Page, RangeRequest, Row};

/// A page that is being filled. The rows below come in the order that the request asks for, at once or in parts; what
/// the transaction wrote in between is put there.
pub(crate) struct Merge<'a> {
    page: Page,
    range: &'a RangeRequest,
    own: &'a Overlay,
    entries: Peekable<Box<Entries<'a>>>,
    len_bytes: usize,
}

/// The transaction's writes in a range, in the order of its reading.
type Entries<'a> = dyn Iterator<Item = (&'a Bytes, &'a Entry)> + Send + 'a;

impl<'a> Merge<'a> {
    /// An empty page.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if the transaction wrote a versionstamp into the range.
    pub(crate) fn new(range: &'a RangeRequest, own: &'a Overlay) -> Result<Self, Error> {
        let entries: Box<Entries<'a>> = match range.begin < range.end {
            false => Box::new(std::iter::empty()),
            true => {
                let entries = own.entries(&range.begin, &range.end)?;
                if range.reverse { Box::new(entries.rev()) } else { Box::new(entries) }
            }
        };
        Ok(Self { page: Page::default(), range, own, entries: entries.peekable(), len_bytes: 0 })
    }

    /// Takes the next row from below. Breaks when a limit is reached: the page is full.
    pub(crate) fn below(&mut self, key: Bytes, below: Bytes) -> ControlFlow<()> {
        let reverse = self.range.reverse;
        let comes_first = |own: &Bytes| if reverse { *own > key } else { *own < key };
        while let Some((own_key, entry)) = self.entries.next_if(|(own_key, _)| comes_first(own_key)) {
            self.push(own_key.clone(), entry.value(None))?;
        }
        let value = match self.entries.next_if(|(own_key, _)| **own_key == key) {
            Some((_, entry)) => entry.value(Some(below)),
            None if self.own.is_cleared(&key) => None,
            None => Some(below),
        };
        self.push(key, value)
    }

    /// The page, when there are no more rows below or it is full.
    pub(crate) fn finish(mut self) -> Page {
        while !self.page.more
            && let Some((key, entry)) = self.entries.next()
        {
            if self.push(key.clone(), entry.value(None)).is_break() {
                break;
            }
        }
        self.page
    }

    /// Rows that still fit. At least 1 until the page is full.
    pub(crate) fn room_rows(&self) -> usize {
        (self.range.limit_rows.max(1) as usize).saturating_sub(self.page.rows.len())
    }

    /// Bytes after which the page will be full.
    pub(crate) fn room_bytes(&self) -> usize {
        (self.range.limit_bytes as usize).saturating_sub(self.len_bytes)
    }

    fn push(&mut self, key: Bytes, value: Option<Bytes>) -> ControlFlow<()> {
        let Some(value) = value else {
            return ControlFlow::Continue(());
        };
        self.len_bytes += key.len() + value.len();
        self.page.rows.push(Row { key, value });
        if self.room_rows() == 0 || self.room_bytes() == 0 {
            self.page.more = true;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
