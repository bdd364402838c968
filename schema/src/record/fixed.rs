//! The fixed records: heads, first replies, fences, read marks. Packed.
//!
//! Owns their fields and their bytes.

use super::RecordError;
use super::packed::{Reader, Writer};
use crate::id::{ChannelId, Seq};
use crate::time::UnixMs;
use crate::view::{Epoch, Incarnation};

/// The format of all of them. One that changes gets a constant of its own.
const FORMAT: u8 = 1;

/// `head`: a channel's newest seq and its time. Packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeadRecord {
    /// The newest seq.
    pub seq: Seq,
    /// Its `sent_ms`, which never decreases.
    pub sent_ms: UnixMs,
}

impl HeadRecord {
    /// Bytes of one.
    pub const BYTES: usize = 1 + 8 + 8;

    /// As it lies in the store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Writer::new(FORMAT, Self::BYTES).u64(self.seq.0).u64(self.sent_ms.0).finish()
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("head", FORMAT, bytes)?;
        let record = Self { seq: Seq(reader.u64()?), sent_ms: UnixMs(reader.u64()?) };
        reader.finish().map(|()| record)
    }
}

/// Which operation a first reply is of. Its numbers are part of the stored format.
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

impl AnsweredOp {
    fn byte(self) -> u8 {
        match self {
            Self::Send => 0,
            Self::Edit => 1,
            Self::Delete => 2,
            Self::React => 3,
        }
    }

    fn of_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Send),
            1 => Some(Self::Edit),
            2 => Some(Self::Delete),
            3 => Some(Self::React),
            _ => None,
        }
    }
}

/// `dedup`: the first reply to an operation. Packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupRecord {
    /// The operation.
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

impl DedupRecord {
    /// The first format had sends alone, and did not say so.
    const FORMAT: u8 = 2;
    /// Bytes of one.
    pub const BYTES: usize = 1 + 1 + 8 + 8 + 4 + 4 + 8;

    /// As it lies in the store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(Self::FORMAT, Self::BYTES);
        writer.u8(self.op.byte());
        writer.u64(self.seq.0).u64(self.sent_ms.0).u32(self.revision).u32(self.count).u64(self.content_hash);
        writer.finish()
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("dedup", Self::FORMAT, bytes)?;
        let op = match bytes.first() {
            Some(1) => AnsweredOp::Send,
            Some(_) | None => {
                let number = reader.u8()?;
                AnsweredOp::of_byte(number).ok_or_else(|| reader.damaged(format!("no operation is {number}")))?
            }
        };
        let record = Self {
            op,
            seq: Seq(reader.u64()?),
            sent_ms: UnixMs(reader.u64()?),
            revision: reader.u32()?,
            count: reader.u32()?,
            content_hash: reader.u64()?,
        };
        reader.finish().map(|()| record)
    }
}

/// `read`: up to where a user has read a channel. Packed, and an operand of the store's atomic maximum.
///
/// The maximum compares little-endian numbers, so the format, which is the first byte, counts least and the seq
/// decides. A later format of the same width therefore never loses a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadMarkRecord {
    /// Up to which message.
    pub seq: Seq,
}

impl ReadMarkRecord {
    /// Bytes of one.
    pub const BYTES: usize = 1 + 8;

    /// As it lies in the store, and as the operand of a maximum.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Writer::new(FORMAT, Self::BYTES).u64(self.seq.0).finish()
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("read mark", FORMAT, bytes)?;
        let record = Self { seq: Seq(reader.u64()?) };
        reader.finish().map(|()| record)
    }
}

/// `idempotency`: the channel that a creation's key made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// The channel.
    pub channel: ChannelId,
    /// When.
    pub made_ms: UnixMs,
    /// Of the request, so that a key reused for another is refused.
    pub content_hash: u64,
}

impl IdempotencyRecord {
    /// Bytes of one.
    pub const BYTES: usize = 1 + 8 + 8 + 8;

    /// As it lies in the store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Writer::new(FORMAT, Self::BYTES).u64(self.channel.0).u64(self.made_ms.0).u64(self.content_hash).finish()
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("idempotency", FORMAT, bytes)?;
        let record =
            Self { channel: ChannelId(reader.u64()?), made_ms: UnixMs(reader.u64()?), content_hash: reader.u64()? };
        reader.finish().map(|()| record)
    }
}

/// `fence`: who may append for a node. Packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FenceRecord {
    /// The node's life.
    pub incarnation: Incarnation,
    /// The view under which it accepts.
    pub epoch: Epoch,
}

impl FenceRecord {
    /// Bytes of one.
    pub const BYTES: usize = 1 + 8 + 8;

    /// As it lies in the store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Writer::new(FORMAT, Self::BYTES).u64(self.incarnation.0).u64(self.epoch.0).finish()
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("fence", FORMAT, bytes)?;
        let record = Self { incarnation: Incarnation(reader.u64()?), epoch: Epoch(reader.u64()?) };
        reader.finish().map(|()| record)
    }
}
