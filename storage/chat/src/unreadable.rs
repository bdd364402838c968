//! Rows that cannot be read: damaged, or written by a newer version of this software.
//!
//! Owns what becomes of one. It is counted by its table and named in the log by its key, never by its content, and it
//! stays. Whoever reads many rows goes on without it ([`skip`]); whoever decides by it refuses what was asked, and that
//! alone ([`refuse`]). Where a range is cleared behind its reader, the row is set aside first, under the table `set
//! aside` ([`keep`]). Counts are of the process, as the log is.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use schema::record::RecordError;

use super::{LayerError, commit, read};
use crate::keys;
use kv::transaction::{Begin, Engine, Row, Transaction};

/// Keys that are remembered as named in the log: some 100 KB of them. With more the log names some again.
const NAMED_MAX: usize = 1_000;

/// How often a row of each table could not be read, by the table's number.
static COUNTS: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];
/// What the log has named.
static NAMED: Mutex<BTreeSet<Vec<u8>>> = Mutex::new(BTreeSet::new());

/// How often this process met a row of each table that it could not read, by the table's name.
pub fn counts() -> impl Iterator<Item = (&'static str, u64)> {
    keys::layouts().map(|layout| (layout.name, COUNTS[usize::from(layout.number)].load(Ordering::Relaxed)))
}

/// A row among others: without it the rest goes on.
pub(crate) fn skip<T>(key: &[u8], read: Result<T, RecordError>) -> Option<T> {
    read.inspect_err(|error| note(key, error)).ok()
}

/// Those of many rows that can be read.
pub(crate) fn readable<T>(rows: &[Row], decode: impl Fn(&Row) -> Result<T, RecordError>) -> Vec<T> {
    rows.iter().filter_map(|row| skip(&row.key, decode(row))).collect()
}

/// A row that decides: without it nothing may be done.
pub(crate) fn refuse<T>(key: &[u8], read: Result<T, RecordError>) -> Result<T, RecordError> {
    read.inspect_err(|error| note(key, error))
}

/// The same of a row that need not be there.
pub(crate) fn refuse_some<T>(
    key: &[u8],
    row: Option<&Bytes>,
    decode: impl FnOnce(&[u8]) -> Result<T, RecordError>,
) -> Result<Option<T>, RecordError> {
    row.map(|row| refuse(key, decode(row))).transpose()
}

/// A row among others, or what stands in its place where there is none, or none that can be read.
pub(crate) fn skip_or_default<T: Default>(
    key: &[u8],
    row: Option<&Bytes>,
    decode: impl FnOnce(&[u8]) -> Result<T, RecordError>,
) -> T {
    row.and_then(|row| skip(key, decode(row))).unwrap_or_default()
}

/// The row under `key`, which something refers to, is not there.
pub(crate) fn missing(key: &[u8], what: &'static str) -> RecordError {
    let error = RecordError::Damaged { what, bytes: 0, why: "it is missing, and another row names it".into() };
    note(key, &error);
    error
}

/// Counts a row that cannot be read, and names it in the log, once.
pub(crate) fn note(key: &[u8], error: &RecordError) {
    COUNTS[usize::from(key.first().copied().unwrap_or_default())].fetch_add(1, Ordering::Relaxed);
    let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    if named.len() >= NAMED_MAX {
        named.clear();
    }
    if named.insert(key.to_vec()) {
        let table = keys::table_name(key).unwrap_or("no table of this version");
        tracing::error!(table, key = hex(key), %error, "a row cannot be read: it is left as it is, see `rookery store check`");
    }
}

/// Keeps a row under the table `set aside` that is about to be cleared or overwritten.
pub(crate) fn keep<T: Transaction>(tx: &mut T, key: &[u8], value: &[u8]) {
    tx.set(&keys::set_aside(key), value);
}

/// Moves rows to the table `set aside`, those that are still as they were read.
pub(crate) async fn set_aside<E: Engine>(engine: &E, rows: &[Row]) -> Result<(), LayerError> {
    for row in rows {
        commit!(engine, Begin::Fresh, |tx, _| {
            if tx.get(&row.key).await?.as_ref() == Some(&row.value) {
                keep(&mut tx, &row.key, &row.value);
                tx.clear(&row.key);
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The keys that rows had before they were set aside, ascending, at most `limit`.
///
/// # Errors
/// The store's.
pub async fn kept<E: Engine>(engine: &E, limit: u32) -> Result<Vec<Bytes>, LayerError> {
    let range = keys::sets_aside().rows(limit);
    let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
    Ok(page.rows.into_iter().map(|row| row.key.slice(1..)).collect())
}

/// A key as the log and `store check` write it.
#[must_use]
pub fn hex(key: &[u8]) -> String {
    key.iter().fold(String::with_capacity(2 * key.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes any text");
        text
    })
}
