//! One session of a crowd: what comes to it, and what it asks and sends next.
//!
//! Owns the way from replies, refusals and pushes to the crowd's ledgers. What is written, and by whom, is [`talk`](super)'s.

use std::cmp::Reverse;

use schema::command::{Connected, Open};
use schema::{Command, ErrorReply, Message, Reply, Request};

use super::{AGAIN_NS, Crowd, GROUP, NEVER, OPEN_ID, Opening, SEND_ID_MIN, WATCH_ID, Watch, kind};
use crate::crowd::messages::Arrival;
use crate::crowd::outbox::{Asked, Outbox};
use crate::crowd::protocol::{PRESENCE, SEARCH, SLOW_ACK, SLOW_DELIVERY};
use crate::session::{Talk, not_asked_for, send};
use crate::stamp::Stamp;

impl Talk for Crowd {
    fn connected(&mut self, connection: usize, connected: &Connected, now_ns: u64) {
        if self.origin_ms == 0 {
            self.origin_ms = connected.server_time_ms.0.saturating_sub(now_ns / 1_000_000);
        }
        let is_large = self.large_of(connection).is_some();
        let member = &mut self.members[connection];
        member.connected = true;
        let since_ns = std::mem::replace(&mut member.since_ns, NEVER);
        let what = if member.returns { "back" } else { "in" };
        if is_large {
            member.opening = Opening::Wanted;
        } else {
            member.is_told_from(self.messages.next_number());
        }
        if since_ns != NEVER {
            self.record(what, now_ns.saturating_sub(since_ns));
        }
    }

    fn disconnected(&mut self, connection: usize, _now_ns: u64) {
        let member = &mut self.members[connection];
        member.connected = false;
        if std::mem::replace(&mut member.opening, Opening::No) == Opening::Open {
            self.counts.opened -= 1;
        }
        if member.watch == Watch::Watching {
            self.counts.watching -= 1;
        }
        if member.watch != Watch::No {
            member.watch = Watch::Wanted;
        }
        if let Some(outbox) = self.outboxes.get_mut(&connection) {
            self.counts.given_up += outbox.cut_off();
        }
    }

    fn waits(&self, connection: usize) -> bool {
        self.outboxes.get(&connection).is_some_and(Outbox::waits)
    }

    fn woken(&mut self, now_ns: u64) -> Option<usize> {
        let &Reverse((at_ns, connection)) = self.wakes.peek()?;
        if at_ns > now_ns {
            return None;
        }
        self.wakes.pop();
        Some(connection)
    }

    fn answered(&mut self, connection: usize, id: u32, reply: Reply, now_ns: u64) -> Result<(), String> {
        if let (WATCH_ID, Reply::PresenceWatch { .. }) = (id, &reply) {
            self.members[connection].watch = Watch::Watching;
            self.counts.watching += 1;
            return Ok(());
        }
        if let (OPEN_ID, Reply::Open(opened)) = (id, &reply) {
            let next = self.messages.next_number();
            let member = &mut self.members[connection];
            member.opening = Opening::Open;
            if !member.returns {
                member.last[GROUP] = opened.head_seq;
            }
            member.is_told_from(next);
            self.counts.opened += 1;
            return Ok(());
        }
        let asked = self.outboxes.get_mut(&connection).and_then(|outbox| outbox.answered(id));
        match (reply, asked) {
            (Reply::Send { .. }, Some(Asked::Message(number))) => {
                if let Some(intended_ns) = self.messages.acked(number) {
                    self.counts.acked += 1;
                    let what = if self.members[connection].slow { SLOW_ACK } else { "ack" };
                    self.record(what, now_ns.saturating_sub(intended_ns));
                }
                Ok(())
            }
            (Reply::PresenceGet { .. }, Some(Asked::Question { what: what @ PRESENCE, intended_ns }))
            | (Reply::Search(_), Some(Asked::Question { what: what @ SEARCH, intended_ns })) => {
                self.counts.answered += 1;
                self.record(what, now_ns.saturating_sub(intended_ns));
                Ok(())
            }
            (other, _) => not_asked_for(id, &other),
        }
    }

    fn refused(&mut self, connection: usize, id: u32, error: &ErrorReply, now_ns: u64) -> Result<(), String> {
        let fatal = || Err(format!("request {id} was refused with {}: {}", error.code, error.message));
        if !error.temporary {
            return fatal();
        }
        let again_ns = now_ns + AGAIN_NS.max(u64::from(error.retry_after_ms) * 1_000_000);
        let outbox = self.outboxes.entry(connection).or_default();
        outbox.pause(again_ns);
        match outbox.answered(id) {
            Some(Asked::Message(number)) => {
                outbox.put_back(number);
                self.counts.retried += 1;
            }
            // Nobody waits for an answer that comes that late.
            Some(Asked::Question { .. }) => self.counts.given_up += 1,
            None if id == WATCH_ID => self.members[connection].watch = Watch::Wanted,
            None if id == OPEN_ID => self.members[connection].opening = Opening::Wanted,
            None => return fatal(),
        }
        self.wakes.push(Reverse((again_ns, connection)));
        Ok(())
    }

    fn delivered(&mut self, connection: usize, message: &Message, now_ns: u64) -> Result<(), String> {
        let account = connection / self.devices;
        let rooms = self.room_of.get(account).into_iter().flatten().flatten().map(|&at| self.rooms[at as usize]);
        let Some(room) = rooms.into_iter().find(|room| room.channel == message.channel_id) else {
            return Err(format!("a message of channel {} came, which nobody writes to", message.channel_id));
        };
        let Some(stamp) = Stamp::of(&message.body) else {
            return Err(format!("message {} of channel {} is none of this run", message.seq, message.channel_id));
        };
        let place = connection - self.first_of(&room);
        let member = &mut self.members[connection];
        let last = &mut member.last[kind(&room)];
        self.counts.out_of_order += u64::from(message.seq < *last);
        *last = message.seq.max(*last);
        if stamp.number < member.from {
            return Ok(());
        }
        let what = if member.slow { SLOW_DELIVERY } else { "delivery" };
        match self.messages.came(stamp.number, place) {
            Arrival::New { intended_ns } => {
                self.counts.delivered += 1;
                self.record(what, now_ns.saturating_sub(intended_ns));
            }
            Arrival::CaughtUp => {}
            Arrival::Again => self.counts.duplicated += 1,
            Arrival::Unknown => {
                return Err(format!("message {} of channel {} was never written", message.seq, message.channel_id));
            }
        }
        Ok(())
    }

    fn next(&mut self, connection: usize, now_ns: u64) -> Option<Request> {
        if self.outboxes.get(&connection).is_some_and(|outbox| outbox.pauses(now_ns)) {
            return None;
        }
        if self.members[connection].watch == Watch::Wanted {
            self.members[connection].watch = Watch::Asked;
            return Some(Request {
                id: WATCH_ID,
                command: Command::PresenceWatch { user_ids: self.watched(connection) },
            });
        }
        if self.members[connection].opening == Opening::Wanted {
            let channel_id = self.large_of(connection)?;
            let member = &mut self.members[connection];
            member.opening = Opening::Asked;
            // The first time from the newest on.
            let after_seq = member.returns.then_some(member.last[GROUP]);
            return Some(Request { id: OPEN_ID, command: Command::Open(Open { channel_id, after_seq }) });
        }
        let outbox = self.outboxes.get_mut(&connection)?;
        let member = &mut self.members[connection];
        let id = member.next_request;
        let command = match outbox.next_question(id) {
            Some(question) => question,
            None => {
                let number = outbox.next_message(id)?;
                let written = self.messages.get(number).expect("what was not acknowledged is in the ledger");
                let stamp = Stamp { intended_ns: written.intended_ns, connection: written.by, number };
                send(self.rooms[written.room].channel, written.id, stamp.body(&self.filler))
            }
        };
        // The first ids are `connect`'s, that of the watch and that of the opening.
        member.next_request = id.checked_add(1).unwrap_or(SEND_ID_MIN);
        Some(Request { id, command })
    }
}
