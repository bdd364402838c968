//! Log cursors of a session, one for each large channel that it has open.
//!
//! Owns those cursors: each message once, in the order of seqs, pushed as it is sent if it is the next and there is
//! room, and read from the log otherwise, where membership is judged each time (I10, I11). What happens to messages
//! after they were sent is pushed live or not at all: `history` is the truth of it. One page of a log is read at a
//! time, in turn with the client's own pages.

use std::ops::Bound;
use std::sync::Arc;

use schema::command::{History, HistoryPage, HistoryWindow, Opened};
use schema::event::MemberChange;
use schema::limits::RENEW_MS;
use schema::mesh::{FeedStart, MeshBody};
use schema::record::SeqRange;
use schema::{ChannelId, ErrorCode, EventBody, Instant, Message, Refusal, Reply, Seq};

use crate::delivery::Shared;
use crate::effects::Effects;
use crate::store;

use super::pages::Read;
use super::{HistoryWaiter, HistoryWanted, Session, ShardContext, Stage};

/// How long the channel's home is waited for.
const ANSWER_MS: u64 = 10_000;
/// Messages of one read of a log: of usual length a fifth of what may be queued.
const ROWS_OF_READ: u32 = 64;
/// After what time a log that could not be read is read again.
const AGAIN_MS: u64 = 1_000;

/// A large channel that is open.
#[derive(Debug)]
pub(super) struct Feed {
    /// The message that was pushed last.
    cursor: Seq,
    /// The newest that is known of.
    head: Seq,
    opening: Option<Opening>,
    /// What the user may read, as when it was opened: a removal ends the feed.
    ranges: Vec<SeqRange>,
    /// The inbox tells of a removal, perhaps an old one: until the channel's home has said that the user is a member,
    /// nothing is pushed but what is read from the log, which judges it anew.
    is_doubted: bool,
    renew_at: Instant,
    /// Not before then the log is read.
    read_at: Instant,
}

/// An `open` that is not answered yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) id: u32,
    pub(super) after_seq: Option<Seq>,
    pub(super) read_seq: Seq,
}

impl Feed {
    /// When it next has something to do, given whether there is room to push.
    pub(super) fn due(&self, has_room: bool) -> Instant {
        if self.is_behind() && has_room && self.read_at > Instant::default() {
            self.renew_at.min(self.read_at)
        } else {
            self.renew_at
        }
    }

    /// I10: whether what happens to a message is told: it is behind the cursor, and the user may read it.
    fn shows(&self, seq: Seq) -> bool {
        let is_within = |range: &SeqRange| seq > range.after && range.through.is_none_or(|through| seq <= through);
        seq <= self.cursor && self.ranges.iter().any(is_within)
    }

    fn is_behind(&self) -> bool {
        self.opening.is_none() && self.cursor < self.head
    }

    pub(super) fn opening(&self) -> Option<Opening> {
        self.opening
    }
}

impl Session {
    /// Begins to follow a channel's log.
    pub(super) fn follow(
        &mut self,
        channel: ChannelId,
        opening: Opening,
        ranges: Vec<SeqRange>,
        context: &mut ShardContext<'_>,
    ) {
        let renew_at = context.now.mono.plus_ms(ANSWER_MS);
        let (cursor, head, read_at) = (Seq::ZERO, Seq::ZERO, Instant::default());
        let feed = Feed { cursor, head, opening: Some(opening), ranges, is_doubted: false, renew_at, read_at };
        let earlier = self.cold().open.feeds.insert(channel, Box::new(feed));
        context.openers.open(channel, self.conn);
        self.subscribe(channel, context.effects);
        if let Some(Opening { id, .. }) = earlier.and_then(|earlier| earlier.opening) {
            self.answer(id, Err(Refusal::new(ErrorCode::BadRequest, "the channel was opened again")), context);
        }
    }

    fn subscribe(&self, channel: ChannelId, effects: &mut Effects) {
        let Stage::Live(live) = &self.stage else { return };
        let home = effects.placement.home_of_channel(channel);
        effects.mesh(home, MeshBody::Subscribe { session: self.id, user: live.user, channel });
    }

    /// The channel's home tells this shard from here on, or does not.
    pub(crate) fn subscribed(
        &mut self,
        channel: ChannelId,
        start: Result<FeedStart, Refusal>,
        context: &mut ShardContext<'_>,
    ) {
        let feed = self.cold.as_deref_mut().and_then(|cold| cold.open.feed_mut(channel));
        let Some(feed) = feed else { return };
        match (start, feed.opening) {
            (Ok(FeedStart { head_seq, open }), opening) => {
                feed.head = feed.head.max(head_seq);
                feed.renew_at = context.now.mono.plus_ms(RENEW_MS);
                feed.is_doubted = false;
                if let Some(Opening { id, after_seq, read_seq }) = opening {
                    feed.opening = None;
                    feed.cursor = after_seq.map_or(head_seq, |after| after.min(head_seq));
                    let opened = Opened { head_seq, read_seq, online: open, reads: Vec::new() };
                    self.answer(id, Ok(Reply::Open(opened)), context);
                }
                self.pump(context);
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
        let feed = self.cold.as_deref_mut().and_then(|cold| cold.open.feed_mut(channel));
        if let Some(feed) = feed.filter(|feed| feed.opening.is_none()) {
            feed.is_doubted = true;
            self.subscribe(channel, context.effects);
        }
    }

    /// Follows the channel no more.
    fn end_feed(&mut self, channel: ChannelId, context: &mut ShardContext<'_>) {
        if let Some(cold) = self.cold.as_deref_mut() {
            cold.open.feeds.remove(&channel);
            context.openers.close(channel, self.conn);
            self.unsubscribe(channel, context.effects);
        }
    }

    /// Something happened in a channel that is open.
    pub(crate) fn fed(
        &mut self,
        channel: ChannelId,
        event: &EventBody,
        push: &mut Shared,
        context: &mut ShardContext<'_>,
    ) {
        let Stage::Live(live) = &self.stage else { return };
        let user = live.user;
        let (conn, encoding, has_room) = (self.conn, self.encoding, self.outbound.is_below_target());
        let Some(cold) = self.cold.as_deref_mut() else { return };
        let is_being_read = cold.pages.is_reading_log_of(channel);
        let Some(feed) = cold.open.feed_mut(channel) else { return };
        let changed = changed_by(event);
        if let Some(seq) = changed.filter(|&seq| seq > feed.cursor) {
            cold.pages.changed(channel, seq);
        }
        if feed.opening.is_some() {
            return;
        }
        match event {
            EventBody::Message(message) => {
                feed.head = feed.head.max(message.seq);
                if message.seq == feed.cursor.next() && has_room && !is_being_read && !feed.is_doubted {
                    feed.cursor = message.seq;
                    let frame = context.delivery.message(message, encoding);
                    self.outbound.send(conn, frame, context.now.mono, context.effects, context.outbound);
                    self.check_outbound();
                } else {
                    self.pump(context);
                }
            }
            // Its inbox says so too, and there it has its place.
            &EventBody::Membership { user: whose, change, .. } if whose == user => match change {
                MemberChange::Removed | MemberChange::Left => self.end_feed(channel, context),
                MemberChange::Title => self.push_live(push, context),
                MemberChange::Created | MemberChange::Added | MemberChange::Role => {}
            },
            EventBody::Edited(_)
            | EventBody::Deleted { .. }
            | EventBody::Reaction { .. }
            | EventBody::Membership { .. } => {
                if !feed.is_doubted && changed.is_none_or(|seq| feed.shows(seq)) {
                    self.push_live(push, context);
                }
            }
            EventBody::Read { .. } => {}
        }
    }

    /// The next log that is behind, in turn, and what to read of it.
    pub(super) fn next_log(&mut self, now: Instant) -> Option<(ChannelId, Seq)> {
        let open = &mut self.cold.as_deref_mut()?.open;
        let after = open.read_last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut in_turn = open.feeds.range((after, Bound::Unbounded)).chain(&open.feeds);
        let (&channel, feed) = in_turn.find(|(_, feed)| feed.is_behind() && feed.read_at <= now)?;
        let next = (channel, feed.cursor);
        open.read_last = Some(next.0);
        Some(next)
    }

    /// Reads on in a channel's log.
    pub(super) fn read_log(&mut self, channel: ChannelId, after: Seq, context: &mut ShardContext<'_>) {
        let Stage::Live(live) = &self.stage else { return };
        let window = HistoryWindow::After(after);
        let request = History { channel_id: channel, window, limit: ROWS_OF_READ };
        let history = store::History { user: live.user, request };
        self.cold().pages.begin(Read::Log(channel));
        let wanted = HistoryWanted::Log(channel, after);
        context.effects.ask(history, HistoryWaiter { conn: self.conn, wanted });
    }

    /// A page of a channel's log was read. It counts if the session still is where it begins, and up to where something
    /// happened meanwhile: from there on it is read again.
    pub(super) fn log_read(
        &mut self,
        (channel, after): (ChannelId, Seq),
        page: Result<HistoryPage, Refusal>,
        context: &mut ShardContext<'_>,
    ) {
        let (conn, encoding, now) = (self.conn, self.encoding, context.now.mono);
        let cold = self.cold.as_deref_mut().expect("while a page is read it is not given back");
        let changed_from = cold.pages.end();
        let is_fresh = |message: &&Arc<Message>| changed_from.is_none_or(|changed| message.seq < changed);
        let feed = cold.open.feed_mut(channel).filter(|feed| feed.opening.is_none() && feed.cursor == after);
        match (feed, page) {
            (None, _) => {}
            (Some(feed), Ok(HistoryPage { messages, head_seq, more, .. })) => {
                let mut is_whole = !more && messages.iter().all(|message| is_fresh(&message));
                for message in messages.iter().take_while(is_fresh).filter(|message| message.seq > after) {
                    // One always goes; those beyond what may be queued are read again when there is room.
                    if feed.cursor > after && !self.outbound.is_below_target() {
                        is_whole = false;
                        break;
                    }
                    feed.cursor = feed.cursor.max(message.seq);
                    let frame = context.delivery.message(message, encoding);
                    self.outbound.send(conn, frame, now, context.effects, context.outbound);
                }
                if is_whole {
                    // Up to the head as it was read there is nothing else for this user.
                    feed.cursor = feed.cursor.max(head_seq);
                }
                // A store that gets no further is left alone for a while.
                let is_to_go_on = feed.cursor > after || changed_from.is_some();
                feed.read_at = if is_to_go_on { Instant::default() } else { now.plus_ms(AGAIN_MS) };
                self.check_outbound();
            }
            (Some(feed), Err(refusal)) if refusal.code.is_temporary() => feed.read_at = now.plus_ms(AGAIN_MS),
            (Some(_), Err(_)) => self.end_feed(channel, context),
        }
        self.pump(context);
    }

    /// A feed may be due to be renewed or read, or its home did not answer.
    pub(super) fn tick_feeds(&mut self, context: &mut ShardContext<'_>) {
        let now = context.now.mono;
        let Some(cold) = self.cold.as_deref_mut() else { return };
        let mut overdue = Vec::new();
        let mut renewed = Vec::new();
        for (&channel, feed) in cold.open.feeds.iter_mut().filter(|(_, feed)| now >= feed.renew_at) {
            feed.renew_at = now.plus_ms(RENEW_MS);
            match feed.opening {
                Some(Opening { id, .. }) => overdue.push((channel, id)),
                None => renewed.push(channel),
            }
        }
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

/// The message to which something happened after it was sent.
fn changed_by(event: &EventBody) -> Option<Seq> {
    match *event {
        EventBody::Edited(ref message) => Some(message.seq),
        EventBody::Deleted { seq, .. } | EventBody::Reaction { seq, .. } => Some(seq),
        EventBody::Message(_) | EventBody::Membership { .. } | EventBody::Read { .. } => None,
    }
}
