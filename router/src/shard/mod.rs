//! One shard: a switchboard over its machines.
//!
//! Owns which machine gets what, the table of sessions and when the shard next wants to be woken. Decides nothing else.
//! What a newer view leads to, or a peer that is lost, is `moves`'.

mod moves;

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::limits::HOME_TICK_MS;
use schema::mesh::{Feed, MeshBody, MeshFrame};
use schema::{
    ChannelId, CloseCode, Epoch, ErrorCode, EventBody, Incarnation, Instant, Now, Owner, Push, Refusal, SessionId, View,
};

use crate::before::Before;
use crate::channel::{Asked, Channels};
use crate::counters::{Counter, Counters};
use crate::delivery::{Delivery, Shared};
use crate::drain::{Drain, Leaving};
use crate::effects::Effects;
use crate::feed::Feeds;
use crate::gather::{Gathers, Wanted};
use crate::home::{Home, Login, Name};
use crate::io::{ConnId, Input, Output, Purpose};
use crate::kicks::Kicks;
use crate::logins::Logins;
use crate::openers::Openers;
use crate::ownership;
use crate::parked::Parked;
use crate::placement::Placement;
use crate::rate::UserBuckets;
use crate::rejoins::Rejoins;
use crate::session::{LiveNotice, Session, ShardContext, ShardOutbound};
use crate::store::{Answered, Question};
use crate::tickets::{self, Asker, Tickets};
use crate::timers::{NEVER, Timers};

use moves::Gap;

/// Bits of a session's number below its shard's.
const SESSION_BITS: u32 = 48;

/// The configuration of a shard.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name of this shard.
    pub me: Owner,
    /// The partition table.
    pub view: Arc<View>,
    /// Silence after which a client is pinged.
    pub ping_ms: u64,
}

/// Gauges and counters of a shard, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Connections that speak the protocol.
    pub sessions: u64,
    /// Accounts of this home with a session somewhere.
    pub users: u64,
    /// Operations that are not durable yet.
    pub appends_pending: u64,
    /// Time that the oldest of them has waited.
    pub appends_wait_ms: u64,
    /// Operations that sessions and the HTTP API wait for.
    pub commands_pending: u64,
    /// Bytes of operations that are kept until they are answered.
    pub command_bytes: u64,
    /// Bytes of frames that wait for a newer view.
    pub parked_bytes: u64,
    /// Live sessions that wait until their account's home knows them.
    pub rejoining: u64,
    /// Logins that were begun.
    pub logins: u64,
    /// Logins that are begun in a second at most.
    pub logins_per_s: u64,
    /// Questions to the store without an answer.
    pub store_ops_pending: u64,
    /// Operations that wait for applications' word, or behind one that does.
    pub before_waiting: u64,
    /// Bytes of those.
    pub before_bytes: u64,
    /// Bytes queued for sockets.
    pub outbound_bytes: u64,
    /// Bytes of events that homes hold: from hints, and for sessions that will ask.
    pub held_bytes: u64,
    /// Events encoded, each once per encoding.
    pub events_encoded: u64,
    /// Users whose presence sessions watch here, each as often as it is watched.
    pub watched: u64,
    /// Sessions that follow large channels of this home, each once a channel.
    pub followers: u64,
    /// Channels of this home that the index of words is behind of.
    pub index_behind: u64,
    /// Time that it has been behind of the one that has waited longest.
    pub index_lag_ms: u64,
    /// Push items that were stored for members who were not there.
    pub pushes_written: u64,
    /// Live pushes left out for sessions that were slow to take their events.
    pub live_dropped: u64,
    /// Counts of refusals, omissions and faults.
    pub counters: Counters,
}

/// The logic of one core. See [the crate](crate).
#[derive(Debug)]
pub struct Shard {
    /// Boxed: connections come in the order of their numbers, and so leave the leaves of the map half empty.
    sessions: BTreeMap<ConnId, Box<Session>>,
    conns: BTreeMap<SessionId, ConnId>,
    channels: Channels,
    feeds: Feeds,
    openers: Openers,
    home: Home,
    tickets: Tickets,
    gathers: Gathers,
    kicks: Kicks,
    rejoins: Rejoins,
    logins: Logins,
    parked: Parked,
    gaps: BTreeMap<Incarnation, Gap>,
    users: UserBuckets,
    delivery: Delivery,
    outbound: ShardOutbound,
    before: Before,
    timers: Timers,
    effects: Effects,
    next_session: u64,
    home_tick_at: Instant,
    /// The end of the node that has been announced.
    leaving: Option<Leaving>,
    ping_ms: u64,
}

impl Shard {
    /// A shard without connections.
    #[must_use]
    pub fn new(config: Config, now: Now) -> Self {
        let next_session = u64::from(config.me.shard.0) << SESSION_BITS;
        Self {
            sessions: BTreeMap::new(),
            conns: BTreeMap::new(),
            channels: Channels::new(),
            feeds: Feeds::default(),
            openers: Openers::default(),
            home: Home::new(now),
            tickets: Tickets::default(),
            gathers: Gathers::default(),
            kicks: Kicks::default(),
            rejoins: Rejoins::default(),
            logins: Logins::default(),
            parked: Parked::default(),
            gaps: BTreeMap::new(),
            users: UserBuckets::default(),
            delivery: Delivery::default(),
            outbound: ShardOutbound::default(),
            before: Before::default(),
            timers: Timers::new(now.mono),
            effects: Effects::new(now, Placement::new(config.me, config.view)),
            next_session,
            home_tick_at: now.mono,
            leaving: None,
            ping_ms: config.ping_ms,
        }
    }

    /// Applies one input. Never blocks, never fails: a refusal is an output too.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        self.effects.now = now;
        match input {
            Input::Accepted { conn, purpose } => self.accepted(conn, purpose),
            Input::TurnedAway => self.effects.count(Counter::Connections),
            Input::Message { conn, text, payload } => {
                self.with_session(conn, |session, context| session.message(text, payload, context));
            }
            Input::Heard { conn } => self.with_session(conn, |session, context| session.heard(context.effects.now)),
            Input::Drained { conn, bytes } => {
                self.with_session(conn, |session, context| session.drained(bytes, context));
            }
            Input::Closed { conn } => self.forget(conn),
            Input::Tick => self.tick(),
            Input::Answered(answered) => self.answered(answered),
            Input::Committed { hints, live, feeds } => {
                for (home, stamp, events) in hints {
                    self.effects.mesh(home, MeshBody::Hint { stamp, events });
                }
                for (home, events) in live {
                    self.effects.mesh(home, MeshBody::Live { events });
                }
                for (channel, events) in feeds {
                    self.feeds.happened(channel, events, &mut self.effects);
                }
            }
            Input::Mesh { frame } => self.mesh(frame),
            Input::Command { ticket, channel, op } => {
                let asker = Asker::Api(ticket);
                if let Err(refusal) = self.tickets.ask(asker, channel, op, &mut self.effects) {
                    self.effects.reply(ticket, Err(refusal));
                }
            }
            Input::Kick { ticket, user, whose } => self.kicks.kick(ticket, user, whose, &mut self.effects),
            Input::View { view, version } => self.view(view, version),
            Input::PeerLost { incarnation } => self.peer_lost(incarnation),
            Input::Gap { incarnation } => self.gap(incarnation),
            Input::Writes { on } => self.channels.set_writes(on),
            Input::Before { concerns } => self.before.set(concerns),
            Input::Drain(drain) => self.drain(&drain),
        }
        self.settle();
        self.rejoin();
        self.settle();
    }

    /// Next effect to carry out, oldest first. Legal at any time; any interleaving with `handle` is.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.effects.next_output()
    }

    /// Next question to carry out in the store, oldest first. Legal at any time.
    pub fn poll_question(&mut self) -> Option<Question> {
        self.effects.next_question()
    }

    /// When `handle(now, Input::Tick)` is next wanted.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let leaving = self.leaving.as_ref().filter(|_| !self.sessions.is_empty()).map(Leaving::wanted);
        let limit = leaving.into_iter().chain(self.rejoins.due()).fold(self.home_tick_at, Instant::min);
        self.timers.next_before(limit)
    }

    /// Gauges and counters as they are now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            sessions: self.sessions.len() as u64,
            users: self.home.users() as u64,
            appends_pending: u64::from(self.channels.pending()),
            appends_wait_ms: self.channels.waits_ms(self.effects.now.mono),
            commands_pending: (self.tickets.open() + self.gathers.open() + self.kicks.open()) as u64,
            command_bytes: self.tickets.bytes(),
            parked_bytes: self.parked.bytes(),
            rejoining: self.rejoins.len() as u64,
            logins: self.logins.begun(),
            logins_per_s: self.logins.per_s().into(),
            store_ops_pending: self.effects.open(),
            before_waiting: self.before.waiting().into(),
            before_bytes: self.before.bytes(),
            outbound_bytes: self.outbound.bytes(),
            held_bytes: self.home.held_bytes(),
            events_encoded: self.delivery.encoded,
            watched: self.home.watchers.total() as u64,
            followers: self.feeds.followers() as u64,
            index_behind: self.channels.indexer.behind() as u64,
            index_lag_ms: self.channels.indexer.lag_ms(),
            pushes_written: self.home.arrivals.pushes_written(),
            live_dropped: self.outbound.live_dropped,
            counters: self.effects.counters,
        }
    }

    fn accepted(&mut self, conn: ConnId, purpose: Purpose) {
        let id = SessionId(self.next_session);
        self.next_session += 1;
        let earlier = self.sessions.insert(conn, Box::new(Session::new(conn, id, purpose, self.effects.now)));
        assert!(earlier.is_none(), "{conn:?} was accepted twice");
        self.conns.insert(id, conn);
        let leaves = self.leaving.is_some();
        let is_too_late = purpose != Purpose::Call && self.logins.is_booked(self.effects.now.mono);
        self.with_session(conn, |session, context| {
            if leaves {
                session.leave();
            } else if is_too_late {
                session.turn_away(context);
            }
        });
    }

    /// Lets one session act, then takes it down or sets its timer.
    fn with_session(&mut self, conn: ConnId, act: impl FnOnce(&mut Session, &mut ShardContext<'_>)) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let mut context = ShardContext {
            effects: &mut self.effects,
            tickets: &mut self.tickets,
            gathers: &mut self.gathers,
            rejoins: &mut self.rejoins,
            logins: &mut self.logins,
            users: &mut self.users,
            delivery: &mut self.delivery,
            outbound: &mut self.outbound,
            before: &mut self.before,
            ping_ms: self.ping_ms,
        };
        act(session, &mut context);
        for (channel, is_open) in session.take_opened() {
            self.openers.set(channel, conn, is_open);
        }
        if session.closed().is_none() {
            session.regulate_reads(&mut context);
        }
        if let Some(code) = session.closed() {
            tracing::debug!(conn = conn.0, code = u16::from(code), "connection closed");
            self.effects.count(Counter::Closed);
            self.effects.close(conn, code);
            self.forget(conn);
            return;
        }
        let due = session.due(self.effects.now, self.ping_ms);
        if due < session.armed {
            session.armed = due;
            self.timers.arm(conn, due);
        }
    }

    fn with_named(&mut self, id: SessionId, act: impl FnOnce(&mut Session, &mut ShardContext<'_>)) {
        if let Some(&conn) = self.conns.get(&id) {
            self.with_session(conn, act);
        }
    }

    fn forget(&mut self, conn: ConnId) {
        let Some(session) = self.sessions.remove(&conn) else { return };
        self.conns.remove(&session.id);
        self.rejoins.forget(conn);
        session.forget(&mut self.openers, &mut self.outbound, &mut self.before, &mut self.effects);
    }

    fn tick(&mut self) {
        let now = self.effects.now.mono;
        for (conn, at) in self.timers.expired(now) {
            if let Some(session) = self.sessions.get_mut(&conn).filter(|session| session.armed == at) {
                session.armed = NEVER;
                self.with_session(conn, Session::tick);
            }
        }
        if now >= self.home_tick_at {
            self.home_tick_at = now.plus_ms(HOME_TICK_MS);
            self.home.tick(&mut self.effects);
            self.channels.tick(&mut self.effects);
            self.feeds.tick(&mut self.effects);
            self.users.tick(now);
            self.tickets.tick(&mut self.effects);
            self.gathers.tick(&mut self.effects);
            self.kicks.tick(&mut self.effects);
            self.rejoins.tick(now);
            self.logins.tick(now);
            self.await_views();
            self.tick_gaps();
            self.refuse_overdue();
        }
        self.close_leaving();
    }

    fn refuse_overdue(&mut self) {
        let now = self.effects.now.mono;
        for (conn, id) in self.gathers.overdue(now) {
            self.effects.count(Counter::Overdue);
            let refusal = Refusal::new(ErrorCode::StorageUnavailable, "a home did not answer in time, ask again");
            self.with_session(conn, |session, context| session.answer(id, Err(refusal), context));
        }
        for (asker, sends) in self.tickets.overdue(now) {
            self.effects.count(Counter::Overdue);
            let refusal = Refusal::new(ErrorCode::StorageUnavailable, "no answer in time; sending it again is safe");
            match asker {
                Asker::Session { conn, id, .. } => {
                    self.with_session(conn, |session, context| session.refused(id, sends, refusal, context));
                }
                Asker::Api(ticket) => self.effects.reply(ticket, Err(refusal)),
            }
        }
    }

    fn drain(&mut self, drain: &Drain) {
        let conns: Vec<ConnId> = self.sessions.keys().copied().collect();
        if self.leaving.replace(Leaving::new(drain, self.effects.now, &conns)).is_none() {
            for (place, conn) in conns.into_iter().enumerate() {
                self.with_session(conn, |session, context| session.told_to_leave(drain.push(place), context));
            }
        }
        self.close_leaving();
    }

    /// Closes those whose moment has come, and at the deadline all.
    fn close_leaving(&mut self) {
        let now = self.effects.now.mono;
        while let Some(conn) = self.leaving.as_mut().and_then(|leaving| leaving.next_due(now)) {
            self.with_session(conn, |session, _| session.leave());
        }
        if self.leaving.as_ref().is_some_and(|leaving| leaving.is_over(now)) {
            self.with_each(|session, _| session.close(CloseCode::GoingAway));
        }
    }

    fn with_each(&mut self, act: impl Fn(&mut Session, &mut ShardContext<'_>)) {
        let conns: Vec<ConnId> = self.sessions.keys().copied().collect();
        for conn in conns {
            self.with_session(conn, &act);
        }
    }

    fn answered(&mut self, answered: Answered) {
        self.effects.answered();
        if let Some(refusal) = answered.refusal() {
            let code = u16::from(refusal.code);
            tracing::debug!(question = answered.kind(), code, "the store refused");
            self.effects.count(Counter::StoreRefused);
        }
        let effects = &mut self.effects;
        match answered {
            Answered::Authenticate(answer) => {
                if let Some(asked_at) = answer.waiter.login_asked_at() {
                    self.logins.answered(effects.now.mono, asked_at, answer.reply.as_ref().err());
                }
                self.with_session(answer.waiter.conn, |session, context| session.authenticated(answer, context));
            }
            Answered::History(answer) => {
                self.with_session(answer.waiter.conn, |session, context| session.history_read(answer, context));
            }
            Answered::Search(answer) => {
                self.with_session(answer.waiter.conn, |session, context| session.found(answer, context));
            }
            Answered::OpenChannel(answer) => {
                self.with_session(answer.waiter.conn, |session, context| session.channel_opened(answer, context));
            }
            Answered::Members(answer) => {
                self.with_session(answer.waiter.conn, |session, context| session.members_listed(answer, context));
            }
            Answered::AskBefore(answer) => {
                self.before.leave(answer.waiter.bytes);
                self.with_session(answer.waiter.conn, |session, context| session.told_before(answer, context));
            }
            Answered::Apply(answer) => self.channels.applied(answer, effects),
            Answered::Index(answer) => self.channels.indexed(answer, effects),
            Answered::Subscribe(answer) => self.feeds.checked(answer, effects),
            Answered::Standing(answer) => self.kicks.standing(answer, effects),
            Answered::FamiliesLive(answer) => self.home.returned(answer, effects),
            Answered::OpenInbox(answer) => {
                self.logins.answered(effects.now.mono, answer.waiter.asked_at(), answer.reply.as_ref().err());
                self.home.opened(answer, effects);
            }
            Answered::ReadInbox(answer) => self.home.inbox(answer, effects),
            Answered::Snapshot(answer) => self.home.snapshot(answer, effects),
            Answered::ReadArrivals(answer) => self.home.arrivals(answer, effects),
            Answered::ClearArrivals(answer) => self.home.arrivals.cleared(answer, effects),
            // What could not be trimmed now is trimmed at the next turn of its account.
            Answered::TrimInbox(_) => {}
            Answered::PutPresence(answer) => self.home.presence.saved(answer, effects),
            Answered::LargeOf(answer) => self.home.large_of(answer, effects),
            Answered::Visible(answer) => self.home.visible(answer, effects),
        }
    }

    /// A frame of another shard. What is for another life, or of one that is over, is not for us; a request counts once
    /// this shard's view is as new as the asker's.
    fn mesh(&mut self, frame: MeshFrame) {
        let epoch = self.effects.placement.view().epoch;
        let is_newer = frame.epoch > epoch;
        if frame.to != self.effects.placement.me || !(is_newer || self.effects.placement.has(frame.from.incarnation)) {
            return self.effects.count(Counter::Strays);
        }
        if is_newer {
            self.effects.outdated(frame.epoch);
            if ownership::is_request(&frame.body) {
                return self.park(frame);
            }
        }
        let MeshFrame { from, epoch, body, .. } = frame;
        self.judge(from, epoch, body);
    }

    /// Carries out what is this shard's, and refuses the rest.
    fn judge(&mut self, from: Owner, epoch: Epoch, body: MeshBody) {
        if ownership::is_ours(&self.effects.placement, epoch, &body) {
            return self.received(from, epoch, body);
        }
        match ownership::refusal(&body) {
            Some(refusal) => {
                self.effects.count(Counter::Moving);
                self.effects.mesh(from, refusal);
            }
            None => self.effects.count(Counter::NotOurs),
        }
    }

    fn received(&mut self, from: Owner, epoch: Epoch, body: MeshBody) {
        match body {
            MeshBody::Apply { ticket, channel, op, attempt, behind } => {
                let asker = Asked { by: from, ticket, attempt };
                self.channels.apply(asker, channel, op, behind, &mut self.effects);
            }
            MeshBody::Applied { ticket, attempt, reply } => {
                for answered in self.tickets.answered(from, (ticket, attempt), reply) {
                    self.answer(answered);
                }
            }
            MeshBody::Hint { stamp, events } => self.home.arrivals.hint(stamp, events, &mut self.effects),
            MeshBody::Register { session, user, device, family, client, cursor, attempt } => {
                let name = Name { user, owner: from, session };
                let login = Login { device, family, client };
                if self.home.register(name, login, (cursor, attempt), &mut self.effects) {
                    self.logins.asked();
                }
            }
            MeshBody::RegisterMany { sessions } => {
                self.home.register_many(from, epoch, sessions, &mut self.effects);
            }
            MeshBody::Registered { session, attempt, start } => {
                self.with_named(session, |session, context| session.registered((from, attempt), start, context));
            }
            MeshBody::Unregister { session, user } => {
                self.home.unregister(Name { user, owner: from, session }, &self.effects);
            }
            MeshBody::More(more) => self.home.more(from, more, &mut self.effects),
            MeshBody::Deliver { events, targets } => {
                for target in targets {
                    self.with_named(target.session, |session, context| session.deliver(&target, &events, context));
                }
            }
            MeshBody::Snapshot { session, after, channels, more, through } => {
                self.with_named(session, |session, context| {
                    session.snapshot(after, channels, more, through, context);
                });
            }
            MeshBody::Replaced { session } => self.with_named(session, |session, _| session.close(CloseCode::Replaced)),
            MeshBody::Live { events } => {
                for event in events {
                    self.home.live(event, &mut self.effects);
                }
            }
            MeshBody::Tell { sessions, what } => {
                let mut notice = LiveNotice::new(what);
                for session in sessions {
                    self.with_named(session, |session, context| session.notify(from, &mut notice, context));
                }
            }
            MeshBody::Kick { ticket, user, whose } => {
                self.home.kick((from, ticket), user, &whose, &mut self.effects);
            }
            MeshBody::KickDone { ticket, refused } => {
                self.kicks.done(ticket, refused.as_ref(), &mut self.effects);
            }
            MeshBody::Kicked { session, erased } => {
                let code = if erased { CloseCode::AccountDeleted } else { CloseCode::Kicked };
                self.with_named(session, |session, _| session.close(code));
            }
            MeshBody::Active { session, user } => {
                self.home.active(Name { user, owner: from, session }, &mut self.effects);
            }
            MeshBody::Watch { session, watcher, number, users, visible } => {
                self.home.watch((from, session), watcher, (number, users), &visible, &mut self.effects);
            }
            MeshBody::Watched { session, number, entries } => {
                self.with_named(session, |session, context| session.watched(from, number, &entries, context));
            }
            MeshBody::PresenceAsk { ticket, asker, users, fellows } => {
                self.home.watchers.question((from, ticket), Wanted { asker, users, fellows }, &mut self.effects);
            }
            MeshBody::PresenceAnswer { ticket, entries } => {
                if let Some((conn, id, reply)) = self.gathers.answered(ticket, from, entries) {
                    self.with_session(conn, |session, context| session.answer(id, reply, context));
                }
            }
            MeshBody::Subscribe { session, user, channel, number } => {
                self.feeds.subscribe((from, session), user, (channel, number), &mut self.effects);
            }
            MeshBody::Subscribed { session, channel, number, start } => {
                self.with_named(session, |session, context| {
                    session.subscribed(from, (channel, number), start, context)
                });
            }
            MeshBody::Unsubscribe { session, channel } => self.feeds.unsubscribe((from, session), channel),
            MeshBody::Feed(Feed { channel, events }) => {
                for event in events {
                    self.fed(from, channel, &event);
                }
            }
            MeshBody::Interest { channels } => self.feeds.interest(from, epoch, channels, &mut self.effects),
            MeshBody::Heads { heads } => self.home.heads(heads, &mut self.effects),
            MeshBody::Index { channel } => self.channels.indexer.mark(channel, &mut self.effects),
        }
    }

    /// Something happened in a large channel: those who have it open are told, one after the other, of one event after
    /// the other.
    fn fed(&mut self, from: Owner, channel: ChannelId, event: &EventBody) {
        let mut push = Shared::new(Push::of_event(channel, event, None));
        for conn in self.openers.of(channel) {
            self.with_session(conn, |session, context| session.fed(from, channel, event, &mut push, context));
        }
    }

    fn answer(&mut self, (asker, sends, reply): tickets::Answered) {
        match asker {
            Asker::Session { conn, id, deletes, .. } => {
                self.with_session(conn, |session, context| session.applied((id, deletes), sends, reply, context));
            }
            Asker::Api(ticket) => self.effects.reply(ticket, reply),
        }
    }

    /// Hands on what the machines said to this very shard, until all is said. Each answer leads to fewer questions: a
    /// session asks once for each delivery, and a delivery needs something that arrived.
    fn settle(&mut self) {
        let me = self.effects.placement.me;
        while let Some(body) = self.effects.next_local() {
            let epoch = self.effects.placement.view().epoch;
            self.judge(me, epoch, body);
        }
    }
}

/// The tables of sessions.
#[cfg(test)]
pub(crate) const BYTES: [(&str, usize); 2] = [
    ("the session by its connection", size_of::<(ConnId, Box<Session>)>()),
    ("the connection by its session's number", size_of::<(SessionId, ConnId)>()),
];
