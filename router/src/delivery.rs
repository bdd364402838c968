//! Events as frames: each encoded once per encoding on this shard, then shared.
//!
//! Owns the recent frames, within a budget. An event's bytes are the same for all accounts that have it, cursor and
//! all, so one frame serves every member's sessions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use schema::limits::DELIVERY_CACHE_BYTES_MAX;
use schema::message::Tally;
use schema::{ChannelId, Cursor, Encoding, Event, Message, Position, Push, Seq, ServerFrame};
use wire::{FrameBuf, HEADROOM_BYTES, Opcode, SharedFrame};

/// A push and its encoding.
type Key = (What, Encoding);

/// A push that goes to many sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// An event of inboxes.
    Event(Position),
    /// A message of a large channel's log, without reactions: these do not count as a revision.
    Message(ChannelId, Seq, u32),
}

#[derive(Debug, Default)]
pub(crate) struct Delivery {
    frames: BTreeMap<Key, SharedFrame>,
    oldest: VecDeque<Key>,
    bytes: usize,
    /// Events that were encoded rather than shared.
    pub(crate) encoded: u64,
}

impl Delivery {
    /// The push of an event, as a frame.
    pub(crate) fn frame(&mut self, event: &Event, encoding: Encoding, generation: u64) -> SharedFrame {
        self.shared((What::Event(event.position), encoding), || {
            let cursor = Cursor { generation, position: event.position };
            Push::of_event(event.channel, &event.body, Some(cursor.to_string()))
        })
    }

    /// The push of a message of a large channel that is open, as a frame: the same as it is sent and as it is read from
    /// the log.
    pub(crate) fn message(&mut self, message: &Arc<Message>, encoding: Encoding) -> SharedFrame {
        if message.reactions.is_empty() {
            let what = What::Message(message.channel_id, message.seq, message.revision);
            let push = || Push::Message { message: Arc::clone(message), cursor: None };
            return self.shared((what, encoding), push);
        }
        // A push is the same for all who get it.
        let mut message = Message::clone(message);
        message.reactions = message.reactions.iter().map(|tally| Tally { mine: false, ..tally.clone() }).collect();
        self.encoded += 1;
        encode(encoding, &ServerFrame::Push(Push::Message { message: Arc::new(message), cursor: None }))
    }

    fn shared(&mut self, key: Key, push: impl FnOnce() -> Push) -> SharedFrame {
        if let Some(frame) = self.frames.get(&key) {
            return frame.clone();
        }
        let frame = encode(key.1, &ServerFrame::Push(push()));
        self.encoded += 1;
        self.keep(key, frame.clone());
        frame
    }

    fn keep(&mut self, key: Key, frame: SharedFrame) {
        self.bytes += frame.len();
        self.frames.insert(key, frame);
        self.oldest.push_back(key);
        while self.bytes > DELIVERY_CACHE_BYTES_MAX as usize {
            let Some(key) = self.oldest.pop_front() else { break };
            if let Some(frame) = self.frames.remove(&key) {
                self.bytes -= frame.len();
            }
        }
    }
}

/// One push for many sessions, encoded once per encoding.
#[derive(Debug)]
pub(crate) struct Shared {
    push: ServerFrame,
    frames: [Option<SharedFrame>; 2],
}

impl Shared {
    pub(crate) fn new(push: Push) -> Self {
        Self { push: ServerFrame::Push(push), frames: [None, None] }
    }

    pub(crate) fn frame(&mut self, encoding: Encoding) -> SharedFrame {
        let frame = &mut self.frames[usize::from(encoding.is_text())];
        frame.get_or_insert_with(|| encode(encoding, &self.push)).clone()
    }
}

/// A whole WebSocket frame with one envelope in it.
pub(crate) fn encode(encoding: Encoding, frame: &ServerFrame) -> SharedFrame {
    let mut bytes = vec![0; HEADROOM_BYTES];
    encoding.put_server_frame(frame, &mut bytes);
    let opcode = if encoding.is_text() { Opcode::Text } else { Opcode::Binary };
    FrameBuf::from_headroom(bytes).finish(opcode)
}
