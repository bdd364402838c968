//! The capacity of a batch: the rows and bytes that one transaction should have.
//!
//! Owns the arithmetic. What has been decided is counted as it is; what an operation may add is told by it beforehand
//! ([`super::operation::Operation::cost`]), and never less than it will be.

use schema::emoji::EMOJI_BYTES_MAX;
use schema::limits::{BATCH_MESSAGES_MAX, BATCH_ROWS_MAX, BODY_BYTES_MAX, GROUP_MEMBERS_MAX, MENTIONS_MAX};

use kv::limits::{CONFLICT_OVERHEAD_BYTES, MUTATION_OVERHEAD_BYTES, TRANSACTION_BYTES_TARGET, VALUE_BYTES_MAX};

/// What a row of a batch takes in its transaction, about: an inbox row, of which there are most, has a key of 21 bytes,
/// a value of up to [`EVENT_BYTES`] and 40 for the mutation, a conflict range of 42 and 32, and its user's 8 in the
/// arrival. What takes more is counted beside it.
pub(super) const ROW_BYTES: usize = 170;
/// Bytes of an event as inboxes and arrivals hold it, but a reaction's.
pub(super) const EVENT_BYTES: usize = 26;
/// Bytes of the longest event, a reaction's: its count, user and switch beside a message's place, and its emoji.
pub(super) const EVENT_BYTES_MAX: usize = 32 + EMOJI_BYTES_MAX;
/// Rows that every batch has beside those of its operations: its own, and one arrival for each home shard, of which
/// there are no more than this on a machine.
const BATCH_OWN_ROWS: usize = 129;
/// What an operation reads, as conflict ranges, and what its own rows take beyond [`ROW_BYTES`], but texts: a first
/// reply's key of 38 bytes, which is read and written, is the longest but a reaction's.
const OWN_BYTES: usize = 512;

const _: () = assert!(
    (4 + MENTIONS_MAX as usize + GROUP_MEMBERS_MAX as usize + BATCH_OWN_ROWS) * ROW_BYTES
        + 2 * (BODY_BYTES_MAX as usize)
        + OWN_BYTES
        < TRANSACTION_BYTES_TARGET,
    "one message always fits"
);
const _: () = assert!(
    TRANSACTION_BYTES_TARGET / ROW_BYTES * 8 + BATCH_MESSAGES_MAX as usize * (2 + 4 + EVENT_BYTES_MAX)
        < VALUE_BYTES_MAX,
    "an arrival names each user and each event of a batch once, and is one row"
);

/// What an operation may add to a transaction.
pub(super) struct Cost {
    rows: usize,
    /// Beside [`ROW_BYTES`] for each row.
    bytes: usize,
}

impl Cost {
    /// So many rows.
    pub(super) fn rows(rows: usize) -> Self {
        Self { rows, bytes: OWN_BYTES }
    }

    /// And bytes beyond what rows and keys take anyway: texts, above all.
    pub(super) fn and_bytes(self, bytes: usize) -> Self {
        Self { bytes: self.bytes + bytes, ..self }
    }

    /// Whether it fits beside `rows` that are decided, and what they take beyond [`ROW_BYTES`].
    pub(super) fn fits(&self, rows: usize, other_bytes: usize) -> bool {
        let rows = BATCH_OWN_ROWS + rows + self.rows;
        rows <= BATCH_ROWS_MAX as usize && rows * ROW_BYTES + other_bytes + self.bytes <= TRANSACTION_BYTES_TARGET
    }
}

/// Bytes of a written row beyond [`ROW_BYTES`].
pub(super) fn written_beyond(key: &[u8], value: &[u8]) -> usize {
    (MUTATION_OVERHEAD_BYTES + key.len() + value.len() + conflict_bytes(key)).saturating_sub(ROW_BYTES)
}

/// Bytes that a key which was read or written takes as a conflict range: the key, and the one after it.
pub(super) fn conflict_bytes(key: &[u8]) -> usize {
    2 * key.len() + 1 + CONFLICT_OVERHEAD_BYTES
}
