//! From one store to another, whatever their engines: `store export` and `store import`.
//!
//! Owns what a dump holds and how it is written down. Which tables go along is `keys::transfer`. What is said of
//! positions is not carried over: the other store is a new generation, whose inboxes begin where the import wrote them,
//! so cursors of the old one are refused (112) and clients are given a snapshot.
//!
//! ```text
//! store at rest ─► settle ─► read ─► part ─► dump::Writer ─► file ─► dump::Reader ─► begin ─► write ─► finish ─► store check
//! ```
//!
//! A part is some 500 KB of rows in the order of keys, and one transaction of the import. Both ways go on where they
//! stopped: an export behind the last whole part of its file, an import behind the last part that its store has taken.

pub mod dump;
mod export;
mod import;

pub use export::{epoch, read, settle};
pub use import::{ImportError, begin, finish, unfinished, write};

use kv::transaction::Row;

/// Rows of a part: with 40 bytes counted for each, far below the size of a transaction.
const PART_ROWS: u32 = 5_000;
/// Bytes of keys and values after which a part ends. With the row that brings it there, and what a transaction counts
/// beside, it stays below [`kv::limits::TRANSACTION_BYTES_TARGET`].
const PART_BYTES: u32 = 500_000;

/// Bytes of keys and values.
fn bytes_of(rows: &[Row]) -> u64 {
    rows.iter().map(|row| (row.key.len() + row.value.len()) as u64).sum()
}
