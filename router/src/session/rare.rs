//! What few sessions have at any time, kept apart so that the others do not pay for it.
//!
//! Owns when it is given back. What is in it belongs to the machines that use it.

use schema::{ChannelId, Instant};

use crate::order::Lines;

use super::Session;
use super::channels::OpenChannels;
use super::operations::Writing;
use super::pages::Pages;
use super::presence::Watching;

/// Channels whose order a session keeps after a refusal, at some 50 bytes each.
const LINES_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Rare {
    pub(super) pages: Pages,
    pub(super) lines: Lines<ChannelId>,
    pub(super) writing: Writing,
    pub(super) open: OpenChannels,
    pub(super) watching: Option<Box<Watching>>,
}

impl Rare {
    /// When something of it is next due, given whether there is room to push.
    pub(super) fn due(&self, has_room: bool) -> Option<Instant> {
        self.watching.iter().map(|watching| watching.due(has_room)).chain(self.open.due(has_room)).min()
    }

    fn new() -> Self {
        Self {
            pages: Pages::default(),
            open: OpenChannels::default(),
            lines: Lines::new(LINES_MAX),
            writing: Writing::default(),
            watching: None,
        }
    }
}

impl Session {
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| Box::new(Rare::new()))
    }

    /// Gives back what is not needed any more.
    pub(super) fn forget_rare(&mut self, now: Instant) {
        self.rare.take_if(|rare| {
            rare.lines.tick(now);
            rare.writing.tick(now);
            rare.pages.is_idle()
                && rare.lines.is_open(now)
                && rare.writing.is_quiet()
                && rare.watching.is_none()
                && rare.open.is_idle()
        });
    }
}
