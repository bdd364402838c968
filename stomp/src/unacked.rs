//! Messages that a subscription was given and has not acknowledged.
//!
//! Owns the window (I11): where as many wait as it holds, the subscription is given no more, and reads on from history
//! once half of them are acknowledged.

use std::collections::BTreeSet;

use schema::Seq;

use crate::rare::{Idle, Rare};

/// Messages that may wait for their ACK unless the client says otherwise.
pub(crate) const WINDOW_DEFAULT: u16 = 256;
/// And at the most.
pub(crate) const WINDOW_MAX: u16 = 1_000;

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
    window: u16,
    given: Rare<Given>,
}

/// What there is of them once one was given.
#[derive(Debug, Default)]
struct Given {
    waiting: BTreeSet<Seq>,
    newest: Seq,
}

impl Idle for Given {
    fn idle() -> &'static Self {
        static IDLE: Given = Given { waiting: BTreeSet::new(), newest: Seq::ZERO };
        &IDLE
    }

    fn is_idle(&self) -> bool {
        self.newest == Seq::ZERO
    }
}

impl Unacked {
    pub(crate) fn new(mode: AckMode, window: u16) -> Self {
        Self { mode, window, given: Rare::default() }
    }

    pub(crate) fn mode(&self) -> AckMode {
        self.mode
    }

    /// A message is given to the client.
    pub(crate) fn given(&mut self, seq: Seq) {
        match self.mode {
            AckMode::Auto => {}
            AckMode::Client | AckMode::Individual => {
                self.given.waiting.insert(seq);
                self.given.newest = self.given.newest.max(seq);
            }
        }
    }

    /// `true` if no more is to be given.
    pub(crate) fn is_full(&self) -> bool {
        self.mode != AckMode::Auto && self.given.waiting.len() >= self.window.into()
    }

    /// `true` if there is room again for a good deal.
    pub(crate) fn has_room(&self) -> bool {
        self.given.waiting.len() <= usize::from(self.window / 2)
    }

    /// A message is acknowledged. Returns the largest seq up to which all that was given is.
    pub(crate) fn acked(&mut self, seq: Seq) -> Option<Seq> {
        match self.mode {
            AckMode::Auto => return None,
            AckMode::Client => self.given.waiting = self.given.waiting.split_off(&Seq(seq.0.saturating_add(1))),
            AckMode::Individual => {
                self.given.waiting.remove(&seq);
            }
        }
        let all = self.given.waiting.first().map_or(self.given.newest, |first| Seq(first.0 - 1));
        (all > Seq::ZERO).then_some(all)
    }
}
