//! Feeds of the large channels that a session has open.
//!
//! Owns the way of their messages to the socket: the place in each log is its [`log`](super::log) cursor's, membership
//! is the store's, which judges it with each page (I10, I11). What happens to messages after they were sent is pushed
//! live or not at all: `history` is the truth of it. One page of a log is read at a time, in turn with the client's own
//! pages.

use schema::command::{History, HistoryPage, HistoryWindow};
use schema::mesh::{FeedStart, MeshBody};
use schema::record::SeqRange;
use schema::{ChannelId, ErrorCode, EventBody, Owner, Refusal, Reply, Seq};

use crate::delivery::Shared;
use crate::effects::Effects;
use crate::store;

use super::log::{Fed, LogCursor, Opening, changed_by};
use super::open::Due;
use super::pages::Read;
use super::{HistoryWaiter, HistoryWanted, Session, ShardContext};

/// Messages of one read of a log: of usual length a fifth of what may be queued.
const ROWS_OF_READ: u32 = 64;

impl Session {
    pub(super) fn log_mut(&mut self, channel: ChannelId) -> Option<&mut LogCursor> {
        self.cold.as_deref_mut()?.open.log_mut(channel)
    }

    /// Begins to follow a channel's log.
    pub(super) fn follow(
        &mut self,
        channel: ChannelId,
        opening: Opening,
        ranges: Vec<SeqRange>,
        context: &mut ShardContext<'_>,
    ) {
        let log = LogCursor::new(context.effects.now.mono, opening, ranges);
        let earlier = self.cold().open.follow(channel, log);
        self.subscribe(channel, context.effects);
        if let Some(Opening { id, .. }) = earlier {
            self.answer(id, Err(Refusal::new(ErrorCode::BadRequest, "the channel was opened again")), context);
        }
    }

    pub(super) fn subscribe(&mut self, channel: ChannelId, effects: &mut Effects) {
        let Some(user) = self.stage.user() else { return };
        let Some(number) = self.log_mut(channel).map(LogCursor::ask) else { return };
        let home = effects.placement.home_of_channel(channel);
        effects.mesh(home, MeshBody::Subscribe { session: self.id, user, channel, number });
    }

    /// The channel's home tells this shard from here on, or does not.
    pub(crate) fn subscribed(
        &mut self,
        from: Owner,
        (channel, number): (ChannelId, u32),
        start: Result<FeedStart, Refusal>,
        context: &mut ShardContext<'_>,
    ) {
        let now = context.effects.now.mono;
        let Some(log) = self.log_mut(channel).filter(|log| log.is_asked(number)) else { return };
        match (start, log.opening()) {
            (Ok(start), _) => {
                if let Some((id, opened)) = log.subscribed(now, from, start) {
                    self.answer(id, Ok(Reply::Open(opened)), context);
                }
                self.pump(context);
            }
            (Err(refusal), _) if refusal.code == ErrorCode::Moving => {
                log.lose_source();
                log.ask_soon(now);
            }
            (Err(refusal), Some(Opening { id, .. })) => {
                self.end_feed(channel, context);
                self.answer(id, Err(refusal), context);
            }
            (Err(refusal), None) if refusal.code.is_temporary() => {}
            (Err(_), None) => self.end_feed(channel, context),
        }
    }

    /// The inbox says that the user was removed, which the feed may have lost. It may be long ago, and the user a
    /// member again: the channel's home knows.
    pub(super) fn doubt_feed(&mut self, channel: ChannelId, context: &mut ShardContext<'_>) {
        if self.log_mut(channel).is_some_and(LogCursor::doubt) {
            self.subscribe(channel, context.effects);
        }
    }

    /// Follows the channel no more.
    fn end_feed(&mut self, channel: ChannelId, context: &mut ShardContext<'_>) {
        if let Some(cold) = self.cold.as_deref_mut() {
            cold.open.end(channel);
            self.unsubscribe(channel, context.effects);
        }
    }

    /// Something happened in a channel that is open.
    pub(crate) fn fed(
        &mut self,
        from: Owner,
        channel: ChannelId,
        event: &EventBody,
        push: &mut Shared,
        context: &mut ShardContext<'_>,
    ) {
        let (Some(user), Some(cold)) = (self.stage.user(), self.cold.as_deref_mut()) else { return };
        let may_push = self.outbound.is_below_target() && !cold.pages.is_reading_log_of(channel);
        let Some(log) = cold.open.log_mut(channel) else { return };
        if let Some(seq) = changed_by(event).filter(|&seq| !log.is_past(seq)) {
            cold.pages.changed(channel, seq);
        }
        if !log.is_told_by(from) {
            return;
        }
        match log.fed(user, event, may_push) {
            Fed::Nothing => {}
            Fed::Next(message) => {
                let frame = context.delivery.message(message, self.encoding());
                self.send(frame, context);
            }
            Fed::Behind => self.pump(context),
            Fed::Live => self.push_live(push, context),
            Fed::Over => self.end_feed(channel, context),
        }
    }

    /// Reads on in a channel's log.
    pub(super) fn read_log(&mut self, channel: ChannelId, after: Seq, context: &mut ShardContext<'_>) {
        let Some(user) = self.stage.user() else { return };
        let request = History { channel_id: channel, window: HistoryWindow::After(after), limit: ROWS_OF_READ };
        self.cold().pages.begin(Read::Log(channel));
        let wanted = HistoryWanted::Log(channel, after);
        context.effects.ask(store::History { user, request }, HistoryWaiter { conn: self.conn, wanted });
    }

    /// A page of a channel's log was read.
    pub(super) fn log_read(
        &mut self,
        (channel, after): (ChannelId, Seq),
        page: Result<HistoryPage, Refusal>,
        context: &mut ShardContext<'_>,
    ) {
        let (conn, encoding, now) = (self.conn, self.encoding(), context.effects.now.mono);
        let cold = self.cold.as_deref_mut().expect("while a page is read it is not given back");
        let changed_from = cold.pages.end();
        let log = cold.open.log_mut(channel).filter(|log| log.is_at(after));
        match (log, page) {
            (None, _) => {}
            (Some(log), Ok(page)) => {
                log.take_page(now, after, &page, changed_from, |message| {
                    let frame = context.delivery.message(message, encoding);
                    self.outbound.send(conn, frame, context.effects, context.outbound);
                    self.outbound.is_below_target()
                });
                self.check_outbound();
            }
            (Some(log), Err(refusal)) if refusal.code.is_temporary() => log.put_off(now),
            (Some(_), Err(_)) => self.end_feed(channel, context),
        }
        self.pump(context);
    }

    /// A feed may be due to be renewed or read, or its home did not answer.
    pub(super) fn tick_feeds(&mut self, context: &mut ShardContext<'_>) {
        let Some(cold) = self.cold.as_deref_mut() else { return };
        let Due { renewed, overdue } = cold.open.tick(context.effects.now.mono);
        for channel in renewed {
            self.subscribe(channel, context.effects);
        }
        for (channel, id) in overdue {
            self.end_feed(channel, context);
            let refusal = Refusal::new(ErrorCode::StorageUnavailable, "the channel's home did not answer, open again");
            self.answer(id, Err(refusal), context);
        }
        self.pump(context);
    }
}
