//! A range read: the rows of a snapshot with the transaction's own writes merged in.

use std::iter::Peekable;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::Snapshot;
use super::overlay::{Entry, Overlay};
use crate::error::Error;
use crate::transaction::{Page, RangeRequest, Row};

/// Reads one page.
pub(super) fn read(range: &RangeRequest, own: &Overlay, snapshot: &impl Snapshot) -> Result<Page, Error> {
    let mut page = Filling { page: Page::default(), range, len_bytes: 0 };
    if range.begin >= range.end {
        return Ok(page.page);
    }
    let entries = own.entries(&range.begin, &range.end)?;
    if range.reverse {
        merge(&mut page, own, entries.rev().peekable(), snapshot)?;
    } else {
        merge(&mut page, own, entries.peekable(), snapshot)?;
    }
    Ok(page.page)
}

fn merge<'a>(
    page: &mut Filling<'_>,
    own: &Overlay,
    mut entries: Peekable<impl Iterator<Item = (&'a Bytes, &'a Entry)>>,
    snapshot: &impl Snapshot,
) -> Result<(), Error> {
    let range = page.range;
    let comes_first = |own: &Bytes, other: &Bytes| match range.reverse {
        false => own < other,
        true => own > other,
    };
    snapshot.scan(&range.begin, &range.end, range.reverse, &mut |key, below| {
        while let Some((own_key, entry)) = entries.next_if(|(own, _)| comes_first(own, &key)) {
            page.push(own_key.clone(), entry.value(None))?;
        }
        let value = match entries.next_if(|(own_key, _)| **own_key == key) {
            Some((_, entry)) => entry.value(Some(below)),
            None if own.is_cleared(&key) => None,
            None => Some(below),
        };
        page.push(key, value)
    })?;
    for (key, entry) in entries {
        if page.page.more || page.push(key.clone(), entry.value(None)).is_break() {
            break;
        }
    }
    Ok(())
}

struct Filling<'a> {
    page: Page,
    range: &'a RangeRequest,
    len_bytes: usize,
}

impl Filling<'_> {
    /// Breaks when a limit is reached.
    fn push(&mut self, key: Bytes, value: Option<Bytes>) -> ControlFlow<()> {
        let Some(value) = value else {
            return ControlFlow::Continue(());
        };
        self.len_bytes += key.len() + value.len();
        self.page.rows.push(Row { key, value });
        let full = self.page.rows.len() >= self.range.limit_rows.max(1) as usize
            || self.len_bytes >= self.range.limit_bytes as usize;
        if full {
            self.page.more = true;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
