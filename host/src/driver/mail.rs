//! Mail and orders of a shard from other threads of its node: mail is queued, and of orders only the last counts.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use schema::mesh::{Kicked, MeshFrame};
use schema::{ChannelId, ChannelOp, OpReply, Refusal, UnixMs, UserId};

/// Takes the answer to a command of the HTTP API. Dropped without one, the node stops.
pub type Answer = Box<dyn FnOnce(Result<OpReply, Refusal>) + Send>;

/// One item of a shard's mailbox.
pub enum Mail {
    /// Another shard's frame.
    Mesh(MeshFrame),
    /// The HTTP API wants something done to a channel of this shard.
    Command {
        /// Which channel.
        channel: ChannelId,
        /// The operation.
        op: Box<ChannelOp>,
        /// Where the answer goes.
        answer: Answer,
    },
    /// The HTTP API has revoked a device or a login of a user of this shard.
    Kick {
        /// The user.
        user: UserId,
        /// Which of the user's sessions end.
        whose: Kicked,
    },
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mesh(_) => "Mail(frame)",
            Self::Command { .. } => "Mail(command)",
            Self::Kick { .. } => "Mail(kick)",
        })
    }
}

/// The deadline of a drain that nobody has ordered.
const NO_DRAIN: u64 = u64::MAX;

/// What a node wants of all its shards. Not queued, so that giving an order never waits for room and no full mailbox
/// delays it: a shard that is called looks at what holds now.
#[derive(Debug)]
pub struct Orders {
    writes: AtomicBool,
    drain_ms: AtomicU64,
}

impl Default for Orders {
    fn default() -> Self {
        Self { writes: AtomicBool::new(true), drain_ms: AtomicU64::new(NO_DRAIN) }
    }
}

impl Orders {
    /// Says whether the store takes writes. The caller calls the shards afterwards.
    pub fn set_writes(&self, on: bool) {
        self.writes.store(on, Ordering::Release);
    }

    /// Has the shards close every session, at the latest at `deadline_ms`, and stop. A shard obeys the first deadline
    /// that it sees. The caller calls the shards afterwards.
    pub fn drain(&self, deadline_ms: UnixMs) {
        self.drain_ms.fetch_min(deadline_ms.0.min(NO_DRAIN - 1), Ordering::Release);
    }

    pub(super) fn takes_writes(&self) -> bool {
        self.writes.load(Ordering::Acquire)
    }

    pub(super) fn drain_by(&self) -> Option<UnixMs> {
        let drain_ms = self.drain_ms.load(Ordering::Acquire);
        (drain_ms != NO_DRAIN).then_some(UnixMs(drain_ms))
    }
}
