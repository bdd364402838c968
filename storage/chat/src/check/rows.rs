//! Whether every row of every table can be read.
//!
//! Owns the walk over all of them. Values that nobody reads, of rows whose keys say it all, are not looked at, nor are the
//! index's, which `search::verify` compares with the messages.

use schema::record::RecordError;

use super::{CheckError, Checked, PAGE_ROWS};
use crate::keys::{self, Table};
use crate::{again, unreadable};
use kv::transaction::{Begin, Engine, RESERVED, RangeRequest, Row, Transaction};

/// Rows that a report names; the others are counted.
const NAMED_MAX: usize = 20;

/// Reads every row, and counts those that were set aside.
pub(super) async fn rows<E: Engine>(
    engine: &E,
    checked: &mut Checked,
    progress: &mut impl FnMut(&Checked),
) -> Result<(), CheckError> {
    let (mut unread, mut named) = (0, Vec::new());
    let mut next = Some(RangeRequest::new(Vec::new(), RESERVED.to_vec()).rows(PAGE_ROWS));
    while let Some(range) = next {
        let page = again!(async { engine.begin(Begin::Fresh).snapshot_get_range(&range).await })?;
        for row in &page.rows {
            checked.set_aside += u64::from(Table::of_key(&row.key) == Some(Table::SetAside));
            if let Err(error) = read(row) {
                unread += 1;
                let table = keys::table_name(&row.key).unwrap_or("no table");
                named.push(format!("{table} {}: {error}", unreadable::hex(&row.key)));
                named.truncate(NAMED_MAX);
            }
        }
        progress(checked);
        next = RangeRequest::after(range, &page);
    }
    if unread == 0 { Ok(()) } else { Err(CheckError::Unreadable { rows: unread, named }) }
}

/// Whether a row is one of its table.
fn read(Row { key, value }: &Row) -> Result<(), RecordError> {
    let why = "its first byte names no table of this version";
    let table = Table::of_key(key);
    table.ok_or_else(|| RecordError::Damaged { what: "key", bytes: key.len(), why: why.into() })?.check(key, value)
}
