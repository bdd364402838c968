//! What a session reads from the store for its client: one page at a time.
//!
//! Owns the order of such reads and their bound (I11): a page is up to 256 KiB of text, at most six times that in JSON, and the
//! next is only asked for below the outbound target, so replies alone do not reach the hard limit.

use std::collections::VecDeque;

use schema::command::{History, HistoryPage};
use schema::limits::HISTORY_ROWS_MAX;
use schema::{ErrorCode, Refusal, Reply};

use crate::effects::Waiting;
use crate::io::StoreOp;

use super::rare::Rare;
use super::{Session, SessionOp, Stage, Surroundings};

#[derive(Debug, Default)]
pub(super) struct Pages {
    /// Requests that wait for room. Bounded by the rate limit's burst, and by reads that pause while answers are
    /// outstanding.
    waiting: VecDeque<(u32, History)>,
    is_reading: bool,
}

impl Pages {
    /// Whether nothing is read and nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_reading
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

    /// Reads the next page that was asked for, if there is room.
    pub(super) fn pump(&mut self, around: &mut Surroundings<'_>) {
        let Stage::Live(live) = &self.stage else { return };
        let Some(Rare { pages, .. }) = self.rare.as_deref_mut() else { return };
        if pages.is_reading || !self.outbound.is_below_target() {
            return;
        }
        if let Some((id, request)) = pages.waiting.pop_front() {
            pages.is_reading = true;
            let waiting = Waiting::Session(self.conn, SessionOp::History(id));
            around.effects.store(StoreOp::History { user: live.user, request }, waiting);
        }
    }

    /// A page of history was read.
    pub(super) fn history_read(&mut self, id: u32, page: Result<HistoryPage, Refusal>, around: &mut Surroundings<'_>) {
        self.rare().pages.is_reading = false;
        self.answer(id, page.map(Reply::History), around);
        self.pump(around);
    }
}
