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

/// Where others were told that the user is writing.
#[derive(Debug, Default)]
pub(super) struct Writing {
    told: BTreeMap<ChannelId, Told>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    /// They were not told since that it is over.
    is_on: bool,
}

impl Writing {
    /// Whether a sign of typing in a further channel is left out.
    pub(super) fn is_full_for(&self, channel: ChannelId) -> bool {
        self.told.len() >= WRITING_MAX && !self.told.contains_key(&channel)
    }

    /// Whether the others are told now.
    pub(super) fn tells(&mut self, now: Instant, channel: ChannelId, on: bool) -> bool {
        self.tick(now);
        let has_room = self.told.len() < WRITING_MAX;
        match (self.told.get_mut(&channel), on) {
            (Some(told), false) => std::mem::take(&mut told.is_on),
            (None, false) => false,
            (Some(told), true) if now < told.at.plus_ms(TYPING_MS) => false,
            (None, true) if !has_room => false,
            (Some(_) | None, true) => {
                self.told.insert(channel, Told { at: now, is_on: true });
                true
            }
        }
    }

    /// Forgets where it may be said again, and nobody needs to hear that it is over.
    pub(super) fn tick(&mut self, now: Instant) {
        self.told.retain(|_, told| now < told.at.plus_ms(if told.is_on { WRITING_MS } else { TYPING_MS }));
    }

    /// Whether nobody was told, as far as that still matters.
    pub(super) fn is_quiet(&self) -> bool {
        self.told.is_empty()
    }
}
