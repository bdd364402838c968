//! Messages that an absent user's phone is to be told of. Packed.
//!
//! When an item is due, whose it is and which message it is about stand in the
//! row's key, so that a worker reads what is due in order.

use super::packed_records;
use crate::id::{ChannelId, Seq, UserId};
use crate::limits::PUSH_GRACE_MS;
use crate::time::UnixMs;

/// A message that a user was not there for.
///
/// Everything follows from the message and the user, so writing an item again writes the same row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PushItem {
    /// When a worker looks at it: the grace after the message.
    pub due_ms: UnixMs,
    /// The user whose phone is told.
    pub user: UserId,
    /// The channel of the message.
    pub channel: ChannelId,
    /// The message's place in it.
    pub seq: Seq,
    /// The user who sent it.
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

    /// The same at a later time.
    #[must_use]
    pub fn put_off(self, due_ms: UnixMs) -> Self {
        Self { due_ms, ..self }
    }

    /// Whether it is looked at for the first time.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.due_ms == self.sent_ms.plus_ms(PUSH_GRACE_MS)
    }

    /// The fields that its key does not have.
    #[must_use]
    pub fn record(&self) -> PushRecord {
        PushRecord { from: self.from, sent_ms: self.sent_ms }
    }
}

/// `push`: what a push item's key does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushRecord {
    /// The user who sent the message.
    pub from: UserId,
    /// When it was sent.
    pub sent_ms: UnixMs,
}

packed_records! { PushRecord "push" format 1 { from, sent_ms } }
