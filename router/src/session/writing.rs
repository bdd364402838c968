//! Signs of typing of a session: how often others are told, and that it is over.
//!
//! Owns the channels in which the user writes, as far as others were told, and their bound. It knows no connection.

use std::collections::BTreeMap;

use schema::limits::TYPING_MS;
use schema::{ChannelId, Instant};

/// Channels in which a session is known to be writing. A user writes in one or two; beyond it the others are told no
/// more.
const WRITING_MAX: usize = 16;

/// For how long others may still take the user for writing, and so are told once that it is over: ten times as long as
/// it takes until they are told again.
const WRITING_MS: u64 = 10 * TYPING_MS;

/// Channels in which others were told that the user is writing.
#[derive(Debug, Default)]
pub(super) struct Writing {
    notices: BTreeMap<ChannelId, Notice>,
}

#[derive(Debug)]
struct Notice {
    at: Instant,
    /// They were not told since that it is over.
    is_on: bool,
}

impl Writing {
    /// Whether a sign of typing in a further channel is left out.
    pub(super) fn is_full_for(&self, channel: ChannelId) -> bool {
        self.notices.len() >= WRITING_MAX && !self.notices.contains_key(&channel)
    }

    /// Whether the others are told now.
    pub(super) fn notifies(&mut self, now: Instant, channel: ChannelId, on: bool) -> bool {
        self.tick(now);
        let has_room = self.notices.len() < WRITING_MAX;
        match (self.notices.get_mut(&channel), on) {
            (Some(notice), false) => std::mem::take(&mut notice.is_on),
            (None, false) => false,
            (Some(notice), true) if now < notice.at.plus_ms(TYPING_MS) => false,
            (None, true) if !has_room => false,
            (Some(_) | None, true) => {
                self.notices.insert(channel, Notice { at: now, is_on: true });
                true
            }
        }
    }

    /// Forgets where it may be said again, and nobody needs to hear that it is over.
    pub(super) fn tick(&mut self, now: Instant) {
        self.notices.retain(|_, notice| now < notice.at.plus_ms(if notice.is_on { WRITING_MS } else { TYPING_MS }));
    }

    /// Whether nobody was told, as far as that still matters.
    pub(super) fn is_quiet(&self) -> bool {
        self.notices.is_empty()
    }
}
