//! What an absent user's phone is to be told of. Packed.
//!
//! Owns the item and the bytes of its row's value. When it is due, whose it is and which message it is about stand in the
//! row's key, so that a worker reads what is due in order.

use super::RecordError;
use super::packed::{Reader, Writer};
use crate::id::{ChannelId, Seq, UserId};
use crate::limits::PUSH_GRACE_MS;
use crate::time::UnixMs;

const FORMAT: u8 = 1;

/// A message that a user was not there for.
///
/// Everything follows from the message and the user, so writing an item again writes the same row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PushItem {
    /// When a worker looks at it: the grace after the message.
    pub due_ms: UnixMs,
    /// Whose phone.
    pub user: UserId,
    /// In which channel.
    pub channel: ChannelId,
    /// Which message.
    pub seq: Seq,
    /// Who sent it.
    pub from: UserId,
    /// When it was sent.
    pub sent_ms: UnixMs,
}

impl PushItem {
    /// The item of a message for one of those who were not there.
    #[must_use]
    pub fn new(user: UserId, (channel, seq): (ChannelId, Seq), from: UserId, sent_ms: UnixMs) -> Self {
        Self { due_ms: sent_ms.plus_ms(PUSH_GRACE_MS), user, channel, seq, from, sent_ms }
    }

    /// What its key does not say.
    #[must_use]
    pub fn record(&self) -> PushRecord {
        PushRecord { from: self.from, sent_ms: self.sent_ms }
    }
}

/// `push`: what a push item's key does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushRecord {
    /// Who sent the message.
    pub from: UserId,
    /// When it was sent.
    pub sent_ms: UnixMs,
}

impl PushRecord {
    /// Bytes of one.
    pub const BYTES: usize = 1 + 8 + 8;

    /// As it lies in the store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Writer::new(FORMAT, Self::BYTES).u64(self.from.0).u64(self.sent_ms.0).finish()
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("push", FORMAT, bytes)?;
        let record = Self { from: UserId(reader.u64()?), sent_ms: UnixMs(reader.u64()?) };
        reader.finish().map(|()| record)
    }
}
