//! Check that every row of every table can be read.
//!
//! Owns what is said of those that cannot. Values that nobody reads, of rows whose keys say it all, are not looked at,
//! nor are the index's, which `search::verify` compares with the messages.

use schema::record::RecordError;

use super::{Check, CheckError, Checked};
use crate::keys::{self, Table};
use crate::unreadable;
use kv::transaction::{Row, Transaction};

/// Rows that a report names; the others are counted.
const NAMED_MAX: usize = 20;

/// Every row is one of its table.
#[derive(Clone, Default)]
pub(super) struct Rows {
    unread: u64,
    named: Vec<String>,
}

impl Check for Rows {
    async fn page<T: Transaction>(&mut self, _: &T, rows: &[Row], checked: &mut Checked) -> Result<(), CheckError> {
        for row in rows {
            checked.set_aside += u64::from(Table::of_key(&row.key) == Some(Table::SetAside));
            if let Err(error) = read(row) {
                self.unread += 1;
                let table = keys::table_name(&row.key).unwrap_or("no table");
                self.named.push(format!("{table} {}: {error}", unreadable::hex(&row.key)));
                self.named.truncate(NAMED_MAX);
            }
        }
        Ok(())
    }
}

impl Rows {
    /// The rows that cannot be read, if there are any.
    pub(super) fn end(self) -> Result<(), CheckError> {
        let Self { unread: rows, named } = self;
        if rows == 0 { Ok(()) } else { Err(CheckError::Unreadable { rows, named }) }
    }
}

fn read(Row { key, value }: &Row) -> Result<(), RecordError> {
    let why = "its first byte names no table of this version";
    let table = Table::of_key(key);
    table.ok_or_else(|| RecordError::Damaged { what: "key", bytes: key.len(), why: why.into() })?.check(key, value)
}
