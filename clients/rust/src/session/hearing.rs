//! Hearing: envelopes of the server's, and the events that pushes become.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{Drain, Now, Output, Session};
use crate::config::TokenNeed;
use crate::events::{self, Event, Place};
use crate::message::{ChannelId, Message, Seq};
use crate::outbox::{Operation, Outcome, Progress, Sent};

/// Messages in a row that are no envelope, after which a node is given up.
const MALFORMED_MAX: u32 = 20;

impl Session {
    pub(super) fn heard(&mut self, now: Now, socket: u64, text: &str, room: bool) {
        if socket != self.socket {
            return;
        }
        self.alive(now, socket);
        for line in text.split('\n').filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str(line) {
                Ok(Line { id: Some(id), name, fields }) => {
                    self.malformed = 0;
                    self.reply(now, id, &name, fields);
                }
                Ok(Line { id: None, name, fields }) if name == "push" => self.push(now, &fields, line.len(), room),
                // Of a later server, or to nothing that was asked.
                Ok(Line { .. }) => {}
                Err(error) => return self.malformed(now, &error.to_string()),
            }
            if socket != self.socket {
                return;
            }
        }
    }

    pub(super) fn push(&mut self, now: Now, push: &Value, bytes: usize, room: bool) {
        let Some((kind, fields)) = push.as_object().and_then(|push| push.iter().next()) else {
            return self.malformed(now, "a push is an object");
        };
        self.malformed = 0;
        match kind.as_str() {
            "token_expiring" => return self.fetch_token(TokenNeed::Expiring),
            "drain" => return self.drained(now, fields),
            _ => {}
        }
        if !room {
            (self.gap, self.room) = (true, false);
        }
        if self.gap {
            return;
        }
        let (mut event, cursor) = events::of_push(kind, fields);
        if let Event::Snapshot { first, more, .. } = &mut event {
            *first = !std::mem::replace(&mut self.in_snapshot, *more);
        }
        match (&cursor, &event) {
            (Some(cursor), _) => self.cursor = Some(cursor.clone()),
            (None, Event::Message(message)) => self.reached(message.channel_id, message.seq),
            (None, _) => {}
        }
        let arrived = match &event {
            Event::Message(message) => self.arrived(message),
            _ => None,
        };
        // What says nothing new has a place all the same.
        let event = self.known.takes(&event).then_some(event);
        if event.is_some() || cursor.is_some() {
            self.tell_at(event, cursor.map(Place::After), bytes);
        }
        self.outputs.extend(arrived.into_iter().flatten());
    }

    /// An own message that is pushed is durable, whether its answer comes later or was lost.
    pub(super) fn arrived(&mut self, message: &Message) -> Option<[Output; 2]> {
        let order = self.outbox.order_of(message.client_msg_id)?;
        let entry = self.outbox.get(order)?;
        // Anybody may send a message under an id that was seen.
        let is_ours = Some(message.from) == self.user_id && message.channel_id == entry.channel_id;
        if !is_ours || !matches!(entry.operation, Operation::Send(_)) {
            return None;
        }
        let sent = Sent { seq: message.seq, sent_ms: message.sent_ms, duplicate: false };
        let outgoing = entry.with(Progress::Done(Outcome::Sent(sent)));
        if self.outbox.is_under_way(order) {
            self.outbox.answered(order, 0);
        }
        self.outbox.remove(order);
        let waiters = self.done.remove(&order).unwrap_or_default();
        Some([Output::Remove { order, id: outgoing.id }, Output::Finish { waiters, outgoing }])
    }

    /// The node said what is no envelope.
    pub(super) fn malformed(&mut self, now: Now, why: &str) {
        self.malformed += 1;
        self.tell(Event::Malformed(why.to_owned()));
        if self.malformed >= MALFORMED_MAX {
            self.malformed = 0;
            self.give_up(now, "the node says nothing that can be understood");
        }
    }

    /// A message of a large channel that is open.
    pub(super) fn reached(&mut self, channel_id: ChannelId, seq: Seq) {
        if let Some((_, after_seq)) = self.open.iter_mut().find(|(open, _)| *open == channel_id) {
            *after_seq = (*after_seq).max(Some(seq));
        }
    }

    /// The node will stop: it is left after a random part of the jitter, so that not everyone does at once.
    pub(super) fn drained(&mut self, now: Now, fields: &Value) {
        let jitter_ms = fields.get("jitter_ms").and_then(Value::as_u64).unwrap_or(0);
        let url = fields.get("url").and_then(Value::as_str).map(str::to_owned);
        self.drain = Some(Drain { url, leave_ms: now.ms + self.random.u64(0..=jitter_ms) });
    }
}

/// An envelope of the server's: `{"id": 7, "<command>": {…}}` or `{"push": {…}}`.
struct Line {
    id: Option<u32>,
    name: String,
    fields: Value,
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let id = fields.remove("id").and_then(|id| id.as_u64()).and_then(|id| u32::try_from(id).ok());
        let known = ["push", "error"].into_iter().find(|name| fields.contains_key(*name)).map(str::to_owned);
        let name = known.or_else(|| fields.keys().next().cloned()).unwrap_or_default();
        let content = fields.remove(&name).unwrap_or_default();
        Ok(Self { id: id.filter(|&id| id != 0), name, fields: content })
    }
}
