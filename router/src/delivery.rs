//! Events as frames: each encoded once per encoding on this shard, then shared.
//!
//! Owns the recent frames, within a budget. An event's bytes are the same for all accounts that have it, cursor and
//! all, so one frame serves every member's sessions.

use std::collections::{BTreeMap, VecDeque};

use schema::limits::DELIVERY_CACHE_BYTES_MAX;
use schema::{Cursor, Encoding, Event, Position, Push, ServerFrame};
use wire::{FrameBuf, HEADROOM_BYTES, Opcode, SharedFrame};

/// The place of an event and how it was encoded.
type Key = (Position, Encoding);

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
        let key = (event.position, encoding);
        if let Some(frame) = self.frames.get(&key) {
            return frame.clone();
        }
        let cursor = Cursor { generation, position: event.position };
        let push = Push::of_event(event.channel, &event.body, Some(cursor.to_string()));
        let frame = encode(encoding, &ServerFrame::Push(push));
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
