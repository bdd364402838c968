//! Asking: frames with numbers, who waits for their answers, and what is asked again on the next connection.

use serde_json::{Value, json};

use super::{Answer, Asked, Lasting, Now, Output, PAUSE_MS, Session, Stage, Ticket, refused};
use crate::config::TokenNeed;
use crate::error::{Code, Error};
use crate::events::Event;
use crate::message::{ChannelId, PresenceEntry, Seq};

/// Channels that are opened again on the next connection. A server lets 64 large ones be open.
const OPEN_MAX: usize = 256;
/// Interval at which it is told that the user writes in a channel.
const TYPING_MS: u64 = 3_000;
/// Channels for which that is remembered.
const TYPING_MAX: usize = 64;

impl Session {
    pub(super) fn ask(&mut self, now: Now, command: &str, fields: Value, asked: Asked) {
        self.say(command, fields, asked);
        self.pulse.asked_ms.get_or_insert(now.ms);
    }

    pub(super) fn say(&mut self, command: &str, fields: Value, asked: Asked) {
        let id = self.next_id;
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.asked.insert(id, asked);
        self.write(&json!({"id": id, command: fields}));
    }

    pub(super) fn write(&mut self, envelope: &Value) {
        self.outputs.push_back(Output::Write(envelope.to_string()));
    }

    pub(super) fn question(
        &mut self,
        now: Now,
        command: &'static str,
        fields: Value,
        lasting: Lasting,
        ticket: Ticket,
    ) {
        if self.is_over() {
            return self.answer(ticket, Err(Error::Ended));
        }
        if let Lasting::Close(channel_id) = lasting {
            self.open.retain(|(open, _)| *open != channel_id);
        }
        if !matches!(self.stage, Stage::Live) {
            return self.answer(ticket, Err(Error::Offline));
        }
        // A frame over the limit would end the connection, and the client with it.
        let bytes = fields.to_string().len();
        if bytes + 256 > self.limits.frame_bytes_max {
            return self
                .answer(ticket, Err(refused(Code::LimitExceeded, format!("{bytes} bytes are too many")).into()));
        }
        self.ask(now, command, fields, Asked::Question { ticket, lasting });
    }

    pub(super) fn typing(&mut self, now: Now, channel_id: ChannelId, on: bool) {
        if !matches!(self.stage, Stage::Live) {
            return;
        }
        let told = self.typing.remove(&channel_id);
        let says = if on { told.is_none_or(|told_ms| told_ms + TYPING_MS <= now.ms) } else { told.is_some() };
        if on {
            if self.typing.len() >= TYPING_MAX {
                self.typing.pop_first();
            }
            self.typing.insert(channel_id, told.filter(|_| !says).unwrap_or(now.ms));
        }
        if says {
            self.write(&json!({"typing": {"channel_id": channel_id, "on": on}}));
        }
    }

    pub(super) fn reopen(&mut self, now: Now, channel_id: ChannelId) {
        let Some((_, after_seq)) = self.open.iter().find(|(open, _)| *open == channel_id) else { return };
        let mut fields = json!({"channel_id": channel_id});
        if let Some(after_seq) = after_seq {
            fields["after_seq"] = json!(after_seq);
        }
        self.ask(now, "open", fields, Asked::Reopen(channel_id));
    }

    pub(super) fn rewatch(&mut self, now: Now) {
        if !self.watched.is_empty() {
            self.ask(now, "presence_watch", json!({"user_ids": self.watched}), Asked::Rewatch);
        }
    }

    pub(super) fn reply(&mut self, now: Now, id: u32, name: &str, fields: Value) {
        let Some(asked) = self.asked.remove(&id) else { return };
        let result = if name == "error" {
            Err(serde_json::from_value(fields).unwrap_or_else(|error| refused(Code::Other(0), error.to_string())))
        } else {
            Ok(fields)
        };
        match (asked, result) {
            (Asked::Connect { resumed }, Ok(reply)) => self.joined(now, reply, resumed),
            (Asked::Connect { resumed }, Err(refusal)) => self.not_joined(now, refusal, resumed),
            // What a refused refresh comes to is said when the token's time is over; an echo's answer has been heard.
            (Asked::Refresh | Asked::Echo, _) => {}
            (Asked::Operation { order }, result) => self.answered(now, order, result),
            (Asked::Question { ticket, lasting }, Ok(reply)) => {
                self.last(lasting, &reply);
                self.answer(ticket, Ok(Answer::Reply(reply)));
            }
            (Asked::Question { ticket, .. }, Err(refusal)) => {
                if matches!(refusal.code, Code::Unauthenticated | Code::TokenExpired) {
                    self.fetch_token(TokenNeed::Refused);
                }
                self.answer(ticket, Err(refusal.into()));
            }
            (Asked::Reopen(channel_id), Ok(reply)) => match serde_json::from_value(reply) {
                Ok(opened) => self.tell(Event::Opened { channel_id, opened }),
                Err(error) => self.give_up(now, &format!("the node opens a channel and does not say so: {error}")),
            },
            (Asked::Rewatch, Ok(reply)) => self.present(&reply),
            (asked @ (Asked::Reopen(_) | Asked::Rewatch), Err(refusal)) if refusal.temporary => {
                self.later.push((now.ms + refusal.retry_after_ms.max(PAUSE_MS), asked));
            }
            (Asked::Reopen(channel_id), Err(refusal)) => {
                self.open.retain(|(open, _)| *open != channel_id);
                self.tell(Event::NotOpened { channel_id, refusal });
            }
            (Asked::Rewatch, Err(_)) => self.watched.clear(),
        }
    }

    pub(super) fn present(&mut self, reply: &Value) {
        let entries = reply.get("entries").cloned().unwrap_or_default();
        if let Ok(entries) = serde_json::from_value::<Vec<PresenceEntry>>(entries) {
            self.tell(Event::Presence(entries));
        }
    }

    /// Keeps what is to be asked again on the next connection.
    pub(super) fn last(&mut self, lasting: Lasting, reply: &Value) {
        match lasting {
            Lasting::No | Lasting::Close(_) => {}
            Lasting::Open(channel_id, after_seq) => {
                // From the newest on, which the reply names: after a disconnection it may not be the newest any more.
                let head = reply.get("head_seq").and_then(Value::as_u64).map(Seq);
                let known = self.open.iter().find(|(open, _)| *open == channel_id).and_then(|(_, seq)| *seq);
                let after_seq = after_seq.or(head).max(known.filter(|_| after_seq.is_none()));
                self.open.retain(|(open, _)| *open != channel_id);
                if self.open.len() >= OPEN_MAX {
                    self.open.remove(0);
                }
                self.open.push((channel_id, after_seq));
            }
            Lasting::Watch(users) => {
                self.watched = users;
                self.present(reply);
            }
        }
    }
}
