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
    pub(crate) fn open(&mut self, channel: ChannelId, conn: ConnId) {
        self.channels.entry(channel).or_default().insert(conn);
    }

    pub(crate) fn close(&mut self, channel: ChannelId, conn: ConnId) {
        if let Some(conns) = self.channels.get_mut(&channel) {
            conns.remove(&conn);
            if conns.is_empty() {
                self.channels.remove(&channel);
            }
        }
    }

    /// Those who have it open.
    pub(crate) fn of(&self, channel: ChannelId) -> Vec<ConnId> {
        self.channels.get(&channel).into_iter().flatten().copied().collect()
    }
}
