//! Messages that a subscription was given and has not acknowledged.
//!
//! Owns the window (I11): where as many wait as it holds, the subscription is given no more, and reads on from history
//! once half of them are acknowledged.

use std::collections::BTreeSet;

use schema::Seq;

/// Messages that may wait for their ACK unless the client says otherwise.
pub(crate) const WINDOW_DEFAULT: usize = 256;
/// And at the most.
pub(crate) const WINDOW_MAX: usize = 1_000;

/// Mode in which a subscription acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum AckMode {
    /// Not at all.
    #[default]
    Auto,
    /// An ACK counts for all messages before, too.
    Client,
    /// An ACK counts for its message.
    Individual,
}

/// The messages of one subscription that wait for their ACK.
#[derive(Debug, Default)]
pub(crate) struct Unacked {
    mode: AckMode,
    window: usize,
    waiting: BTreeSet<Seq>,
    /// The newest that was given.
    newest: Seq,
}

impl Unacked {
    pub(crate) fn new(mode: AckMode, window: usize) -> Self {
        Self { mode, window, ..Self::default() }
    }

    pub(crate) fn mode(&self) -> AckMode {
        self.mode
    }

    /// A message is given to the client.
    pub(crate) fn given(&mut self, seq: Seq) {
        match self.mode {
            AckMode::Auto => {}
            AckMode::Client | AckMode::Individual => {
                self.waiting.insert(seq);
                self.newest = self.newest.max(seq);
            }
        }
    }

    /// `true` if no more is to be given.
    pub(crate) fn is_full(&self) -> bool {
        self.mode != AckMode::Auto && self.waiting.len() >= self.window
    }

    /// `true` if there is room again for a good deal.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() <= self.window / 2
    }

    /// A message is acknowledged. Returns the largest seq up to which all that was given is.
    pub(crate) fn acked(&mut self, seq: Seq) -> Option<Seq> {
        match self.mode {
            AckMode::Auto => return None,
            AckMode::Client => self.waiting = self.waiting.split_off(&Seq(seq.0.saturating_add(1))),
            AckMode::Individual => {
                self.waiting.remove(&seq);
            }
        }
        let all = self.waiting.first().map_or(self.newest, |first| Seq(first.0 - 1));
        (all > Seq::ZERO).then_some(all)
    }
}
