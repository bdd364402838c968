//! Keys in the making, and keys being read.

use schema::record::RecordError;

use super::Table;
use crate::fields::KeyField;
use kv::transaction::{RangeRequest, key_after, prefix_end};

/// A key in the making.
pub(super) struct Key(pub(super) Vec<u8>);

impl Key {
    /// Bytes that hold most keys without growing: the longest of fixed width has 42, a reaction's some 10 less or up to 90.
    const CAPACITY: usize = 48;

    pub(super) fn of(table: Table) -> Self {
        let mut bytes = Vec::with_capacity(Self::CAPACITY);
        bytes.push(table as u8);
        Self(bytes)
    }

    pub(super) fn and(mut self, field: impl KeyField) -> Self {
        field.put(&mut self.0);
        self
    }

    /// Every row whose key begins so.
    pub(super) fn all(&self) -> RangeRequest {
        RangeRequest::prefix(&self.0)
    }

    /// Those after a row; all of them without one.
    pub(super) fn all_after(&self, last: Option<Vec<u8>>) -> RangeRequest {
        match last {
            Some(last) => RangeRequest::new(key_after(&last), prefix_end(&self.0)),
            None => self.all(),
        }
    }

    /// Those before what begins with `field` next.
    pub(super) fn all_before(self, field: impl KeyField) -> RangeRequest {
        let begin = self.0.clone();
        RangeRequest::new(begin, self.and(field).0)
    }
}

/// The fields behind a table's number.
pub(super) fn read<T>(
    table: Table,
    key: &[u8],
    fields: impl FnOnce(&mut &[u8]) -> Option<T>,
) -> Result<T, RecordError> {
    let read = || {
        let (&first, mut rest) = key.split_first()?;
        let fields = fields(&mut rest).filter(|_| rest.is_empty());
        fields.filter(|_| first == table as u8)
    };
    read().ok_or_else(|| RecordError::Damaged {
        what: table.name(),
        bytes: key.len(),
        why: format!("the key is {key:02x?}"),
    })
}
