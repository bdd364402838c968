//! Cursor of a session in the log of one large channel that it has open.
//!
//! Owns the place there: each message once, in the order of seqs, pushed as it is sent if it is the next and there is
//! room, and read from the log otherwise. Upholds I10 for the channel: what happens to a message after it was sent is
//! pushed only if the message was, and the user may read it; and what a shard says counts only if it is the home that
//! answered the session's last word, since another says it to its neighbours, and knows nothing of this session's
//! membership. It knows no connection: what an event or a page comes to is a value.

use std::sync::Arc;

use schema::command::{HistoryPage, Opened};
use schema::event::MemberChange;
use schema::limits::RENEW_MS;
use schema::mesh::FeedStart;
use schema::record::SeqRange;
use schema::{EventBody, Instant, Message, Owner, Seq, UserId};

/// Time that the answer of the channel's home is waited for.
pub(super) const ANSWER_MS: u64 = 10_000;
/// Time after which a log that could not be read is read again.
const AGAIN_MS: u64 = 1_000;

/// The cursor's state.
#[derive(Debug)]
pub(super) struct LogCursor {
    /// The message that was pushed last.
    at: Seq,
    /// The newest that is known of.
    head: Seq,
    opening: Option<Opening>,
    /// Ranges that the user may read, as when it was opened: a removal ends the cursor.
    ranges: Vec<SeqRange>,
    /// The inbox tells of a removal, perhaps an old one: until the channel's home has said that the user is a member,
    /// nothing is pushed but what is read from the log, which judges it anew.
    is_doubted: bool,
    /// The home that tells it what happens; none until one has answered.
    source: Option<Owner>,
    /// The number of its last word to the channel's home.
    number: u32,
    renew_at: Instant,
    /// The instant before which the log is not read.
    read_at: Instant,
}

/// An `open` that is not answered yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) id: u32,
    /// When it is over without an answer.
    pub(super) by: Instant,
    pub(super) after_seq: Option<Seq>,
    pub(super) read_seq: Seq,
}

/// The outcome of an event of the channel.
#[derive(Debug)]
pub(super) enum Fed<'a> {
    /// The session is pushed nothing.
    Nothing,
    /// The message is the next of the log: the cursor has moved past it.
    Next(&'a Arc<Message>),
    /// The log is to be read.
    Behind,
    /// The event is pushed if there is room, and not at all otherwise.
    Live,
    /// The user is a member no more.
    Over,
}

impl LogCursor {
    pub(super) fn new(now: Instant, opening: Opening, ranges: Vec<SeqRange>) -> Self {
        let (at, head, read_at) = (Seq::ZERO, Seq::ZERO, Instant::default());
        let (opening, renew_at) = (Some(opening), now.plus_ms(RENEW_MS));
        Self { at, head, opening, ranges, is_doubted: false, source: None, number: 0, renew_at, read_at }
    }

    /// The number of the session's next word to the channel's home.
    pub(super) fn ask(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.number
    }

    /// Whether an answer is to its last word.
    pub(super) fn is_asked(&self, number: u32) -> bool {
        self.number == number
    }

    /// Whether this shard is the home that it follows the channel at.
    pub(super) fn is_told_by(&self, owner: Owner) -> bool {
        self.source == Some(owner)
    }

    /// The channel's home is another now, or has forgotten the session.
    pub(super) fn lose_source(&mut self) {
        self.source = None;
    }

    /// The home was not the home any more: it is asked again soon.
    pub(super) fn ask_soon(&mut self, now: Instant) {
        self.renew_at = now.plus_ms(AGAIN_MS);
    }

    /// When it next has something to do, given whether there is room to push.
    pub(super) fn due(&self, has_room: bool) -> Instant {
        let due = self.opening.map_or(self.renew_at, |opening| self.renew_at.min(opening.by));
        if self.is_behind() && has_room && self.read_at > Instant::default() { due.min(self.read_at) } else { due }
    }

    /// The `open` that is not answered yet.
    pub(super) fn opening(&self) -> Option<Opening> {
        self.opening
    }

    /// Whether the client has been pushed this message, or begins behind it.
    pub(super) fn is_past(&self, seq: Seq) -> bool {
        seq <= self.at
    }

    fn is_behind(&self) -> bool {
        self.opening.is_none() && self.at < self.head
    }

    /// The channel's home tells this shard from here on. Returns the answer to the `open`, if that waits for it.
    pub(super) fn subscribed(
        &mut self,
        now: Instant,
        from: Owner,
        FeedStart { head_seq, open }: FeedStart,
    ) -> Option<(u32, Opened)> {
        self.source = Some(from);
        self.head = self.head.max(head_seq);
        self.renew_at = now.plus_ms(RENEW_MS);
        self.is_doubted = false;
        let Opening { id, after_seq, read_seq, .. } = self.opening.take()?;
        self.at = after_seq.map_or(head_seq, |after| after.min(head_seq));
        Some((id, Opened { head_seq, read_seq, online: open, reads: Vec::new() }))
    }

    /// The user may have been removed. Returns whether the channel's home is to be asked: one that has yet to answer
    /// the `open` knows.
    pub(super) fn doubt(&mut self) -> bool {
        self.is_doubted = self.opening.is_none();
        self.is_doubted
    }

    /// Takes an event of the channel, given whether there is room to push and no page of the log is being read.
    pub(super) fn fed<'a>(&mut self, user: UserId, event: &'a EventBody, may_push: bool) -> Fed<'a> {
        if self.opening.is_some() {
            return Fed::Nothing;
        }
        match event {
            EventBody::Message(message) => {
                self.head = self.head.max(message.seq);
                if message.seq != self.at.next() || !may_push || self.is_doubted {
                    return Fed::Behind;
                }
                self.at = message.seq;
                Fed::Next(message)
            }
            // Its inbox says so too, and there it has its place.
            &EventBody::Membership { user: whose, change, .. } if whose == user => match change {
                MemberChange::Removed | MemberChange::Left => Fed::Over,
                MemberChange::Title => Fed::Live,
                MemberChange::Created | MemberChange::Added | MemberChange::Role => Fed::Nothing,
            },
            EventBody::Edited(_)
            | EventBody::Deleted { .. }
            | EventBody::Reaction { .. }
            | EventBody::Membership { .. } => {
                let shows = !self.is_doubted && changed_by(event).is_none_or(|seq| self.shows(seq));
                if shows { Fed::Live } else { Fed::Nothing }
            }
            EventBody::Read { .. } => Fed::Nothing,
        }
    }

    /// I10: whether what happens to a message is pushed: it is behind the cursor, and the user may read it.
    fn shows(&self, seq: Seq) -> bool {
        let is_within = |range: &SeqRange| seq > range.after && range.through.is_none_or(|through| seq <= through);
        self.is_past(seq) && self.ranges.iter().any(is_within)
    }

    /// After which seq the log is to be read now, if it is behind.
    pub(super) fn read_after(&self, now: Instant) -> Option<Seq> {
        (self.is_behind() && self.read_at <= now).then_some(self.at)
    }

    /// Takes a page of the log, read after `after`. It counts if that is where the cursor is, and up to where something
    /// happened meanwhile: from there on it is read again. `push` takes a message, and says whether there is room for
    /// another; one always goes, and those without room are read again.
    pub(super) fn take_page(
        &mut self,
        now: Instant,
        after: Seq,
        page: &HistoryPage,
        changed_from: Option<Seq>,
        mut push: impl FnMut(&Arc<Message>) -> bool,
    ) {
        let is_fresh = |message: &&Arc<Message>| changed_from.is_none_or(|changed| message.seq < changed);
        let mut is_whole = !page.more && page.messages.iter().all(|message| is_fresh(&message));
        let mut has_room = true;
        for message in page.messages.iter().take_while(is_fresh).filter(|message| message.seq > after) {
            if !has_room {
                is_whole = false;
                break;
            }
            self.at = self.at.max(message.seq);
            has_room = push(message);
        }
        if is_whole {
            // Up to the head as it was read there is nothing else for this user.
            self.at = self.at.max(page.head_seq);
        }
        // A store that gets no further is left alone for a while.
        let is_to_go_on = self.at > after || changed_from.is_some();
        self.read_at = if is_to_go_on { Instant::default() } else { now.plus_ms(AGAIN_MS) };
    }

    /// The log cannot be read for now.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.read_at = now.plus_ms(AGAIN_MS);
    }

    /// Whether a page that was read after this seq begins where the cursor is.
    pub(super) fn is_at(&self, seq: Seq) -> bool {
        self.opening.is_none() && self.at == seq
    }

    /// Whether its home did not answer the `open` in time.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.opening.is_some_and(|opening| now >= opening.by)
    }

    /// Whether the subscription is due to be renewed. Asked again it is not, for a while.
    pub(super) fn renew(&mut self, now: Instant) -> bool {
        let is_due = now >= self.renew_at;
        if is_due {
            self.renew_at = now.plus_ms(RENEW_MS);
        }
        is_due
    }
}

/// The message to which something happened after it was sent.
pub(super) fn changed_by(event: &EventBody) -> Option<Seq> {
    match *event {
        EventBody::Edited(ref message) => Some(message.seq),
        EventBody::Deleted { seq, .. } | EventBody::Reaction { seq, .. } => Some(seq),
        EventBody::Message(_) | EventBody::Membership { .. } | EventBody::Read { .. } => None,
    }
}
