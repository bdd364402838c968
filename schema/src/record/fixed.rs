//! Records of fixed size: heads, first replies, fences, read marks. Packed.

use super::fields::{decode_packed, encode_packed};
use super::{RecordError, packed_records};
use crate::id::{ChannelId, Seq};
use crate::packed::{packed_enums, packed_fields};
use crate::time::UnixMs;
use crate::view::{Epoch, Incarnation};

/// `head`: a channel's newest seq and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeadRecord {
    /// The newest seq.
    pub seq: Seq,
    /// Its `sent_ms`, which never decreases.
    pub sent_ms: UnixMs,
}

/// The kind of operation that a first reply is of. Its numbers are part of the stored format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnsweredOp {
    /// A message that was sent, under its `client_msg_id`; the others are under their `op_id`.
    Send,
    /// An edit.
    Edit,
    /// A deletion.
    Delete,
    /// A reaction.
    React,
}

/// `dedup`: the first reply to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupRecord {
    /// The operation that the reply answers.
    pub op: AnsweredOp,
    /// The message's seq.
    pub seq: Seq,
    /// When the operation's home accepted it: a message's own time, if it was sent.
    pub sent_ms: UnixMs,
    /// The revision after an edit or a deletion; else 0.
    pub revision: u32,
    /// The count after a reaction; else 0.
    pub count: u32,
    /// Of the decoded content, so that the encoding does not matter.
    pub content_hash: u64,
}

/// `read`: up to where a user has read a channel. Also an operand of the store's atomic maximum.
///
/// The maximum compares little-endian numbers, so the format, which is the first byte, counts least and the seq
/// decides. A later format of the same width therefore never loses a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadMarkRecord {
    /// The newest message that the user has read.
    pub seq: Seq,
}

/// `idempotency`: the channel that a creation's key made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// The channel that the key's first request made.
    pub channel: ChannelId,
    /// When it was made: a key counts for 24 h.
    pub made_ms: UnixMs,
    /// Of the request, so that a key reused for another is refused.
    pub content_hash: u64,
}

/// `fence`: who may append for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FenceRecord {
    /// The life of the node that may append.
    pub incarnation: Incarnation,
    /// The view under which it accepts.
    pub epoch: Epoch,
}

packed_enums! { AnsweredOp { Send = 0, Edit = 1, Delete = 2, React = 3 } }

packed_records! {
    HeadRecord "head" format 1 { seq, sent_ms }
    ReadMarkRecord "read mark" format 1 { seq }
    IdempotencyRecord "idempotency" format 1 { channel, made_ms, content_hash }
    FenceRecord "fence" format 1 { incarnation, epoch }
}

packed_fields! { DedupRecord { op, seq, sent_ms, revision, count, content_hash } }

impl DedupRecord {
    const FORMAT: u8 = 2;

    /// Gives this record's row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode_packed(Self::FORMAT, self)
    }

    /// Reads a row of either format. The first had sends alone, and did not say so.
    ///
    /// # Errors
    /// If the row is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        match bytes {
            [1, rest @ ..] => decode_packed("dedup", Self::FORMAT, &[&[Self::FORMAT, 0], rest].concat()),
            _ => decode_packed("dedup", Self::FORMAT, bytes),
        }
    }
}
