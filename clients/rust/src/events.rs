//! Events: what an application is told, in the order in which it happened.
//!
//! Owns the event of each push, and the queue between a client and its application, which is bounded by the session that fills
//! it. Upholds the promise of the cursor: that of an event is handed out for storing only once the application has
//! acknowledged the event.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use futures_util::Stream;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Notify;

use crate::error::{Ended, StoreError};
use crate::message::{ChannelId, MemberChange, Message, Opened, PresenceEntry, Role, Seq, SnapshotChannel, UserId};
use crate::outbox::Outgoing;

/// Event that an application is told. PROTOCOL section 3 says what each push means.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The connection came or went. Where nobody fetches events, the last such word is kept alone.
    Connection(Connection),
    /// A message, the account's own included. In a large channel that is open: in the order of its seqs.
    Message(Message),
    /// A message has another text.
    Edited(Message),
    /// A message's text is gone; its seq stays.
    Deleted {
        /// Channel of the message.
        channel_id: ChannelId,
        /// Message that was deleted.
        seq: Seq,
        /// The revision after it.
        revision: u32,
    },
    /// An emoji was put to a message, or taken away.
    Reaction {
        /// Channel of the message.
        channel_id: ChannelId,
        /// To which message.
        seq: Seq,
        /// Fully qualified.
        emoji: String,
        /// Users who have put it there, after this.
        count: u32,
        /// User who reacted.
        user_id: UserId,
        /// `true` if it was put there, `false` if it was taken away.
        on: bool,
    },
    /// A membership changed.
    Membership {
        /// Channel of the membership.
        channel_id: ChannelId,
        /// User whose membership changed.
        user_id: UserId,
        /// Kind of change.
        change: MemberChange,
        /// The role after it.
        role: Role,
    },
    /// A read mark moved: the account's own, or, live alone, that of another member of a direct channel or small group.
    Read {
        /// Channel of the mark.
        channel_id: ChannelId,
        /// User whose mark moved.
        user_id: UserId,
        /// The mark after it. Apply by maximum.
        read_seq: Seq,
    },
    /// The device was away for too long to be told each event: what its channels are now, a page of them. Forget cached
    /// messages that are not read again by `history`.
    Snapshot {
        /// A page of the account's channels.
        channels: Vec<SnapshotChannel>,
        /// `true` of the first page.
        first: bool,
        /// `true` if further pages follow.
        more: bool,
    },
    /// The server's store is another one, or went back in time (112): forget all that is cached, and ask for the channels again
    /// ([`Api::channels`](crate::Api::channels)). What waits in the outbox stays there and is sent.
    Reset,
    /// A large channel that is not open has grown.
    Head {
        /// Channel that has grown.
        channel_id: ChannelId,
        /// Its newest seq.
        head_seq: Seq,
    },
    /// Presence of users who are watched, or of members of an open channel.
    Presence(Vec<PresenceEntry>),
    /// A member writes, or has stopped. Nobody says so who merely goes away: forget it after some seconds.
    Typing {
        /// Channel in which they write.
        channel_id: ChannelId,
        /// User who writes.
        user_id: UserId,
        /// `true` if they write, `false` if they have stopped.
        on: bool,
    },
    /// The server's application says something of a channel, which is kept nowhere.
    Published {
        /// Channel that it is about.
        channel_id: ChannelId,
        /// Name of what happened, in the application's words.
        event: String,
        /// Text that says more of it.
        data: String,
    },
    /// Posts came into the account's news feed: a hint to read it again, at most every 5 s.
    FeedHead {
        /// How many, since the last one.
        count: u32,
    },
    /// A channel that was open is open again on a new connection: its marks and counts as they are now.
    Opened {
        /// Channel that is open again.
        channel_id: ChannelId,
        /// As of [`Client::open`](crate::Client::open).
        opened: Opened,
    },
    /// A channel that was open could not be opened again: the account has left it, say.
    NotOpened {
        /// Channel that could not be opened.
        channel_id: ChannelId,
        /// Refusal of the server.
        refusal: crate::Refusal,
    },
    /// An operation of the outbox has another state.
    Outgoing(Outgoing),
    /// The store did not take a cursor, or that an operation is over: after a crash events may be told again, and
    /// operations asked for again, which the server recognises. Told once until the store takes something again.
    StoreFailed(String),
    /// The node said something that is no envelope, which was passed over.
    Malformed(String),
    /// A push of a later server, as it came.
    Unknown {
        /// Its kind.
        kind: String,
        /// Its fields.
        fields: Value,
    },
    /// There will be no connection any more, and no event.
    Ended(Ended),
}

/// State of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Connection {
    /// One is being made.
    Connecting,
    /// Events come as they happen, those that were missed before them.
    Live {
        /// The account.
        user_id: UserId,
        /// `true` if it went on from a cursor. If not, events begin now, and the channels are what [`Api::channels`](crate::Api::channels)
        /// says.
        resumed: bool,
        /// Address of the WebSocket.
        url: String,
    },
    /// The connection was lost or could not be made. The client tries again by itself.
    Waiting {
        /// The close code, 1006 where there was none; nothing where it was never open.
        code: Option<u16>,
        /// Reason, for a person.
        why: String,
        /// After which pause.
        retry_ms: u64,
    },
}

/// The event of a push and the cursor after it.
pub(crate) fn of_push(kind: &str, fields: &Value) -> (Event, Option<String>) {
    let cursor = fields.get("cursor").and_then(Value::as_str).map(str::to_owned);
    let event = known(kind, fields).unwrap_or_else(|| Event::Unknown { kind: kind.to_owned(), fields: fields.clone() });
    (event, cursor)
}

fn known(kind: &str, fields: &Value) -> Option<Event> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Push {
        Message { message: Message },
        Edited { message: Message },
        Deleted { channel_id: ChannelId, seq: Seq, revision: u32 },
        Reaction { channel_id: ChannelId, seq: Seq, emoji: String, count: u32, user_id: UserId, on: bool },
        Membership { channel_id: ChannelId, user_id: UserId, change: MemberChange, role: Role },
        Read { channel_id: ChannelId, user_id: UserId, read_seq: Seq },
        Snapshot { channels: Vec<SnapshotChannel>, more: bool },
        Head { channel_id: ChannelId, head_seq: Seq },
        Presence { entries: Vec<PresenceEntry> },
        Typing { channel_id: ChannelId, user_id: UserId, on: bool },
        Published { channel_id: ChannelId, event: String, data: String },
        FeedHead { count: u32 },
    }
    let only = serde_json::Map::from_iter([(kind.to_owned(), fields.clone())]);
    Some(match serde_json::from_value(Value::Object(only)).ok()? {
        Push::Message { message } => Event::Message(message),
        Push::Edited { message } => Event::Edited(message),
        Push::Deleted { channel_id, seq, revision } => Event::Deleted { channel_id, seq, revision },
        Push::Reaction { channel_id, seq, emoji, count, user_id, on } => {
            Event::Reaction { channel_id, seq, emoji, count, user_id, on }
        }
        Push::Membership { channel_id, user_id, change, role } => {
            Event::Membership { channel_id, user_id, change, role }
        }
        Push::Read { channel_id, user_id, read_seq } => Event::Read { channel_id, user_id, read_seq },
        Push::Snapshot { channels, more } => Event::Snapshot { channels, first: !more, more },
        Push::Head { channel_id, head_seq } => Event::Head { channel_id, head_seq },
        Push::Presence { entries } => Event::Presence(entries),
        Push::Typing { channel_id, user_id, on } => Event::Typing { channel_id, user_id, on },
        Push::Published { channel_id, event, data } => Event::Published { channel_id, event, data },
        Push::FeedHead { count } => Event::FeedHead { count },
    })
}

/// A place in the account's inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Behind this cursor.
    After(String),
    /// None is known: the server did not take the one that was.
    Nowhere,
}

/// An event on its way to the application.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    /// None where something was said again: it has a place alone.
    pub(crate) event: Option<Event>,
    /// The place after it, stored once it is acknowledged.
    pub(crate) place: Option<Place>,
    /// Bytes of its frame, for the bound of the queue.
    pub(crate) bytes: usize,
}

/// Queue of events that a client and its [`Events`] share.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// The application has fetched or acknowledged something, or is gone.
    pub(crate) moved: Notify,
}

#[derive(Debug, Default)]
struct State {
    told: VecDeque<Told>,
    bytes: usize,
    /// Events about operations among them.
    outgoing: usize,
    waker: Option<Waker>,
    /// The newest place that was acknowledged and not handed on yet.
    acknowledged: Option<Place>,
    /// Nobody will put anything here any more.
    over: bool,
    /// Nobody will fetch anything any more.
    gone: bool,
}

/// Events that wait, from which on a word about the connection takes the place of the one before it: without end, nobody has to
/// fetch what has passed.
const UNFETCHED_MIN: usize = 16;

/// Fill of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fill {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    pub(crate) outgoing: usize,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn put(&self, told: Told) {
        let mut state = self.state();
        if state.gone {
            return;
        }
        let is_connection = |told: &Told| matches!(told.event, Some(Event::Connection(_)));
        let unfetched = state.told.len() >= UNFETCHED_MIN;
        match state.told.back_mut() {
            // The last word stands for both, and the later place for both.
            Some(last) if unfetched && is_connection(&told) && is_connection(last) => {
                last.event = told.event;
                last.place = told.place.or(last.place.take());
            }
            // Who acknowledges the event before it has all of it.
            Some(last) if told.event.is_none() => last.place = told.place.or(last.place.take()),
            Some(_) | None => {
                state.bytes += told.bytes;
                state.outgoing += usize::from(matches!(told.event, Some(Event::Outgoing(_))));
                state.told.push_back(told);
            }
        }
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    pub(crate) fn fill(&self) -> Fill {
        let state = self.state();
        Fill { events: state.told.len(), bytes: state.bytes, outgoing: state.outgoing }
    }

    /// The newest place that may be stored, once.
    pub(crate) fn take_acknowledged(&self) -> Option<Place> {
        self.state().acknowledged.take()
    }

    /// `true` once the application has let go of its events.
    pub(crate) fn is_gone(&self) -> bool {
        self.state().gone
    }

    /// End of the events: those that are there are all that there will be.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.over = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

/// The events of a client, a [`Stream`] that ends after [`Event::Ended`].
///
/// An event is acknowledged by fetching the next one, or by [`acknowledge`](Self::acknowledge): then the application has done
/// with it what it wants, and after a crash the client goes on behind it. What was fetched and not acknowledged comes again
/// then, so each event is told at least once, and only around a crash twice. Where that matters, apply messages by `(channel_id,
/// seq, revision)`, which is the same each time.
///
/// Events that are fetched several ahead, by `buffered` or into a channel, are acknowledged before they were worked on.
#[derive(Debug)]
pub struct Events {
    queue: Arc<Queue>,
    /// The place after the event that was fetched last.
    fetched: Option<Place>,
}

impl Events {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, fetched: None }
    }

    /// The event that was fetched last has been worked on: it will not be told again.
    pub fn acknowledge(&mut self) {
        if let Some(place) = self.fetched.take() {
            self.queue.state().acknowledged = Some(place);
            self.queue.moved.notify_one();
        }
    }

    /// The cursor after the event that was fetched last, if it has one and was not acknowledged: for an application that keeps it
    /// together with what it made of the event, in a [`Store`](crate::Store) of its own.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        match &self.fetched {
            Some(Place::After(cursor)) => Some(cursor),
            Some(Place::Nowhere) | None => None,
        }
    }

    /// The next event, which acknowledges the one before; `None` once there will be none. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.acknowledge();
        let queue = Arc::clone(&self.queue);
        let mut state = queue.state();
        while let Some(Told { event, place, bytes }) = state.told.pop_front() {
            state.bytes -= bytes;
            queue.moved.notify_one();
            match event {
                Some(event) => {
                    state.outgoing -= usize::from(matches!(event, Event::Outgoing(_)));
                    self.fetched = place;
                    return Poll::Ready(Some(event));
                }
                // All before it is acknowledged, and it says nothing.
                None => state.acknowledged = place.or(state.acknowledged.take()),
            }
        }
        if state.over {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.gone = true;
        state.told.clear();
        (state.bytes, state.outgoing) = (0, 0);
        drop(state);
        self.queue.moved.notify_one();
    }
}

impl From<StoreError> for Event {
    fn from(error: StoreError) -> Self {
        Self::StoreFailed(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ChannelKind;
    use futures_util::FutureExt as _;
    use serde_json::json;

    #[test]
    fn a_push_that_is_not_understood_is_told_as_it_came_and_keeps_its_place() {
        let check = |kind: &str, fields: Value, expected: Event| {
            assert_eq!(of_push(kind, &fields), (expected, Some("c".to_owned())), "{kind} {fields}");
        };
        let later = json!({"colour": "red", "cursor": "c"});
        check("painted", later.clone(), Event::Unknown { kind: "painted".into(), fields: later.clone() });
        // Of a known kind with fields that are not its own: nothing is lost without a word.
        check("deleted", later.clone(), Event::Unknown { kind: "deleted".into(), fields: later });
        let channel = json!({"channel_id": "1", "kind": "vast", "head_seq": 2, "read_seq": 1, "unread": 1});
        let channels = vec![SnapshotChannel {
            channel_id: ChannelId(1),
            kind: ChannelKind::Unknown,
            head_seq: Seq(2),
            read_seq: Seq(1),
            unread: 1,
        }];
        let snapshot = json!({"channels": [channel], "more": false, "cursor": "c"});
        check("snapshot", snapshot, Event::Snapshot { channels, first: true, more: false });
    }

    /// Puts events with these cursors (`-`: without; `x`: the cursor is lost; `=a`: a cursor alone), then does what each word says; the cursors that may be stored.
    #[track_caller]
    fn check(steps: &str, expected: &str) {
        let queue = Arc::new(Queue::default());
        let mut events = Events::new(Arc::clone(&queue));
        let mut stored = Vec::new();
        for step in steps.split(' ') {
            match step {
                "next" => assert!(events.next().now_or_never().is_some(), "{steps}"),
                "none" => assert!(events.next().now_or_never().is_none(), "{steps}"),
                "ack" => events.acknowledge(),
                put => {
                    let (event, cursor) = match put.strip_prefix('=') {
                        Some(cursor) => (None, cursor),
                        None => (Some(Event::Reset), put),
                    };
                    let place = match cursor {
                        "-" => None,
                        "x" => Some(Place::Nowhere),
                        cursor => Some(Place::After(cursor.to_owned())),
                    };
                    queue.put(Told { event, place, bytes: 1 });
                }
            }
            stored.extend(queue.take_acknowledged().map(|place| match place {
                Place::After(cursor) => cursor,
                Place::Nowhere => "x".to_owned(),
            }));
        }
        assert_eq!(queue.fill().bytes == 0, queue.fill().events == 0, "{steps}");
        assert_eq!(stored.join(" "), expected, "{steps}");
    }

    #[test]
    fn a_cursor_may_be_stored_once_its_event_is_acknowledged() {
        check("a b next", "");
        check("a b next next", "a");
        check("a b next ack", "a");
        check("a b next ack next", "a");
        check("a next none", "a");
        check("a - b next next next", "a");
        check("a - b next next next ack", "a b");
        check("a x b next next next ack", "a x b");
    }

    #[test]
    fn what_says_nothing_new_moves_the_cursor_on_with_the_event_before_it() {
        check("a =b next", "");
        check("a =b next ack", "b");
        check("a next =b ack none", "a b");
        check("=a none", "a");
        check("=a =b none", "b");
        check("a next =b c next ack", "b c");
    }

    #[test]
    fn of_many_states_of_the_connection_that_nobody_fetches_the_last_is_kept() {
        let queue = Arc::new(Queue::default());
        let mut events = Events::new(Arc::clone(&queue));
        let waiting = |retry_ms| Event::Connection(Connection::Waiting { code: None, why: String::new(), retry_ms });
        for retry_ms in 1..100 {
            let place = (retry_ms == 20).then(|| Place::After("a".to_owned()));
            queue.put(Told { event: Some(waiting(retry_ms)), place, bytes: 0 });
        }
        assert_eq!(queue.fill().events, UNFETCHED_MIN);
        for retry_ms in 1..16 {
            assert_eq!(events.next().now_or_never(), Some(Some(waiting(retry_ms))));
        }
        assert_eq!(events.next().now_or_never(), Some(Some(waiting(99))));
        events.acknowledge();
        assert_eq!(queue.take_acknowledged(), Some(Place::After("a".to_owned())));
    }
}
