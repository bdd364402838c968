//! What a session reads from the store for its client: one page at a time.
//!
//! Owns the order of such reads and their bound (I11): a page is up to 256 KiB of text, at most six times that in JSON, and the
//! next is only asked for below the outbound target, so pages alone do not reach the hard limit.

use std::collections::VecDeque;

use schema::command::{History, HistoryPage};
use schema::limits::HISTORY_ROWS_MAX;
use schema::{ChannelId, ErrorCode, Refusal, Reply};

use crate::effects::Waiting;
use crate::io::StoreOp;

use super::{Session, SessionOp, Stage, Surroundings};

#[derive(Debug, Default)]
pub(super) struct Pages {
    /// Requests that wait for room. Bounded by the rate limit's burst, and by reads that pause while answers are
    /// outstanding.
    waiting: VecDeque<(u32, History)>,
    reading: Option<Read>,
    /// The client's page was last; a log's may be next.
    is_logs_turn: bool,
}

/// What is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// What the client asked for.
    Request,
    /// The log of a large channel that is open.
    Log(ChannelId),
}

impl Pages {
    /// Whether nothing is read and nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.reading.is_none()
    }

    pub(super) fn is_reading_log_of(&self, channel: ChannelId) -> bool {
        self.reading == Some(Read::Log(channel))
    }

    /// A read is under way.
    pub(super) fn begin(&mut self, read: Read) {
        assert!(self.reading.is_none(), "I11: {read:?} began while {:?} is read", self.reading);
        self.reading = Some(read);
    }

    /// It is not any more.
    pub(super) fn end(&mut self) {
        self.reading = None;
    }
}

impl Session {
    pub(super) fn history(&mut self, id: u32, mut history: History, around: &mut Surroundings<'_>) {
        if history.limit == 0 {
            let refusal = Refusal::new(ErrorCode::BadRequest, "limit is 0, ask for 1 to 200 messages");
            return self.answer(id, Err(refusal), around);
        }
        history.limit = history.limit.min(HISTORY_ROWS_MAX);
        self.rare().pages.waiting.push_back((id, history));
        self.pump(around);
    }

    /// Reads the next page that is wanted, if there is room: one that the client asked for and one of a log in turn.
    pub(super) fn pump(&mut self, around: &mut Surroundings<'_>) {
        let Stage::Live(live) = &self.stage else { return };
        let user = live.user;
        let Some(rare) = self.rare.as_deref_mut() else { return };
        if rare.pages.reading.is_some() || !self.outbound.is_below_target() || self.closed.is_some() {
            return;
        }
        let is_logs_turn = std::mem::take(&mut rare.pages.is_logs_turn) || rare.pages.waiting.is_empty();
        if is_logs_turn && let Some((channel, after)) = self.next_log(around.now.mono) {
            return self.read_log(channel, after, around);
        }
        let pages = &mut self.rare().pages;
        if let Some((id, request)) = pages.waiting.pop_front() {
            pages.begin(Read::Request);
            pages.is_logs_turn = true;
            let waiting = Waiting::Session(self.conn, SessionOp::History(id));
            around.effects.store(StoreOp::History { user, request }, waiting);
        }
    }

    /// A page of history was read.
    pub(super) fn history_read(&mut self, id: u32, page: Result<HistoryPage, Refusal>, around: &mut Surroundings<'_>) {
        self.rare().pages.end();
        self.answer(id, page.map(Reply::History), around);
        self.pump(around);
    }
}
