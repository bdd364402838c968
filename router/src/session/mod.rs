//! One connection that speaks the protocol: from its first command to its close.
//!
//! Owns the session's login, its cursor (I6), its outbound budget (I11) and its deadlines. A session is a cursor over its
//! account's inbox: it asks the account's home for what comes after, and sends what it is given. `commands` holds what it
//! does with requests, `outbound` what it may have queued.

mod commands;
mod outbound;

use schema::command::Connected;
use schema::limits::{
    LOGIN_MS, MORE_AGAIN_MS, OUTBOUND_BYTES_MAX, PING_MS, SILENCE_MS, SLOW_MS, TOKEN_EXPIRING_MS, UNANSWERED_MAX,
};
use schema::mesh::{MeshBody, More, SnapshotPlace, Target};
use schema::{
    CloseCode, Cursor, DeviceId, Encoding, ErrorCode, Event, Instant, Now, OpReply, Position, Push, Refusal, Reply,
    ServerFrame, SessionId, UnixMs, UserId,
};

use crate::delivery::{Delivery, encode};
use crate::effects::Effects;
use crate::io::{ConnId, Identity, StoreResult};
use crate::rate::Bucket;
use crate::tickets::Tickets;

use outbound::Outbound;
pub(crate) use outbound::ShardOutbound;

/// What a session asked the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionOp {
    /// Whose token `connect` bore.
    Connect,
    /// Whose token `refresh` bore, under the client's number.
    Refresh(u32),
    /// A page of history, under the client's number.
    History(u32),
}

/// What of its shard a session works with.
pub(crate) struct Surroundings<'a> {
    pub(crate) now: Now,
    pub(crate) effects: &'a mut Effects,
    pub(crate) tickets: &'a mut Tickets,
    pub(crate) delivery: &'a mut Delivery,
    pub(crate) outbound: &'a mut ShardOutbound,
}

/// A connection's state. Idle and live it is this struct and one boxed [`Live`].
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) conn: ConnId,
    pub(crate) id: SessionId,
    encoding: Encoding,
    stage: Stage,
    outbound: Outbound,
    bucket: Bucket,
    heard_at: Instant,
    opened_at: Instant,
    /// For when its timer is set; a timer that fires for another time is stale.
    pub(crate) armed: Option<Instant>,
    unanswered: u32,
    rate_refusals: u32,
    unparsed: u32,
    pinged: bool,
    reads_on: bool,
    draining: bool,
    deferred: commands::Deferred,
    closed: Option<CloseCode>,
}

#[derive(Debug)]
enum Stage {
    /// No `connect` yet.
    Anonymous,
    /// `connect` is under way.
    Connecting(Box<Connecting>),
    /// The session follows its inbox.
    Live(Box<Live>),
}

#[derive(Debug)]
struct Connecting {
    request: u32,
    device: DeviceId,
    cursor: Option<Cursor>,
    /// Known once the token is.
    identity: Option<Identity>,
}

#[derive(Debug)]
struct Live {
    user: UserId,
    device: DeviceId,
    expires_ms: UnixMs,
    told_expiring: bool,
    generation: u64,
    /// Where in the inbox the session is.
    cursor: Position,
    snapshot: Option<SnapshotPlace>,
    /// Since when its home has an unanswered question.
    asked_at: Option<Instant>,
}

impl Session {
    pub(crate) fn new(conn: ConnId, id: SessionId, encoding: Encoding, now: Now) -> Self {
        Self {
            conn,
            id,
            encoding,
            stage: Stage::Anonymous,
            outbound: Outbound::default(),
            bucket: Bucket::new(now.mono),
            heard_at: now.mono,
            opened_at: now.mono,
            armed: None,
            unanswered: 0,
            rate_refusals: 0,
            unparsed: 0,
            pinged: false,
            reads_on: true,
            draining: false,
            deferred: commands::Deferred::default(),
            closed: None,
        }
    }

    /// Why it is over, if it is: its shard takes it down.
    pub(crate) fn closed(&self) -> Option<CloseCode> {
        self.closed
    }

    /// The account, once it is known to its home.
    pub(crate) fn registered_user(&self) -> Option<UserId> {
        match &self.stage {
            Stage::Anonymous => None,
            Stage::Connecting(connecting) => connecting.identity.as_ref().map(|identity| identity.user),
            Stage::Live(live) => Some(live.user),
        }
    }

    /// Whether the login is done.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live(_))
    }

    /// Bytes queued when it ended, which its shard gives back.
    pub(crate) fn queued_bytes(&self) -> u32 {
        self.outbound.queued_bytes()
    }

    /// Bytes arrived.
    pub(crate) fn heard(&mut self, now: Now) {
        self.heard_at = now.mono;
        self.pinged = false;
    }

    /// Bytes have left.
    pub(crate) fn drained(&mut self, bytes: u32, around: &mut Surroundings<'_>) {
        self.outbound.drained(bytes, around.now.mono, around.outbound);
        self.pump(around);
        self.ask(around);
        self.regulate_reads(around);
    }

    /// The store answered.
    pub(crate) fn stored(&mut self, op: SessionOp, result: StoreResult, around: &mut Surroundings<'_>) {
        match (op, result) {
            (SessionOp::Connect, StoreResult::Identity(identity)) => self.identified(identity, around),
            (SessionOp::Refresh(id), StoreResult::Identity(identity)) => self.refreshed(id, identity, around),
            (SessionOp::History(id), StoreResult::History(page)) => {
                self.deferred.done();
                self.answer(id, page.map(Reply::History), around);
                self.pump(around);
            }
            (op, result) => panic!("I12: {op:?} was answered by {result:?}"),
        }
    }

    /// `connect`'s token is known: the account's home takes the session on.
    fn identified(&mut self, identity: Result<Identity, Refusal>, around: &mut Surroundings<'_>) {
        let Stage::Connecting(connecting) = &mut self.stage else {
            panic!("I12: {} was identified in {:?}", self.id, self.stage)
        };
        let request = connecting.request;
        let other_device = |identity: &Identity| identity.device.as_ref().is_some_and(|d| *d != connecting.device);
        match identity {
            Ok(identity) if other_device(&identity) => {
                let refusal = Refusal::new(ErrorCode::Unauthenticated, "the token is bound to another device_id");
                self.answer(request, Err(refusal), around);
                self.close(CloseCode::BadToken);
            }
            Ok(identity) => {
                let user = identity.user;
                let device = connecting.device.clone();
                let cursor = connecting.cursor;
                connecting.identity = Some(identity);
                let home = around.effects.placement.home_of_user(user);
                around.effects.mesh(home, MeshBody::Register { session: self.id, user, device, cursor });
            }
            Err(refusal) => {
                let code = refusal.code;
                self.stage = Stage::Anonymous;
                self.answer(request, Err(refusal), around);
                match code {
                    ErrorCode::TokenExpired => self.close(CloseCode::TokenExpired),
                    ErrorCode::Unauthenticated => self.close(CloseCode::BadToken),
                    _ => {}
                }
            }
        }
    }

    /// The account's home has taken the session on, or not.
    pub(crate) fn registered(&mut self, start: Result<Cursor, Refusal>, around: &mut Surroundings<'_>) {
        let Stage::Connecting(connecting) = &mut self.stage else { return };
        let Some(identity) = connecting.identity.take() else { return };
        let request = connecting.request;
        match start {
            Ok(cursor) => {
                let device = connecting.device.clone();
                self.stage = Stage::Live(Box::new(Live {
                    user: identity.user,
                    device,
                    expires_ms: identity.expires_ms,
                    told_expiring: false,
                    generation: cursor.generation,
                    cursor: cursor.position,
                    snapshot: None,
                    asked_at: None,
                }));
                let reply = Reply::Connect(Connected {
                    user_id: identity.user,
                    session_id: self.id,
                    server_time_ms: around.now.wall,
                    ping_ms: PING_MS,
                    limits: schema::command::ClientLimits::default(),
                    cursor: cursor.to_string(),
                    retry: schema::command::Retry::default(),
                });
                self.answer(request, Ok(reply), around);
                self.ask(around);
            }
            Err(refusal) => {
                let too_many = refusal.code == ErrorCode::LimitExceeded;
                self.stage = Stage::Anonymous;
                self.answer(request, Err(refusal), around);
                if too_many {
                    self.close(CloseCode::TooManyConnections);
                }
            }
        }
    }

    /// The same device has connected elsewhere.
    pub(crate) fn replaced(&mut self) {
        self.close(CloseCode::Replaced);
    }

    /// `refresh`'s token is known: it must be of the same account, and of this device if of any.
    fn refreshed(&mut self, id: u32, identity: Result<Identity, Refusal>, around: &mut Surroundings<'_>) {
        let Stage::Live(live) = &mut self.stage else { return };
        let reply = identity.and_then(|identity| {
            if identity.user != live.user || identity.device.is_some_and(|device| device != live.device) {
                return Err(Refusal::new(
                    ErrorCode::Unauthenticated,
                    "the token is not of this session's user and device",
                ));
            }
            live.expires_ms = identity.expires_ms;
            live.told_expiring = false;
            Ok(Reply::Refresh { expires_ms: identity.expires_ms })
        });
        self.answer(id, reply, around);
    }

    /// A channel's home has answered.
    pub(crate) fn applied(&mut self, id: u32, reply: Result<OpReply, Refusal>, around: &mut Surroundings<'_>) {
        let reply = reply.map(|reply| match reply {
            OpReply::Sent { seq, sent_ms, duplicate } => Reply::Send { seq, sent_ms, duplicate },
            OpReply::Marked { read_seq, unread } => Reply::Mark { read_seq, unread },
            OpReply::Created { .. } | OpReply::MemberChanged { .. } => {
                panic!("I12: {} asked for a send or a mark and got {reply:?}", self.id)
            }
        });
        self.answer(id, reply, around);
    }

    /// Events of the inbox. They count only if they begin where the session is (I6).
    pub(crate) fn deliver(&mut self, target: &Target, events: &[Event], around: &mut Surroundings<'_>) {
        let (conn, encoding) = (self.conn, self.encoding);
        let Stage::Live(live) = &mut self.stage else { return };
        if target.after != live.cursor || live.snapshot.is_some() {
            return;
        }
        let mut before = live.cursor;
        for &index in &target.events {
            let Some(event) = events.get(usize::from(index)) else { return };
            assert!(event.position > before, "I6: {} is not after {before}", event.position);
            before = event.position;
            let frame = around.delivery.frame(event, encoding, live.generation);
            self.outbound.send(conn, frame, around.now.mono, around.effects, around.outbound);
        }
        assert!(target.through >= before, "I6: a delivery through {} holds {before}", target.through);
        live.cursor = target.through;
        live.asked_at = None;
        self.check_outbound();
        self.ask(around);
    }

    /// A page of what the channels are now, in place of events.
    pub(crate) fn snapshot(
        &mut self,
        after: Position,
        channels: Vec<schema::command::SnapshotChannel>,
        more: bool,
        through: Position,
        around: &mut Surroundings<'_>,
    ) {
        let Stage::Live(live) = &mut self.stage else { return };
        if after != live.cursor {
            return;
        }
        // Later pages are read later; where to go on is what the first one saw.
        let through = live.snapshot.map_or(through, |place| place.through);
        live.asked_at = None;
        live.snapshot = match channels.last() {
            Some(last) if more => Some(SnapshotPlace { through, last: last.channel_id }),
            _ => None,
        };
        let cursor = if live.snapshot.is_none() {
            live.cursor = through;
            Some(Cursor { generation: live.generation, position: through }.to_string())
        } else {
            None
        };
        let more = live.snapshot.is_some();
        self.push(Push::Snapshot { channels, more, cursor }, around);
        self.ask(around);
    }

    /// Asks the account's home for what comes next, if there is room for it and no question open.
    fn ask(&mut self, around: &mut Surroundings<'_>) {
        let credit_bytes = self.outbound.credit_bytes(around.outbound);
        let session = self.id;
        let Stage::Live(live) = &mut self.stage else { return };
        if live.asked_at.is_some() || credit_bytes == 0 || self.closed.is_some() {
            return;
        }
        live.asked_at = Some(around.now.mono);
        let more = More { session, user: live.user, after: live.cursor, credit_bytes, snapshot: live.snapshot };
        let home = around.effects.placement.home_of_user(live.user);
        around.effects.mesh(home, MeshBody::More(more));
    }

    /// The node stops: nothing more is read, and the session closes when its commands are answered.
    pub(crate) fn drain(&mut self, deadline_ms: UnixMs, around: &mut Surroundings<'_>) {
        if !self.draining {
            self.draining = true;
            self.regulate_reads(around);
            if self.is_live() {
                let jitter_ms = schema::limits::RETRY_BASE_MS;
                self.push(Push::Drain { deadline_ms, jitter_ms, url: None }, around);
            }
        }
        if self.unanswered == 0 || around.now.wall >= deadline_ms {
            self.close(CloseCode::GoingAway);
        }
    }

    /// A deadline may be due. Looks at every one: which it is has been forgotten.
    pub(crate) fn tick(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        if !self.is_live() && now.mono >= self.opened_at.plus_ms(LOGIN_MS) {
            return self.close(CloseCode::NotAuthenticated);
        }
        if now.mono >= self.heard_at.plus_ms(SILENCE_MS) && self.reads_on {
            return self.close(CloseCode::NoLife);
        }
        if self.outbound.stalled_since().is_some_and(|since| now.mono >= since.plus_ms(SLOW_MS)) {
            return self.close(CloseCode::Slow);
        }
        if now.mono >= self.heard_at.plus_ms(PING_MS) && !self.pinged {
            self.pinged = true;
            around.effects.ping(self.conn);
        }
        let Stage::Live(live) = &mut self.stage else { return };
        if live.asked_at.is_some_and(|asked| now.mono >= asked.plus_ms(MORE_AGAIN_MS)) {
            live.asked_at = None;
        }
        let expires_ms = live.expires_ms;
        if now.wall >= expires_ms {
            return self.close(CloseCode::TokenExpired);
        }
        if now.wall.plus_ms(TOKEN_EXPIRING_MS) >= expires_ms && !live.told_expiring {
            live.told_expiring = true;
            self.push(Push::TokenExpiring { expires_ms }, around);
        }
        self.ask(around);
    }

    /// When [`tick`](Self::tick) is next wanted.
    pub(crate) fn due(&self, now: Now) -> Instant {
        let silence_ms = if self.pinged { SILENCE_MS } else { PING_MS };
        // While its socket is not read a session cannot be heard; its other deadlines go on.
        let mut due = if self.reads_on { self.heard_at.plus_ms(silence_ms) } else { now.mono.plus_ms(SILENCE_MS) };
        if let Some(since) = self.outbound.stalled_since() {
            due = due.min(since.plus_ms(SLOW_MS));
        }
        match &self.stage {
            Stage::Anonymous | Stage::Connecting(_) => due.min(self.opened_at.plus_ms(LOGIN_MS)),
            Stage::Live(live) => {
                if let Some(asked_at) = live.asked_at {
                    due = due.min(asked_at.plus_ms(MORE_AGAIN_MS));
                }
                let warn_ms = if live.told_expiring { 0 } else { TOKEN_EXPIRING_MS };
                let left_ms = live.expires_ms.since_ms(now.wall).saturating_sub(warn_ms);
                due.min(now.mono.plus_ms(left_ms))
            }
        }
    }

    /// Answers a request. Number 0 wants no answer.
    fn answer(&mut self, id: u32, reply: Result<Reply, Refusal>, around: &mut Surroundings<'_>) {
        self.unanswered = self.unanswered.saturating_sub(1);
        if id != 0 {
            self.say(&ServerFrame::Reply { id, reply: reply.map_err(Into::into) }, around);
        }
        self.regulate_reads(around);
        if self.draining && self.unanswered == 0 {
            self.close(CloseCode::GoingAway);
        }
    }

    fn push(&mut self, push: Push, around: &mut Surroundings<'_>) {
        self.say(&ServerFrame::Push(push), around);
    }

    fn say(&mut self, frame: &ServerFrame, around: &mut Surroundings<'_>) {
        if self.closed.is_none() {
            let frame = encode(self.encoding, frame);
            self.outbound.send(self.conn, frame, around.now.mono, around.effects, around.outbound);
            self.check_outbound();
        }
    }

    fn check_outbound(&mut self) {
        if self.outbound.queued_bytes() > OUTBOUND_BYTES_MAX {
            self.close(CloseCode::Slow);
        }
    }

    /// Reads the socket only while there is room for what its commands lead to.
    fn regulate_reads(&mut self, around: &mut Surroundings<'_>) {
        let on = self.unanswered < UNANSWERED_MAX && !self.outbound.is_full() && !self.draining;
        if on != self.reads_on {
            self.reads_on = on;
            if on {
                self.heard(around.now);
            }
            around.effects.reads(self.conn, on);
        }
    }

    fn close(&mut self, code: CloseCode) {
        self.closed.get_or_insert(code);
    }
}
