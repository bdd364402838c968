//! Pages that a session reads from the store for its client, one at a time.
//!
//! Owns the order of such reads and their bound (I11): a page is up to 256 KiB of text, at most six times that in JSON,
//! and the next is only asked for below the outbound target, so pages alone do not reach the hard limit.

use std::collections::VecDeque;

use schema::command::{History, HistoryPage, Search};
use schema::limits::{HISTORY_ROWS_MAX, SEARCH_CHARS_MAX, SEARCH_HITS_MAX};
use schema::mesh::MeshBody;
use schema::page::FoundPage;
use schema::{ChannelId, ErrorCode, Refusal, Reply, Seq};

use crate::store::{self, Answer};

use super::{CommandWaiter, HistoryWaiter, HistoryWanted, Session, ShardContext};

/// Channels of one search of which the index is told to be behind. The next search finds the others.
const BEHIND_TOLD_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Pages {
    /// Requests that wait for room. Bounded by the rate limit's burst, and by reads that pause while answers are
    /// outstanding.
    waiting: VecDeque<(u32, Request)>,
    reading: Option<Read>,
    /// The first message of the log that is being read to which something happened meanwhile: the page may not know of
    /// it.
    changed_from: Option<Seq>,
    /// The client's page was last; a log's may be next.
    is_logs_turn: bool,
}

/// A page that the client asked for.
#[derive(Debug)]
enum Request {
    History(History),
    Search(Search),
}

/// A read that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// A page that the client asked for.
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

    /// Something happened to a message that is not pushed yet. What is being read of the log may be from before.
    pub(super) fn changed(&mut self, channel: ChannelId, seq: Seq) {
        if self.is_reading_log_of(channel) {
            self.changed_from = Some(self.changed_from.map_or(seq, |earlier| earlier.min(seq)));
        }
    }

    /// A read is under way.
    pub(super) fn begin(&mut self, read: Read) {
        assert!(self.reading.is_none(), "I11: {read:?} began while {:?} is read", self.reading);
        self.reading = Some(read);
    }

    /// It is not any more. Returns from which message on a log is to be read again.
    pub(super) fn end(&mut self) -> Option<Seq> {
        self.reading = None;
        self.changed_from.take()
    }
}

impl Session {
    pub(super) fn history(&mut self, id: u32, mut history: History, context: &mut ShardContext<'_>) {
        if history.limit == 0 {
            let refusal = Refusal::new(ErrorCode::BadRequest, "limit is 0, ask for 1 to 200 messages");
            return self.answer(id, Err(refusal), context);
        }
        history.limit = history.limit.min(HISTORY_ROWS_MAX);
        self.cold().pages.waiting.push_back((id, Request::History(history)));
        self.pump(context);
    }

    pub(super) fn search(&mut self, id: u32, mut search: Search, context: &mut ShardContext<'_>) {
        if let Err(refusal) = is_legal(&search) {
            return self.answer(id, Err(refusal), context);
        }
        search.limit = search.limit.min(SEARCH_HITS_MAX);
        self.cold().pages.waiting.push_back((id, Request::Search(search)));
        self.pump(context);
    }

    /// Reads the next page that is wanted, if there is room: one that the client asked for and one of a log in turn.
    pub(super) fn pump(&mut self, context: &mut ShardContext<'_>) {
        let (Some(user), Some(cold)) = (self.stage.user(), self.cold.as_deref_mut()) else { return };
        if cold.pages.reading.is_some() || !self.outbound.is_below_target() || self.closed.is_some() {
            return;
        }
        let is_logs_turn = std::mem::take(&mut cold.pages.is_logs_turn) || cold.pages.waiting.is_empty();
        if is_logs_turn && let Some((channel, after)) = cold.open.next_read(context.effects.now.mono) {
            return self.read_log(channel, after, context);
        }
        let pages = &mut cold.pages;
        if let Some((id, request)) = pages.waiting.pop_front() {
            pages.begin(Read::Request);
            pages.is_logs_turn = true;
            let conn = self.conn;
            match request {
                Request::History(request) => {
                    let waiter = HistoryWaiter { conn, wanted: HistoryWanted::Page(id) };
                    context.effects.ask(store::History { user, request }, waiter);
                }
                Request::Search(request) => {
                    context.effects.ask(store::Search { user, request }, CommandWaiter { conn, id });
                }
            }
        }
    }

    /// A page of hits was read. Where the index is behind its home is told.
    pub(crate) fn found(&mut self, answer: Answer<store::Search>, context: &mut ShardContext<'_>) {
        let Answer { waiter: CommandWaiter { id, .. }, reply: found } = answer;
        self.cold().pages.end();
        if let Ok(FoundPage { behind, .. }) = &found {
            for &channel in behind.iter().take(BEHIND_TOLD_MAX) {
                let home = context.effects.placement.home_of_channel(channel);
                context.effects.mesh(home, MeshBody::Index { channel });
            }
        }
        self.answer(id, found.map(|found| Reply::Search(found.page)), context);
        self.pump(context);
    }

    /// A page of history was read.
    pub(super) fn page_read(&mut self, id: u32, page: Result<HistoryPage, Refusal>, context: &mut ShardContext<'_>) {
        self.cold().pages.end();
        self.answer(id, page.map(Reply::History), context);
        self.pump(context);
    }
}

/// Whether a search asks for something.
fn is_legal(search: &Search) -> Result<(), Refusal> {
    let chars = search.query.chars().count();
    if chars > SEARCH_CHARS_MAX as usize {
        let message = format!("the query is {chars} characters, the limit is {SEARCH_CHARS_MAX}");
        return Err(Refusal::new(ErrorCode::LimitExceeded, message));
    }
    if !search.query.chars().any(char::is_alphanumeric) {
        return Err(Refusal::new(ErrorCode::BadRequest, "the query has no word"));
    }
    if search.limit == 0 {
        return Err(Refusal::new(ErrorCode::BadRequest, "limit is 0, ask for 1 to 50 hits"));
    }
    Ok(())
}
