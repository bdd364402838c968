//! Pushes of large channels to devices that have them open.

use std::collections::BTreeMap;

use schema::{ChannelId, DeviceId, Seq, UserId};

/// One device's copy of a channel's log.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    pub(crate) user: UserId,
    /// After which message it was opened first.
    pub(crate) base: Seq,
    /// What was pushed since, in the order in which it came.
    pub(crate) seqs: Vec<Seq>,
    /// Whether the channel is open now.
    pub(crate) is_open: bool,
}

impl Feed {
    /// The last message that the device has.
    pub(crate) fn last(&self) -> Seq {
        self.seqs.last().copied().unwrap_or(self.base)
    }
}

/// All of them.
pub(crate) type Feeds = BTreeMap<(DeviceId, ChannelId), Feed>;
