//! Queue of channels that the index of words is behind of.
//!
//! Owns the channels that were written to and not indexed since, and how many are indexed at once: behind the appends
//! and never within them, a second's writes to a channel in one go. A mark that is lost, because there are too many or
//! the node ended, is made with the next write or when somebody searches.

use std::collections::{BTreeMap, VecDeque};

use schema::page::Indexed;
use schema::{ChannelId, Instant, Partition};

use crate::counters::Counter;
use crate::effects::Effects;
use crate::store::{Answer, Index, waiters};

/// Channels that wait, at some 50 bytes each: 5 MB.
const BEHIND_MAX: usize = 100_000;
/// Channels that are indexed at once. Each step is a transaction of a few hundred messages; more of them would take the
/// store from appends. While those wait in numbers it is one: a channel whose turn comes later has more messages then, and
/// its directory is written once for all of them.
const UNDER_WAY_MAX: usize = 4;
const UNDER_WAY_BUSY_MAX: usize = 1;

waiters! { Index => ChannelId; }

#[derive(Debug, Default)]
pub(crate) struct Indexer {
    /// Written to since the last second, and since when the index is behind.
    marked: BTreeMap<ChannelId, Instant>,
    /// Channels in turn, and since when the index is behind of each.
    queued: BTreeMap<ChannelId, Instant>,
    /// The same in turn.
    queue: VecDeque<ChannelId>,
    /// Being indexed: since when it is behind, and since when it was written to again.
    under_way: BTreeMap<ChannelId, (Instant, Option<Instant>)>,
    lag_ms: u64,
}

impl Indexer {
    /// A channel has something that is not in the index.
    pub(crate) fn mark(&mut self, channel: ChannelId, effects: &mut Effects) {
        let now = effects.now.mono;
        if let Some((_, again)) = self.under_way.get_mut(&channel) {
            again.get_or_insert(now);
        } else if self.behind() < BEHIND_MAX {
            self.marked.entry(channel).or_insert(now);
        } else {
            effects.count(Counter::IndexMarks);
        }
    }

    /// Forgets the channels of which this holds: their homes are others now. What is being indexed of one ends by itself.
    pub(crate) fn forget(&mut self, is_over: impl Fn(ChannelId) -> bool) {
        self.marked.retain(|&channel, _| !is_over(channel));
        self.queued.retain(|&channel, _| !is_over(channel));
        self.queue.retain(|&channel| !is_over(channel));
    }

    /// Channels that the index is behind of.
    pub(crate) fn behind(&self) -> usize {
        self.marked.len() + self.queue.len() + self.under_way.len()
    }

    /// For how long the index has been behind of the channel that has waited longest, at the last second.
    pub(crate) fn lag_ms(&self) -> u64 {
        self.lag_ms
    }

    /// A second has passed: what was written in it is indexed.
    pub(crate) fn tick(&mut self, store_is_busy: bool, effects: &mut Effects) {
        for (channel, since) in std::mem::take(&mut self.marked) {
            match self.under_way.get_mut(&channel) {
                // Its turn came after it was marked, and may have come before what it was marked for.
                Some((_, again)) => _ = again.get_or_insert(since),
                // One whose turn has not come yet is indexed with all that it has then.
                None => self.enqueue(channel, since),
            }
        }
        let oldest = self.queued.values().copied().chain(self.under_way.values().map(|&(since, _)| since)).min();
        self.lag_ms =
            oldest.map_or(0, |since| u64::try_from(effects.now.mono.since(since).as_millis()).unwrap_or(u64::MAX));
        self.start(store_is_busy, effects);
    }

    fn enqueue(&mut self, channel: ChannelId, since: Instant) {
        self.queued.entry(channel).or_insert_with(|| {
            self.queue.push_back(channel);
            since
        });
    }

    fn start(&mut self, store_is_busy: bool, effects: &mut Effects) {
        let under_way_max = if store_is_busy { UNDER_WAY_BUSY_MAX } else { UNDER_WAY_MAX };
        while self.under_way.len() < under_way_max {
            let Some(channel) = self.queue.pop_front() else { break };
            let since = self.queued.remove(&channel).expect("both say who is queued");
            self.under_way.insert(channel, (since, None));
            effects.ask(Index { channel }, channel);
        }
    }

    /// The store has indexed a part of a channel, or could not; then the next second tries again.
    pub(crate) fn indexed(
        &mut self,
        Answer { waiter: channel, reply }: Answer<Index>,
        store_is_busy: bool,
        effects: &mut Effects,
    ) {
        let (since, again) = self.under_way.remove(&channel).expect("I12: what is answered was asked");
        if !effects.placement.owns(Partition::of_channel(channel)) {
            return self.start(store_is_busy, effects);
        }
        match (reply, again) {
            (Ok(Indexed { more: true, .. }), _) => self.enqueue(channel, since),
            (Ok(Indexed { more: false, .. }), Some(again)) => {
                self.marked.insert(channel, again);
            }
            (Ok(Indexed { more: false, .. }), None) => {}
            (Err(_), _) => {
                self.marked.insert(channel, since);
            }
        }
        self.start(store_is_busy, effects);
    }
}
