//! What operations may add to a transaction, known before they are decided.
//!
//! Owns the arithmetic that keeps a batch within the rows and bytes that a transaction should have. What has been decided is
//! counted as it is; what comes next is foretold here, and never less than it will be.

use schema::ChannelOp;
use schema::emoji::EMOJI_BYTES_MAX;
use schema::limits::{
    BATCH_MESSAGES_MAX, BATCH_ROWS_MAX, BODY_BYTES_MAX, EMOJIS_OF_MESSAGE_MAX, GROUP_MEMBERS_MAX, MENTIONS_MAX,
};

use crate::body::{self, PARTS_MAX};
use kv::limits::{CONFLICT_OVERHEAD_BYTES, MUTATION_OVERHEAD_BYTES, TRANSACTION_BYTES_TARGET, VALUE_BYTES_MAX};

/// What a row of a batch takes in its transaction, about: an inbox row, of which there are most, has a key of 21 bytes, a
/// value of up to [`EVENT_BYTES`] and 40 for the mutation, a conflict range of 42 and 32, and its user's 8 in the arrival.
/// What takes more is counted beside it.
pub(super) const ROW_BYTES: usize = 170;
/// Bytes of an event as inboxes and arrivals hold it, but a reaction's.
pub(super) const EVENT_BYTES: usize = 26;
/// Bytes of the longest event, a reaction's: its count, user and switch beside a message's place, and its emoji.
const EVENT_BYTES_MAX: usize = 32 + EMOJI_BYTES_MAX;
/// Rows that every batch has beside those of its operations: its own, and one arrival for each home shard, of which
/// there are no more than this on a machine.
const BATCH_OWN_ROWS: usize = 129;
/// What an operation reads, as conflict ranges, and what its own rows take beyond [`ROW_BYTES`], but texts: a first reply's
/// key of 38 bytes, which is read and written, is the longest but a reaction's.
const OWN_BYTES: usize = 512;
/// The same of a reaction: its key of up to 90 bytes is read and written, and the tallies may count 32 emojis.
const REACTION_BYTES: usize = 1_024 + EMOJIS_OF_MESSAGE_MAX as usize * (5 + EMOJI_BYTES_MAX);

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

/// What an operation may add.
pub(super) struct Weight {
    rows: usize,
    /// Beside [`ROW_BYTES`] for each row.
    bytes: usize,
}

impl Weight {
    /// Of an operation on a channel of so many members, 0 of a large one.
    pub(super) fn of(op: &ChannelOp, members: usize) -> Self {
        let old_parts = PARTS_MAX as usize;
        let (rows, bytes) = match op {
            // Message, head, first reply, own mark; a row for each who is named.
            ChannelOp::Send(op) => {
                let named = op.mentions.len();
                (4 + named + body::parts_at_most(&op.body) + members, OWN_BYTES + op.body.len() + named * 128)
            }
            // The mark and its event.
            ChannelOp::Mark { .. } => (2, OWN_BYTES),
            // Channel, direct, idempotency; three rows, a counter and an event each; an owner's row of a large one.
            ChannelOp::Create(op) => (4 + 5 * (op.members.len() + 1), OWN_BYTES),
            // Channel, mark, six rows, a counter and an event.
            ChannelOp::AddMember { .. } => (10 + members, OWN_BYTES),
            // The same, and three rows and an event of a new owner; an event of each.
            ChannelOp::RemoveMember { .. } => (14 + 2 * members, OWN_BYTES),
            // Message, first reply, the index's; parts come and go.
            ChannelOp::Edit(op) => (3 + old_parts + body::parts_at_most(&op.body) + members, OWN_BYTES + op.body.len()),
            // Message, first reply, the index's, tallies, and the range of reactions; parts and names go.
            ChannelOp::Delete { .. } => (5 + old_parts + MENTIONS_MAX as usize + members, OWN_BYTES),
            // Reaction, tallies, first reply.
            ChannelOp::React(op) => (
                3 + members,
                REACTION_BYTES + members * (EVENT_BYTES_MAX - EVENT_BYTES).min(6 + op.emoji.as_str().len()),
            ),
            ChannelOp::Typing { .. } => (0, OWN_BYTES),
            // Channel.
            ChannelOp::SetTitle { title, .. } => (1 + members, OWN_BYTES + title.len()),
            // Both orders of a membership, and its role's.
            ChannelOp::SetMuted { .. } => (3, OWN_BYTES),
            // Channel, block, both orders of a friendship.
            ChannelOp::Block { .. } => (4, OWN_BYTES),
        };
        Self { rows, bytes }
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
