//! Mail and orders of a shard from other threads of its node: mail is queued, and of orders only the last counts.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use router::Drain;
use schema::hook::Concerns;
use schema::mesh::{Kicked, MeshFrame};
use schema::{ChannelId, ChannelOp, Epoch, Incarnation, OpReply, Refusal, UnixMs, UserId, View};

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
        /// Where the word goes that they were told.
        answer: Answer,
    },
    /// All that this node and another were to tell each other over one of their links is lost.
    PeerLost {
        /// The life of the other node.
        peer: Incarnation,
    },
    /// Some of it was lost, of what need not arrive.
    Gap {
        /// The life of the other node.
        peer: Incarnation,
    },
}

impl Mail {
    /// Bytes that it holds while it waits for a mailbox.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Mesh(frame) => frame.held_bytes(),
            Self::Command { .. } | Self::Kick { .. } | Self::PeerLost { .. } | Self::Gap { .. } => size_of::<Self>(),
        }
    }

    /// Whether nobody makes it good if it is left out.
    pub(super) fn must_arrive(&self) -> bool {
        match self {
            Self::Mesh(frame) => frame.body.must_arrive(),
            Self::Command { .. } | Self::Kick { .. } | Self::PeerLost { .. } | Self::Gap { .. } => true,
        }
    }
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mesh(_) => "Mail(frame)",
            Self::Command { .. } => "Mail(command)",
            Self::Kick { .. } => "Mail(kick)",
            Self::PeerLost { .. } => "Mail(peer lost)",
            Self::Gap { .. } => "Mail(gap)",
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
    /// The deadline of the drain below, so that shards look at it only when it is new.
    drain_ms: AtomicU64,
    drain: Mutex<Option<Drain>>,
    /// Shards that have seen their last session go since.
    drained: AtomicU16,
    expelled: AtomicBool,
    /// The epoch of the view below, so that shards look at it only when it is new.
    epoch: AtomicU64,
    view: Mutex<Option<(Arc<View>, u64)>>,
    /// How often the one below has changed, so that shards look at it only when it is new.
    concerns_times: AtomicU64,
    concerns: Mutex<Arc<Concerns>>,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            writes: AtomicBool::new(true),
            drain_ms: AtomicU64::new(NO_DRAIN),
            drain: Mutex::new(None),
            drained: AtomicU16::new(0),
            expelled: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
            view: Mutex::new(None),
            concerns_times: AtomicU64::new(0),
            concerns: Mutex::default(),
        }
    }
}

impl Orders {
    /// Says whether the store takes writes. The caller calls the shards afterwards.
    pub fn set_writes(&self, on: bool) {
        self.writes.store(on, Ordering::Release);
    }

    /// Has the shards bring every session to its end, and stop. Of several orders the one of the earliest deadline
    /// counts. The caller calls the shards afterwards.
    pub fn drain(&self, drain: Drain) {
        let deadline_ms = drain.deadline_ms.0.min(NO_DRAIN - 1);
        let mut last = self.drain.lock().unwrap_or_else(PoisonError::into_inner);
        if deadline_ms < self.drain_ms.load(Ordering::Relaxed) {
            *last = Some(drain);
            self.drain_ms.store(deadline_ms, Ordering::Release);
        }
    }

    /// Has the shards go by a view, which was read at this version. One that is not newer than the last says nothing. The
    /// caller calls the shards afterwards.
    pub fn set_view(&self, view: Arc<View>, version: u64) {
        let mut last = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|(last, _)| last.epoch < view.epoch) {
            self.epoch.store(view.epoch.0, Ordering::Release);
            *last = Some((view, version));
        }
    }

    /// Has applications asked about these operations before they are carried out. The caller calls the shards afterwards.
    pub fn set_before(&self, concerns: Arc<Concerns>) {
        let mut last = self.concerns.lock().unwrap_or_else(PoisonError::into_inner);
        if **last != *concerns {
            *last = concerns;
            self.concerns_times.fetch_add(1, Ordering::Release);
        }
    }

    /// The operations that applications are asked about.
    #[must_use]
    pub fn before(&self) -> Arc<Concerns> {
        Arc::clone(&self.concerns.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same with how often it has changed, if that is more than so often.
    pub(super) fn before_after(&self, times: u64) -> Option<(u64, Arc<Concerns>)> {
        let now = self.concerns_times.load(Ordering::Acquire);
        (now > times).then(|| (now, self.before()))
    }

    /// The view that shards are to go by; none before the first.
    #[must_use]
    pub fn view(&self) -> Option<Arc<View>> {
        let last = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|(view, _)| Arc::clone(view))
    }

    /// Says that this life of the node is in no view any more: what shards are asked is refused from here on. The caller
    /// has them drain as well, and calls them afterwards.
    pub fn expel(&self) {
        self.expelled.store(true, Ordering::Release);
    }

    pub(super) fn is_expelled(&self) -> bool {
        self.expelled.load(Ordering::Acquire)
    }

    /// The view, if it is newer than this epoch, and the version at which it was read.
    pub(super) fn view_after(&self, epoch: Epoch) -> Option<(Arc<View>, u64)> {
        if self.epoch.load(Ordering::Acquire) <= epoch.0 {
            return None;
        }
        self.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn takes_writes(&self) -> bool {
        self.writes.load(Ordering::Acquire)
    }

    /// The drain, if its deadline is earlier than this.
    pub(super) fn drain_before(&self, deadline_ms: Option<UnixMs>) -> Option<Drain> {
        let drain_ms = self.drain_ms.load(Ordering::Acquire);
        if drain_ms == NO_DRAIN || deadline_ms.is_some_and(|deadline_ms| deadline_ms.0 <= drain_ms) {
            return None;
        }
        self.drain.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A shard has seen its last session go. To be called once by each.
    pub(super) fn note_drained(&self) {
        self.drained.fetch_add(1, Ordering::AcqRel);
    }

    /// Shards that have.
    pub(super) fn drained(&self) -> u16 {
        self.drained.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_drains_the_earliest_deadline_counts() {
        let orders = Orders::default();
        let check = |seen: Option<u64>, expected: Option<u64>| {
            let drain = orders.drain_before(seen.map(UnixMs));
            assert_eq!(drain.map(|drain| drain.deadline_ms.0), expected, "after {seen:?}");
        };
        check(None, None);
        orders.drain(Drain::alone(UnixMs(70)));
        check(None, Some(70));
        check(Some(70), None);
        orders.drain(Drain::alone(UnixMs(90)));
        check(Some(70), None);
        orders.drain(Drain::alone(UnixMs(20)));
        check(Some(70), Some(20));
        check(None, Some(20));
    }
}
