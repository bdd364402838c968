//! Open channels of a session, and those that are being opened.
//!
//! Owns the lists and their bounds. What is in a large one's log belongs to its [`LogCursor`]. It knows no connection.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use schema::limits::OPEN_CHANNELS_MAX;
use schema::{ChannelId, ErrorCode, Instant, Refusal, Seq};

use super::log::{LogCursor, Opening};

/// Direct channels and groups that are open, at 8 bytes each. A client looks at one or a few; beyond it the one that
/// was opened longest ago is forgotten, and who writes in it is no more pushed.
const SMALL_OPEN_MAX: usize = 256;

/// The lists of one session.
#[derive(Debug, Default)]
pub(super) struct OpenChannels {
    /// The large ones.
    logs: BTreeMap<ChannelId, Box<LogCursor>>,
    /// The others, in the order in which they were opened.
    small: VecDeque<ChannelId>,
    /// Channels that the store was asked to open, by the client's numbers. A `close` takes back the `open` before it.
    /// Bounded by the answers that may be outstanding.
    asked: Vec<(u32, ChannelId)>,
    /// The large one whose log was read last: the next one's turn comes after it.
    read_last: Option<ChannelId>,
    /// Large ones that have been opened or closed since the shard last asked.
    changes: Vec<(ChannelId, bool)>,
}

/// Subscriptions to logs that are due.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Those to renew.
    pub(super) renewed: Vec<ChannelId>,
    /// Those whose home did not answer the `open` of this number in time.
    pub(super) overdue: Vec<(ChannelId, u32)>,
}

impl OpenChannels {
    /// When the logs next have something to do, given whether there is room to push.
    pub(super) fn due(&self, has_room: bool) -> Option<Instant> {
        self.logs.values().map(|log| log.due(has_room)).min()
    }

    /// Whether nothing is open or being opened.
    pub(super) fn is_idle(&self) -> bool {
        self.logs.is_empty() && self.small.is_empty() && self.asked.is_empty()
    }

    /// Whether this one is open or a large one that is being opened.
    pub(super) fn contains(&self, channel: ChannelId) -> bool {
        self.follows(channel) || self.small.contains(&channel)
    }

    /// Whether this one's log is followed.
    pub(super) fn follows(&self, channel: ChannelId) -> bool {
        self.logs.contains_key(&channel)
    }

    /// The large ones.
    pub(super) fn large(&self) -> impl Iterator<Item = ChannelId> {
        self.logs.keys().copied()
    }

    /// The cursor in the log of a large channel that is open or being opened.
    pub(super) fn log_mut(&mut self, channel: ChannelId) -> Option<&mut LogCursor> {
        self.logs.get_mut(&channel).map(Box::as_mut)
    }

    /// The store is asked to open a channel.
    pub(super) fn ask(&mut self, id: u32, channel: ChannelId) {
        self.asked.push((id, channel));
    }

    /// The store has answered what was asked. Returns whether it is wanted still.
    pub(super) fn answered(&mut self, id: u32, channel: ChannelId) -> bool {
        let at = self.asked.iter().position(|&asked| asked == (id, channel));
        at.map(|at| self.asked.swap_remove(at)).is_some()
    }

    /// Returns whether another was forgotten for it.
    pub(super) fn open_small(&mut self, channel: ChannelId) -> bool {
        self.small.retain(|&open| open != channel);
        let forgotten = if self.small.len() >= SMALL_OPEN_MAX { self.small.pop_front() } else { None };
        self.small.push_back(channel);
        forgotten.is_some()
    }

    /// Whether one more large channel may be open.
    pub(super) fn has_room_for(&self, channel: ChannelId) -> Result<(), Refusal> {
        if self.logs.len() < OPEN_CHANNELS_MAX as usize || self.logs.contains_key(&channel) {
            return Ok(());
        }
        let message = format!("{OPEN_CHANNELS_MAX} large channels are open, the limit: close one");
        Err(Refusal::new(ErrorCode::LimitExceeded, message))
    }

    /// Takes the large ones that have been opened, or closed, since the last time.
    pub(super) fn take_changes(&mut self) -> Vec<(ChannelId, bool)> {
        std::mem::take(&mut self.changes)
    }

    /// Follows a log. Returns the `open` whose place it takes.
    pub(super) fn follow(&mut self, channel: ChannelId, log: LogCursor) -> Option<Opening> {
        self.changes.push((channel, true));
        self.logs.insert(channel, Box::new(log)).and_then(|earlier| earlier.opening())
    }

    /// Follows a log no more. Returns its cursor if it was followed.
    pub(super) fn end(&mut self, channel: ChannelId) -> Option<Box<LogCursor>> {
        self.changes.push((channel, false));
        self.logs.remove(&channel)
    }

    /// Closes a channel of any kind. Returns the cursor of a large one.
    pub(super) fn close(&mut self, channel: ChannelId) -> Option<Box<LogCursor>> {
        self.asked.retain(|&(_, asked)| asked != channel);
        self.small.retain(|&small| small != channel);
        self.end(channel)
    }

    /// The next log that is behind, in turn, and after which seq to read it.
    pub(super) fn next_read(&mut self, now: Instant) -> Option<(ChannelId, Seq)> {
        let after = self.read_last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut in_turn = self.logs.range((after, Bound::Unbounded)).chain(&self.logs);
        let next = in_turn.find_map(|(&channel, log)| Some((channel, log.read_after(now)?)))?;
        self.read_last = Some(next.0);
        Some(next)
    }

    /// Takes the subscriptions that are due.
    pub(super) fn tick(&mut self, now: Instant) -> Due {
        let mut due = Due::default();
        for (&channel, log) in &mut self.logs {
            match log.opening().filter(|_| log.is_overdue(now)) {
                Some(Opening { id, .. }) => due.overdue.push((channel, id)),
                None if log.renew(now) => due.renewed.push(channel),
                None => {}
            }
        }
        due
    }
}
