//! Index of this shard's sessions by the large channels that they have open.
//!
//! Owns the index alone: what a session does with what happens there is its own.

use std::collections::{BTreeMap, BTreeSet};

use schema::ChannelId;

use crate::io::ConnId;

#[derive(Debug, Default)]
pub(crate) struct Openers {
    channels: BTreeMap<ChannelId, BTreeSet<ConnId>>,
}

impl Openers {
    /// A session has opened a channel, or closed it.
    pub(crate) fn set(&mut self, channel: ChannelId, conn: ConnId, is_open: bool) {
        let conns = self.channels.entry(channel).or_default();
        if is_open {
            conns.insert(conn);
        } else {
            conns.remove(&conn);
        }
        if conns.is_empty() {
            self.channels.remove(&channel);
        }
    }

    /// Those who have it open.
    pub(crate) fn of(&self, channel: ChannelId) -> Vec<ConnId> {
        self.channels.get(&channel).into_iter().flatten().copied().collect()
    }
}
