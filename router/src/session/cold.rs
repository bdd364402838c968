//! Cold state of a session: what few sessions have at any time, kept apart so that the others do not pay for it.
//!
//! Owns when it is given back. What is in it belongs to the machines that use it.

use schema::{ChannelId, Instant};

use crate::order::SendOrder;

use super::Session;
use super::held::Held;
use super::open::OpenChannels;
use super::pages::Pages;
use super::watching::Watching;
use super::writing::Writing;

/// Channels whose order a session keeps after a refusal, at some 50 bytes each.
const CHANNELS_MAX: usize = 64;

/// State that most sessions do not have.
#[derive(Debug)]
pub(super) struct ColdState {
    pub(super) pages: Pages,
    pub(super) order: SendOrder<ChannelId>,
    pub(super) writing: Writing,
    pub(super) open: OpenChannels,
    pub(super) held: Held,
    pub(super) watching: Option<Box<Watching>>,
}

impl ColdState {
    /// When something of it is next due, given whether there is room to push.
    pub(super) fn due(&self, has_room: bool) -> Option<Instant> {
        self.watching.iter().map(|watching| watching.due(has_room)).chain(self.open.due(has_room)).min()
    }

    fn new() -> Self {
        Self {
            pages: Pages::default(),
            open: OpenChannels::default(),
            held: Held::default(),
            order: SendOrder::new(CHANNELS_MAX),
            writing: Writing::default(),
            watching: None,
        }
    }
}

impl Session {
    pub(super) fn cold(&mut self) -> &mut ColdState {
        self.cold.get_or_insert_with(|| Box::new(ColdState::new()))
    }

    /// Releases the cold state if none of it is needed any more.
    pub(super) fn release_cold(&mut self, now: Instant) {
        self.cold.take_if(|cold| {
            cold.order.tick(now);
            cold.writing.tick(now);
            cold.pages.is_idle()
                && cold.order.is_open(now)
                && cold.writing.is_quiet()
                && cold.watching.is_none()
                && cold.open.is_idle()
                && cold.held.is_idle()
        });
    }
}
