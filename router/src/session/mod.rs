//! One connection that speaks the protocol: from its first command to its close.
//!
//! Owns the session's parts and what every one of them leads to: answer, push, close, read or not. `login` gets it to
//! its account, `commands` takes requests, as far as `admission` lets them in, `operations`, `pages` and `channels`
//! carry them out, `before` after applications had their word, `inbox` moves its `cursor` (I6), `feed` those over large channels, `presence` and `live` push what
//! is in no inbox, `disrupted` says again what homes have to know, `deadlines` says when it is over, `outbound` what it may
//! have queued (I11). Every command is answered once, or the connection is closed (I12).
//!
//! The parts compute and know neither connection nor shard: `stage`, `admission`, `cursor`, `open` with a `log` for each
//! large channel, `held`, `watching`, `writing`. The other files decide, and carry out what the parts return.

mod admission;
mod before;
mod channels;
mod cold;
mod commands;
mod cursor;
mod deadlines;
mod disrupted;
mod feed;
mod held;
mod inbox;
mod live;
mod log;
mod login;
mod open;
mod operations;
mod outbound;
mod pages;
mod presence;
mod stage;
mod watching;
mod writing;

use schema::limits::OUTBOUND_BYTES_MAX;
use schema::mesh::MeshBody;
use schema::{ChannelId, CloseCode, Encoding, Instant, Now, Push, Refusal, Reply, Seq, ServerFrame, SessionId};
use wire::SharedFrame;

use crate::before::Before;
use crate::delivery::{Delivery, encode};
use crate::effects::Effects;
use crate::gather::Gathers;
use crate::io::{ConnId, Purpose};
use crate::logins::Logins;
use crate::openers::Openers;
use crate::rate::UserBuckets;
use crate::rejoins::Rejoins;
use crate::store::{Answer, History, waiters};
use crate::tickets::Tickets;
use crate::timers::NEVER;

use admission::Admission;
use channels::OpenWaiter;
use cold::ColdState;
pub(crate) use live::LiveNotice;
use login::TokenWaiter;
use outbound::Outbound;
pub(crate) use outbound::ShardOutbound;
use stage::Stage;

/// A session that waits for the answer to a command.
#[derive(Debug)]
pub struct CommandWaiter {
    pub(crate) conn: ConnId,
    /// The client's number for the command.
    id: u32,
}

/// A session that waits for a page of history.
#[derive(Debug)]
pub struct HistoryWaiter {
    pub(crate) conn: ConnId,
    wanted: HistoryWanted,
}

waiters! {
    Authenticate => TokenWaiter;
    History => HistoryWaiter;
    Search => CommandWaiter;
    OpenChannel => OpenWaiter;
    Members => CommandWaiter;
}

#[derive(Debug)]
enum HistoryWanted {
    /// The client wants the page, under its number.
    Page(u32),
    /// The session pushes the log of a large channel, after this seq.
    Log(ChannelId, Seq),
}

/// The machines of its shard that a session works with.
pub(crate) struct ShardContext<'a> {
    pub(crate) effects: &'a mut Effects,
    pub(crate) tickets: &'a mut Tickets,
    pub(crate) gathers: &'a mut Gathers,
    pub(crate) rejoins: &'a mut Rejoins,
    pub(crate) logins: &'a mut Logins,
    pub(crate) users: &'a mut UserBuckets,
    pub(crate) delivery: &'a mut Delivery,
    pub(crate) outbound: &'a mut ShardOutbound,
    pub(crate) before: &'a mut Before,
    /// Silence after which a client is pinged.
    pub(crate) ping_ms: u64,
}

/// A connection's state. Idle and live it is this struct and one boxed [`Live`](stage::Live).
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) conn: ConnId,
    pub(crate) id: SessionId,
    stage: Stage,
    outbound: Outbound,
    admission: Admission,
    heard_at: Instant,
    /// The number of its last word about itself to its account's home, beginning again after 65,535: no answer is under
    /// way for as many.
    attempt: u16,
    /// The instant for which its timer is set, or [`NEVER`]; a timer that fires for another is stale.
    pub(crate) armed: Instant,
    cold: Option<Box<ColdState>>,
    purpose: Purpose,
    pinged: bool,
    reads_on: bool,
    draining: bool,
    closed: Option<CloseCode>,
}

impl Session {
    pub(crate) fn new(conn: ConnId, id: SessionId, purpose: Purpose, now: Now) -> Self {
        Self {
            conn,
            id,
            stage: Stage::new(now.mono),
            outbound: Outbound::default(),
            admission: Admission::new(now.mono),
            heard_at: now.mono,
            attempt: 0,
            armed: NEVER,
            cold: None,
            purpose,
            pinged: false,
            reads_on: true,
            draining: false,
            closed: None,
        }
    }

    /// The reason for which it is over, if it is: its shard takes it down.
    pub(crate) fn closed(&self) -> Option<CloseCode> {
        self.closed
    }

    /// Takes the large channels that it has opened, or closed, since the last time.
    pub(crate) fn take_opened(&mut self) -> Vec<(ChannelId, bool)> {
        self.cold.as_deref_mut().map(|cold| cold.open.take_changes()).unwrap_or_default()
    }

    /// Takes leave of all that know it: the homes of those it watches, of its channels and of its account.
    pub(crate) fn forget(
        mut self,
        openers: &mut Openers,
        outbound: &mut ShardOutbound,
        before: &mut Before,
        effects: &mut Effects,
    ) {
        outbound.forget(self.outbound.queued_bytes());
        if let Some(cold) = self.cold.as_deref_mut() {
            cold.held.clear(before);
        }
        self.say_watch_all(true, effects);
        for channel in self.cold.as_deref().into_iter().flat_map(|cold| cold.open.large()) {
            openers.set(channel, self.conn, false);
            self.unsubscribe(channel, effects);
        }
        if let Some(user) = self.stage.registered_user() {
            let home = effects.placement.home_of_user(user);
            effects.mesh(home, MeshBody::Unregister { session: self.id, user });
        }
    }

    /// Bytes arrived.
    pub(crate) fn heard(&mut self, now: Now) {
        self.heard_at = now.mono;
        self.pinged = false;
    }

    /// Bytes have left.
    pub(crate) fn drained(&mut self, bytes: u32, context: &mut ShardContext<'_>) {
        self.outbound.drained(bytes, context.effects.now.mono, context.outbound);
        self.pump(context);
        self.ask(context);
        self.push_presence(context);
    }

    /// The store has read a page of history.
    pub(crate) fn history_read(&mut self, answer: Answer<History>, context: &mut ShardContext<'_>) {
        match answer.waiter.wanted {
            HistoryWanted::Page(id) => self.page_read(id, answer.reply, context),
            HistoryWanted::Log(channel, after) => self.log_read((channel, after), answer.reply, context),
        }
    }

    /// Answers a request. Number 0 wants no answer.
    pub(crate) fn answer(&mut self, id: u32, reply: Result<Reply, Refusal>, context: &mut ShardContext<'_>) {
        self.admission.answered(self.id, id);
        if id != 0 {
            self.say(&ServerFrame::Reply { id, reply: reply.map_err(Into::into) }, context);
        }
        self.end_if_answered();
    }

    /// Whether it asks and is over, rather than follow anything.
    fn is_call(&self) -> bool {
        self.purpose == Purpose::Call
    }

    fn encoding(&self) -> Encoding {
        self.purpose.encoding()
    }

    /// Closes what is over once all is answered: a call that has asked, and a session whose node goes.
    fn end_if_answered(&mut self) {
        if !self.admission.is_idle() {
            return;
        }
        if self.is_call() && self.stage.user().is_some() {
            self.close(CloseCode::Normal);
        } else if self.draining {
            self.close(CloseCode::GoingAway);
        }
    }

    fn push(&mut self, push: Push, context: &mut ShardContext<'_>) {
        self.say(&ServerFrame::Push(push), context);
    }

    fn say(&mut self, frame: &ServerFrame, context: &mut ShardContext<'_>) {
        if self.closed.is_none() {
            self.send(encode(self.encoding(), frame), context);
        }
    }

    fn send(&mut self, frame: SharedFrame, context: &mut ShardContext<'_>) {
        self.outbound.send(self.conn, frame, context.effects, context.outbound);
        self.check_outbound();
    }

    fn check_outbound(&mut self) {
        if self.outbound.queued_bytes() > OUTBOUND_BYTES_MAX {
            self.close(CloseCode::Slow);
        }
    }

    /// Reads the socket only while there is room for what its commands lead to. Once it does not, it waits until half
    /// of the room is there again: to stop and to go on costs the driver a system call each.
    pub(crate) fn regulate_reads(&mut self, context: &mut ShardContext<'_>) {
        let room = self.admission.has_room(self.reads_on) && self.outbound.has_room_for_replies(self.reads_on);
        let on = room && !self.draining;
        if on != self.reads_on {
            self.reads_on = on;
            if on {
                self.heard(context.effects.now);
            }
            context.effects.reads(self.conn, on);
        }
    }

    /// The session is over, for the first reason that is given.
    pub(crate) fn close(&mut self, code: CloseCode) {
        self.closed.get_or_insert(code);
    }
}

/// What a session takes that is live and idle.
#[cfg(test)]
pub(crate) const BYTES: [(&str, usize); 3] = [
    ("`Session`", size_of::<Session>()),
    ("`Live`: its account and its cursor", size_of::<stage::Live>()),
    ("the device's name, of eight letters", 8),
];
