//! Bugs planted to prove that checkers find them. Without the feature `testing` none can be chosen.

#[cfg(feature = "testing")]
use std::collections::BTreeMap;
#[cfg(feature = "testing")]
use std::sync::{Arc, Mutex, PoisonError};

use schema::{ChannelId, Seq};

/// A bug of the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "testing"), expect(unreachable_pub, reason = "public for tests alone"))]
pub enum Planted {
    /// Seqs are counted in memory, so an attempt that does not commit leaves a hole (I2).
    SeqInMemory,
    /// The fence is not looked at (I7).
    NoFence,
    /// The fence is read in a transaction of its own before the batch's, so that a takeover between the two is missed (I7).
    FenceReadBefore,
    /// A takeover leaves the fence of the node that it takes from (I7).
    FenceLeftStanding,
    /// A shard begins its next batch while one is in flight, and the later may commit first (I4).
    SeveralInFlight,
    /// A retry looks for its batch row and for first replies only if the attempt right before it ended unknown (I5).
    DedupByLastFlag,
    /// The fence is compared without its epoch, so a batch of an ended view commits, and its arrivals lie where nobody
    /// reads any more (I6).
    FenceWithoutEpoch,
    /// A list of members is used without comparing its epoch, so one who was removed meanwhile may send (I10).
    CachedMembership,
    /// A page of an inbox or of arrivals that is cut claims to reach the end (I6).
    CursorAheadOfUnreadRow,
    /// An unknown result counts as a failure: the retry looks neither for the batch row nor for first replies (I5).
    UnknownIsFailure,
    /// What was read at an old version is answered though no commit proved it, so that one who was added meanwhile is told
    /// of no such channel (rule 1, I3). Only with chained reads.
    AnswersFromThePast,
}

/// Which bug is planted, if any.
#[derive(Debug, Clone, Default)]
pub(super) struct Plants {
    #[cfg(feature = "testing")]
    bug: Option<Planted>,
    /// The last seqs of [`Planted::SeqInMemory`].
    #[cfg(feature = "testing")]
    counted: Arc<Mutex<BTreeMap<ChannelId, Seq>>>,
}

#[cfg(feature = "testing")]
impl Plants {
    pub(super) fn of(bug: Planted) -> Self {
        Self { bug: Some(bug), ..Self::default() }
    }

    pub(super) fn has(&self, bug: Planted) -> bool {
        self.bug == Some(bug)
    }

    fn counted(&self, channel: ChannelId, head: Seq) -> Seq {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let last = counted.entry(channel).or_insert(head);
        *last = last.next();
        *last
    }
}

#[cfg(not(feature = "testing"))]
impl Plants {
    #[expect(clippy::unused_self, reason = "the same call with and without the feature")]
    pub(super) fn has(&self, _bug: Planted) -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "the same call with and without the feature")]
    fn counted(&self, _channel: ChannelId, head: Seq) -> Seq {
        head.next()
    }
}

impl Plants {
    /// The seq of the next message behind a head.
    pub(super) fn next_seq(&self, channel: ChannelId, head: Seq) -> Seq {
        if self.has(Planted::SeqInMemory) { self.counted(channel, head) } else { head.next() }
    }
}
