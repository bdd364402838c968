//! Outbound queue of a session: bytes queued for its socket, and its budget.
//!
//! Owns the outbound half of I11: bytes in, bytes drained, and how much more a session may ask its home for. The driver
//! holds the frames; it only says how many bytes have left.

use schema::Instant;
use schema::limits::OUTBOUND_BYTES_TARGET;
use wire::SharedFrame;

use crate::effects::Effects;
use crate::io::ConnId;

/// Bytes that all sessions of a shard may have queued before each one's target falls: 4,000 slow readers at the full
/// target.
const SHARD_BYTES_TARGET: u64 = 256 * 1024 * 1024;
/// The target of one session while the shard is over its own: one message of usual size.
const TARGET_BYTES_CROWDED: u32 = 4 * 1024;

/// Multiple of its target up to which a queue may hold replies before the socket is not read. Events alone hardly
/// exceed the target.
const REPLIES_FACTOR: u32 = 2;

/// Bytes queued by all sessions of a shard.
#[derive(Debug, Default)]
pub(crate) struct ShardOutbound {
    bytes: u64,
    /// Live pushes left out for want of room.
    pub(crate) live_dropped: u64,
}

impl ShardOutbound {
    fn session_target_bytes(&self) -> u32 {
        if self.bytes > SHARD_BYTES_TARGET { TARGET_BYTES_CROWDED } else { OUTBOUND_BYTES_TARGET }
    }

    /// A session ended with this much queued.
    pub(crate) fn forget(&mut self, queued_bytes: u32) {
        self.bytes -= u64::from(queued_bytes);
    }

    /// Bytes queued on the shard.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Bytes queued by one session.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    queued_bytes: u32,
    /// The instant at which a byte last left, or the queue was last empty.
    progress_at: Instant,
}

impl Outbound {
    pub(super) fn send(&mut self, conn: ConnId, frame: SharedFrame, effects: &mut Effects, shard: &mut ShardOutbound) {
        if self.queued_bytes == 0 {
            self.progress_at = effects.now.mono;
        }
        let bytes = u32::try_from(frame.len()).expect("a frame is below 4 GB: messages are below 2 MB");
        self.queued_bytes += bytes;
        shard.bytes += u64::from(bytes);
        effects.send(conn, frame);
    }

    /// # Panics
    /// If the driver returns more than it was given.
    pub(super) fn drained(&mut self, bytes: u32, now: Instant, shard: &mut ShardOutbound) {
        assert!(bytes <= self.queued_bytes, "I11: {bytes} bytes left of {} queued", self.queued_bytes);
        self.queued_bytes -= bytes;
        shard.bytes -= u64::from(bytes);
        self.progress_at = now;
    }

    pub(super) fn queued_bytes(&self) -> u32 {
        self.queued_bytes
    }

    /// The instant since which no byte has left although some are queued.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        (self.queued_bytes > 0).then_some(self.progress_at)
    }

    /// Bytes of events to ask for. Some only below the target; from an empty queue one event of any size comes.
    pub(super) fn credit_bytes(&self, shard: &ShardOutbound) -> u32 {
        shard.session_target_bytes().saturating_sub(self.queued_bytes)
    }

    /// Whether more may be read from the store for it.
    pub(super) fn is_below_target(&self) -> bool {
        self.queued_bytes < OUTBOUND_BYTES_TARGET
    }

    /// Whether commands may be read, which lead to more output.
    pub(super) fn has_room_for_replies(&self, reads_on: bool) -> bool {
        let factor = if reads_on { REPLIES_FACTOR } else { 1 };
        self.queued_bytes < OUTBOUND_BYTES_TARGET * factor
    }
}
