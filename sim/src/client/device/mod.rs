//! One device: what its user does, what goes wrong with it, and what it remembers across connections.
//!
//! Owns its cursor, its outbox and its connection. Behaves as PROTOCOL.md asks of clients: retries with the same id,
//! resumes from the last cursor it holds, backs off. Reports everything as [`Facts`](crate::facts::Facts). `acts` says
//! what it does, `replies` what it hears.

mod acts;
mod feeds;
mod operations;
mod presence;
mod replies;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chat::accounts::FAMILY_OPERATOR;
use schema::command::{Connect, ErrorReply, Send};
use schema::{
    ChannelId, CloseCode, Command, Cursor, DeviceId, Encoding, ErrorCode, MessageKind, Reply, Request, Seq,
    ServerFrame, UserId, message,
};
use tokio::time::{sleep, timeout};

use crate::facts::{Debt, Key};
use crate::node::{sign_in, token};
use crate::rng::Rng;
use crate::trace::note;
use crate::world::{Phase, World};

use super::outbox::Outbox;
use super::socket::{Incoming, Socket};

/// How long a device waits for a connection, and for the reply to `connect`.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a command may stay unanswered: a home is waited for 20 s.
const ANSWER_MS: u64 = 30_000;
/// How long a device waits on a connection that says nothing: a machine without power says nothing for ever.
const PATIENCE_MS: u64 = 8_000;
/// How long a device waits for the end of a connection that it closed.
const CLOSING_MS: u64 = 3_000;
/// Messages and operations that a device has on the way at most.
const UNSENT_MAX: usize = 40;
/// Own messages that a device remembers, to send them again.
const REMEMBERED_MAX: usize = 50;

/// What a request was for.
#[derive(Debug, Clone)]
enum Asked {
    Send(Key),
    /// The same message again, long after it was acknowledged with this seq.
    Again(Key, Seq),
    /// Another message under an id that is taken.
    Reuse(Key),
    /// An edit, a deletion or a reaction, perhaps not for the first time.
    Operate(Key),
    /// Where the newest page is asked for: up to where its channel was known.
    History(Option<Seq>),
    Mark,
    Typing,
    Watch,
    Open(ChannelId, Seq),
    Echo(String),
}

/// A live connection.
struct Session {
    socket: Socket,
    number: u32,
    next_id: u32,
    asked: BTreeMap<u32, (Asked, u64)>,
    heard_ms: u64,
    /// Whether an echo came back in a healed world: the other end is there. Simulated TCP loses the end of a stream
    /// that its reader does not take, so that nothing but an answer shows it.
    is_proven: bool,
    /// Until when the end is waited for after a close.
    closing_until_ms: Option<u64>,
    /// Whether nothing that went wrong is felt since it was opened.
    is_healed: bool,
    /// Nothing is read before.
    stalled_until_ms: u64,
    /// When it goes where its node has sent it.
    goes_ms: Option<u64>,
    /// When to ask who is there; none once that was answered, or if nobody wants to know.
    watch_ms: Option<u64>,
    /// Large channels that are to be opened, and when.
    unopened: BTreeMap<ChannelId, u64>,
}

pub(crate) struct Device {
    world: Rc<World>,
    name: DeviceId,
    user: UserId,
    encoding: Encoding,
    rng: Rng,
    /// The login that its tokens are of; none if it is to sign in.
    family: Option<u64>,
    cursor: Option<Cursor>,
    outbox: Outbox,
    remembered: Vec<(Key, Arc<str>, Seq)>,
    /// Operations that were carried out, to ask for them again.
    operated: Vec<(Key, Command)>,
    /// The newest revision seen of each message.
    revisions: BTreeMap<(ChannelId, Seq), u32>,
    /// Whether it has gone for a moment as others leave.
    has_blinked: bool,
    /// Where its node has sent it.
    sent_to: Option<String>,
    /// How long it stays away before it connects again, beside its usual pause.
    blink_ms: u64,
    /// The newest seq seen of each channel.
    heads: BTreeMap<ChannelId, Seq>,
    connections: u32,
    /// Whether a `connect` of it was ever left without an answer: it may be carried out at any time, and take the place of a
    /// later one.
    may_be_replaced: bool,
}

/// How a session ended.
enum End {
    Lost,
    Over,
    /// The device goes for good.
    Left,
}

impl Device {
    pub(crate) fn new(world: &Rc<World>, number: usize) -> Self {
        let user = world.user_of_device(number);
        let rng = world.rng.part(&format!("device {number}"));
        let encoding = if rng.part("encoding").chance(500) { Encoding::Json } else { Encoding::Fb };
        Self {
            world: Rc::clone(world),
            name: World::device(number),
            user,
            encoding,
            rng,
            family: None,
            cursor: None,
            outbox: Outbox::default(),
            remembered: Vec::new(),
            operated: Vec::new(),
            revisions: BTreeMap::new(),
            has_blinked: false,
            sent_to: None,
            blink_ms: 0,
            heads: BTreeMap::new(),
            connections: 0,
            may_be_replaced: false,
        }
    }

    /// Connects again and again until the run is over.
    pub(crate) async fn run(mut self) {
        while self.world.phase() != Phase::Over {
            self.record_standing(false, true, 0);
            if self.family.is_none() {
                self.sign_in().await;
            }
            if let Ok(Some(mut session)) = timeout(CONNECT, self.open()).await {
                let ended = self.run_session(&mut session).await;
                self.world.facts.borrow_mut().disconnected(&self.name, self.world.trace.now_ms());
                match ended {
                    End::Lost => {
                        self.outbox.disconnected();
                        self.close_feeds();
                    }
                    End::Over => return,
                    End::Left => {
                        self.close_feeds();
                        drop(session);
                        return self.stay_away().await;
                    }
                }
            }
            let most = if self.world.phase() == Phase::Busy { 800 } else { 200 };
            let blink_ms = std::mem::take(&mut self.blink_ms);
            sleep(Duration::from_millis(self.rng.within(1..=most) + blink_ms)).await;
        }
    }

    /// A connection that `connect` was answered on.
    async fn open(&mut self) -> Option<Session> {
        self.connections += 1;
        let number = self.connections;
        let mut rng = self.rng.part(&format!("connection {number}"));
        let host = self.sent_to.take().unwrap_or_else(|| self.world.any_host(&mut rng).to_owned());
        note!(self.world.trace, "{}: goes to {host}", self.name);
        let mut socket = Socket::open(&self.world, &host, self.name.as_str(), self.encoding, rng).await?;
        let cursor = self.cursor.map(|cursor| cursor.to_string());
        let family = self.family.expect("a device signs in first");
        let token = token(self.user, family, self.world.wall().plus_ms(24 * 3600 * 1000));
        let connect = Connect { token, device_id: self.name.clone(), cursor, client: Some("sim".to_owned()) };
        socket.say(&[Request { id: 1, command: Command::Connect(connect) }]);
        let may_be_replaced = std::mem::replace(&mut self.may_be_replaced, true);
        match socket.incoming.recv().await? {
            Incoming::Frame(ServerFrame::Reply { id: 1, reply: Ok(Reply::Connect(connected)) }) => {
                self.may_be_replaced = may_be_replaced;
                self.connected(connected.cursor.parse().expect("a server's cursor is one"));
            }
            Incoming::Frame(ServerFrame::Reply { id: 1, reply: Err(error) }) => {
                self.refused_connect(&error, may_be_replaced);
                return None;
            }
            Incoming::Frame(frame) => {
                let finding = format!("{} heard {frame:?} before the answer to its connect", self.name);
                self.world.facts.borrow_mut().complain("I12", finding);
                return None;
            }
            Incoming::Closed(code) => {
                self.closed(code);
                return None;
            }
        }
        self.came_on(Debt::Connection);
        let heard_ms = self.world.trace.now_ms();
        Some(Session {
            socket,
            number,
            next_id: 2,
            asked: BTreeMap::new(),
            heard_ms,
            is_proven: false,
            closing_until_ms: None,
            is_healed: self.world.is_well(),
            stalled_until_ms: 0,
            goes_ms: None,
            watch_ms: self.world.plan.watches.then_some(heard_ms),
            unopened: self.world.larges_of(self.user).into_iter().map(|large| (large, heard_ms)).collect(),
        })
    }

    fn connected(&mut self, cursor: Cursor) {
        note!(self.world.trace, "{}: connected at {}", self.name, cursor.position);
        let mut facts = self.world.facts.borrow_mut();
        facts.connected(&self.name);
        match self.cursor {
            None => facts.started(&self.name, self.user, cursor.position),
            Some(own) if own != cursor => {
                facts.complain("I6", format!("{} came with {own:?} and was given {cursor:?}", self.name));
            }
            Some(_) => {}
        }
        self.cursor = Some(cursor);
    }

    /// Signs in anew, as a device does whose token counts no longer. Where none is ever revoked it has the operator's.
    async fn sign_in(&mut self) {
        let family = if self.world.plan.revoke_ms == 0 { FAMILY_OPERATOR } else { self.rng.bits() };
        if family != FAMILY_OPERATOR {
            sign_in(&self.world, self.user, family).await;
        }
        self.family = Some(family);
    }

    fn refused_connect(&mut self, error: &ErrorReply, may_be_replaced: bool) {
        self.may_be_replaced = may_be_replaced;
        note!(self.world.trace, "{}: connect refused with {}", self.name, error.code);
        if error.code == u16::from(ErrorCode::Unauthenticated) && self.world.facts.borrow().is_revoked(&self.name) {
            self.family = None;
        } else if !error.temporary {
            let finding =
                format!("{} could not connect at {:?}: {} {}", self.name, self.cursor, error.code, error.message);
            self.world.facts.borrow_mut().complain("I6", finding);
        }
    }

    /// The codes that a well-behaved client must never be closed with.
    fn closed(&mut self, code: Option<u16>) {
        if code == Some(CloseCode::Kicked.into()) && self.world.facts.borrow().is_revoked(&self.name) {
            self.family = None;
            return;
        }
        if let Some(code @ (1002 | 1007 | 1009 | 3500 | 3501 | 3503 | 3504 | 3509 | 3511)) = code {
            self.world.facts.borrow_mut().complain("I6", format!("{} was closed with {code}", self.name));
        }
        // None of its sessions is newer than this one.
        if code == Some(CloseCode::Replaced.into()) && !self.may_be_replaced {
            self.world.facts.borrow_mut().complain("I6", format!("{} was closed for an older session", self.name));
        }
    }

    fn record_standing(&self, is_live: bool, listens: bool, unanswered: usize) {
        let standing = crate::facts::Standing { is_live, listens, unsent: self.outbox.len(), unanswered };
        self.world.facts.borrow_mut().standing.insert(self.name.clone(), standing);
    }

    /// Something of what it has left to do is done (I13).
    fn came_on(&self, debt: Debt) {
        self.world.facts.borrow_mut().debts.came_on(&self.name, debt, self.world.trace.now_ms());
    }

    async fn run_session(&mut self, session: &mut Session) -> End {
        let mut act_ms = self.world.trace.now_ms();
        loop {
            self.send_due(session);
            self.watch(session);
            self.open_larges(session);
            let unasked = session.unopened.len() + usize::from(session.watch_ms.is_some());
            let now_ms = self.world.trace.now_ms();
            let listens = now_ms >= session.stalled_until_ms;
            self.record_standing(session.is_proven, listens, session.asked.len() + unasked);
            let wait_ms = self.outbox.next_due_ms().map_or(act_ms, |due| due.min(act_ms)).saturating_sub(now_ms);
            tokio::select! {
                biased;
                incoming = session.socket.incoming.recv(), if listens => match incoming {
                    Some(Incoming::Frame(frame)) => self.heard(session, frame),
                    Some(Incoming::Closed(code)) => {
                        self.closed(code);
                        return End::Lost;
                    }
                    None => return End::Lost,
                },
                () = sleep(Duration::from_millis(wait_ms.max(1))) => {}
            }
            let now_ms = self.world.trace.now_ms();
            if now_ms < act_ms {
                continue;
            }
            act_ms = now_ms + self.rng.within(1..=self.world.plan.pause_ms);
            match self.world.phase() {
                Phase::Busy => {
                    if self.act(session).is_some() {
                        return End::Lost;
                    }
                }
                // Who is revoked late comes back late.
                Phase::Settling | Phase::Quiet => self.prove(session),
                Phase::Leaving => {
                    if let Some(end) = self.leave() {
                        return end;
                    }
                }
                Phase::Over => return End::Over,
            }
            self.complain_if_unanswered(session);
            if session.goes_ms.is_some_and(|goes_ms| now_ms >= goes_ms) {
                note!(self.world.trace, "{}: goes where it was sent", self.name);
                return End::Lost;
            }
            if self.is_dead(session) {
                return End::Lost;
            }
        }
    }

    /// Whether to give the connection up. I12: in a healed world one does not fall silent on a question.
    fn is_dead(&self, session: &Session) -> bool {
        let now_ms = self.world.trace.now_ms();
        if session.closing_until_ms.is_some_and(|until_ms| now_ms >= until_ms) {
            return true;
        }
        let Some(asked_ms) = session.asked.values().map(|(_, asked_ms)| *asked_ms).min() else { return false };
        let since_ms = session.heard_ms.max(asked_ms).max(session.stalled_until_ms);
        let is_dead = now_ms >= since_ms + PATIENCE_MS;
        if is_dead {
            note!(self.world.trace, "{}: gives the connection up", self.name);
            // It has found out why, and may begin anew.
            self.came_on(Debt::Connection);
        }
        if is_dead && session.is_healed {
            let finding = format!("{} heard nothing since {since_ms} ms, with {:?} asked", self.name, session.asked);
            self.world.facts.borrow_mut().complain("I12", finding);
        }
        is_dead
    }

    /// I12: on a connection of a healed world a command is answered.
    fn complain_if_unanswered(&self, session: &mut Session) {
        let now_ms = self.world.trace.now_ms();
        let late = session.asked.extract_if(.., |_, (_, asked_ms)| now_ms >= *asked_ms + ANSWER_MS);
        for (id, (asked, asked_ms)) in late {
            let finding = format!("{} asked {asked:?} as {id} at {asked_ms} ms and has no answer", self.name);
            self.world.facts.borrow_mut().complain("I12", finding);
        }
    }

    fn ask(&self, session: &mut Session, asked: Asked, command: Command) {
        let id = session.next_id;
        session.next_id += 1;
        session.asked.insert(id, (asked, self.world.trace.now_ms()));
        session.socket.say(&[Request { id, command }]);
    }

    /// Sends what the outbox has, in order, some of it in one message.
    fn send_due(&mut self, session: &mut Session) {
        let now_ms = self.world.trace.now_ms();
        let mut requests = Vec::new();
        for (key, command) in self.outbox.take_due(now_ms) {
            let asked = if let Command::Send(send) = &command {
                self.world.facts.borrow_mut().sent(key, &send.body, (self.name.clone(), session.number), now_ms);
                Asked::Send(key)
            } else {
                self.world.facts.borrow_mut().asked(key, &command);
                Asked::Operate(key)
            };
            let id = session.next_id;
            session.next_id += 1;
            session.asked.insert(id, (asked, now_ms));
            requests.push(Request { id, command });
        }
        while !requests.is_empty() {
            let together = self.rng.index(requests.len()) + 1;
            let rest = requests.split_off(together);
            note!(self.world.trace, "{}: sends {} requests", self.name, requests.len());
            session.socket.say(&requests);
            requests = rest;
        }
    }

    /// Asks whether the other end is there.
    fn prove(&mut self, session: &mut Session) {
        let is_waiting = session.asked.values().any(|(asked, _)| matches!(asked, Asked::Echo(_)));
        let is_kept_busy = self.world.is_one_forgotten() && self.user != self.world.users[0];
        if (!session.is_proven || is_kept_busy) && !is_waiting {
            self.echo(session);
        }
    }
}

fn send(key: Key, body: &Arc<str>) -> Command {
    Command::Send(Send {
        channel_id: key.channel,
        client_msg_id: key.id,
        body: Arc::clone(body),
        reply_to: None,
        mentions: message::no_mentions(),
        kind: MessageKind::Text,
        media: Vec::new(),
    })
}
