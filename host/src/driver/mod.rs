//! Driver of one shard: between its host and the sockets, mailboxes and clocks of whoever runs it.
//!
//! Owns what is the same on every runtime: the upgrade decision, the intake of mail and its pace, answers to the HTTP
//! API, the bound of store tasks under way, frames that wait for full mailboxes, draining and stopping, being fenced.
//! Knows no socket, thread or clock: gateway gives it io_uring and eventfds, sim simulated ones, by three traits.
//! Upholds I11: what waits for a mailbox and what runs in the store are bounded. All effects of a turn are carried out
//! at its end, so that appends of one turn leave in one transaction and frames to one socket in one send.

mod links;
mod mail;
mod upgrade;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kv::Engine;
use router::{ConnId, Input, Output, Stats};
use schema::limits::{LINK_BYTES_MAX, LINK_MUST_BYTES_MAX, STORE_TASKS_MAX};
use schema::mesh::MeshFrame;
use schema::{CloseCode, Encoding, Instant, Now, ShardIndex, UnixMs};
use wire::{Refusal, Request, SharedFrame};

use crate::auth::Authenticator;
use crate::host::{Done, Effect, Host, Latencies, Task};

pub use links::LinkFigures;
use links::Queues;
pub use mail::{Answer, Mail, Orders};
pub use upgrade::Upgrade;

/// Items of mail taken in one turn, so that sockets have theirs.
const MAIL_A_TURN: usize = 1_024;
/// How long connections may take to go once their sessions are over.
const STOP: Duration = Duration::from_secs(2);
/// When a full mailbox is tried again: it does not say when it has room.
const RETRY_MS: u64 = 1;

/// The clients' connections of one shard. No call waits, and one on a connection that is gone does nothing.
pub trait Sockets {
    /// Puts a frame behind what is queued for the connection. The driver is told by [`Driver::drained`] as its bytes
    /// leave.
    fn send(&mut self, conn: ConnId, frame: &SharedFrame);

    /// Sends a WebSocket ping.
    fn ping(&mut self, conn: ConnId);

    /// Sends what is queued, then closes with this code and reason.
    fn close(&mut self, conn: ConnId, code: CloseCode, reason: &str);

    /// Stops reading a connection, or goes on.
    fn set_reads(&mut self, conn: ConnId, on: bool);

    /// Takes no more connections.
    fn stop_accepting(&mut self);

    /// Ends the shard once no connection is left, and after this time in any case.
    fn stop(&mut self, within: Duration);
}

/// The ways between one shard and the other threads of its node: other shards, the HTTP API, the store's threads. No
/// call waits.
pub trait Links {
    /// The oldest item in this shard's mailbox.
    fn mail(&mut self) -> Option<Mail>;

    /// The result of a store task that has ended.
    fn done(&mut self) -> Option<Done>;

    /// Puts a frame into a shard's mailbox. Returns it if that is full; a shard that has ended hears nothing any more.
    fn push(&mut self, shard: ShardIndex, frame: MeshFrame) -> Option<MeshFrame>;

    /// Has a store task polled to its end. Its result comes by [`Self::done`], and wakes the shard (I12).
    fn spawn(&mut self, task: Task);

    /// Another node has taken the store over (I7). Called once.
    fn fenced(&mut self);
}

/// Both clocks of a node.
pub trait Clock {
    /// The time on both, read at once.
    fn now(&self) -> Now;
}

/// The bounds of one shard.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections that speak the protocol; beyond it they are told 3015.
    pub sessions_max: u64,
    /// Store tasks under way; further ones wait in the shard. The way back needs a place for each.
    pub tasks_max: usize,
    /// Bytes of frames that wait for one shard's mailbox.
    pub link_bytes_max: usize,
    /// The same for frames that must arrive, which have this room whatever else waits.
    pub link_must_bytes_max: usize,
}

impl Limits {
    /// The limits of [`schema::limits`], for so many sessions.
    #[must_use]
    pub fn new(sessions_max: u64) -> Self {
        Self {
            sessions_max,
            tasks_max: STORE_TASKS_MAX as usize,
            link_bytes_max: LINK_BYTES_MAX as usize,
            link_must_bytes_max: LINK_MUST_BYTES_MAX as usize,
        }
    }
}

/// What a driver is made of.
pub struct Parts<E, A, L, C> {
    /// The shard.
    pub host: Host<E, A>,
    /// Its ways to other threads.
    pub links: L,
    /// Its clocks.
    pub clock: C,
    /// What its node wants of all shards.
    pub orders: Arc<Orders>,
    /// Its bounds.
    pub limits: Limits,
    /// Shards of the node.
    pub shards: u16,
    /// Whether echoes are served.
    pub echo: bool,
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// When the next turn is wanted at the latest; an instant that has passed means at once.
    pub wanted: Instant,
    /// Whether timers ran in it, as they do about once a second: a moment to look at figures.
    pub ticked: bool,
}

/// See [the module](self).
pub struct Driver<E, A, L, C> {
    host: Host<E, A>,
    links: L,
    clock: C,
    orders: Arc<Orders>,
    limits: Limits,
    echo: bool,
    /// Encodings agreed with connections that are not open yet.
    agreed: BTreeMap<ConnId, Encoding>,
    answers: BTreeMap<u64, Answer>,
    next_ticket: u64,
    tasks_running: usize,
    tasks_waiting: VecDeque<Task>,
    queues: Queues,
    requests_refused: u64,
    /// What the shard was last told of the store.
    writes: bool,
    drain_by: Option<UnixMs>,
    stopped: bool,
    fenced: bool,
    now: Now,
}

impl<E: Engine, A: Authenticator, L: Links, C: Clock> Driver<E, A, L, C> {
    /// A shard without connections.
    pub fn new(parts: Parts<E, A, L, C>) -> Self {
        let Parts { host, links, clock, orders, limits, shards, echo } = parts;
        Self {
            now: clock.now(),
            queues: Queues::new(shards, limits.link_bytes_max, limits.link_must_bytes_max),
            host,
            links,
            clock,
            orders,
            limits,
            echo,
            agreed: BTreeMap::new(),
            answers: BTreeMap::new(),
            next_ticket: 0,
            tasks_running: 0,
            tasks_waiting: VecDeque::new(),
            requests_refused: 0,
            writes: true,
            drain_by: None,
            stopped: false,
            fenced: false,
        }
    }

    /// Something happened now: the last turn may have been a second ago, and messages bear this time.
    fn input(&mut self, input: Input<'_>) {
        self.now = self.clock.now();
        self.host.handle(self.now, input);
    }

    /// A client asks for an upgrade. If it is agreed for a session, [`Self::opened`] or [`Self::closed`] follows.
    ///
    /// # Errors
    /// The HTTP answer, for what is not served here.
    pub fn requested(&mut self, conn: ConnId, request: &Request) -> Result<Upgrade, Refusal> {
        let upgrade = upgrade::decide(request, self.echo).inspect_err(|_| self.requests_refused += 1)?;
        if let Upgrade::Session { encoding, .. } = upgrade {
            self.agreed.insert(conn, encoding);
        }
        Ok(upgrade)
    }

    /// The answer to its upgrade is on its way, and frames may follow. A shard that is full says so and closes.
    pub fn opened(&mut self, sockets: &mut impl Sockets, conn: ConnId) {
        let Some(encoding) = self.agreed.remove(&conn) else { return };
        if self.host.stats().sessions >= self.limits.sessions_max {
            self.input(Input::TurnedAway);
            let reason = "the node holds as many connections as it may";
            return sockets.close(conn, CloseCode::Overloaded, reason);
        }
        self.input(Input::Accepted { conn, encoding });
    }

    /// A whole message came.
    pub fn message(&mut self, conn: ConnId, text: bool, payload: &[u8]) {
        self.input(Input::Message { conn, text, payload });
    }

    /// Bytes came that make no message.
    pub fn heard(&mut self, conn: ConnId) {
        self.input(Input::Heard { conn });
    }

    /// Bytes of what [`Sockets::send`] was given have left.
    pub fn drained(&mut self, conn: ConnId, bytes: u32) {
        self.input(Input::Drained { conn, bytes });
    }

    /// The connection is gone.
    pub fn closed(&mut self, conn: ConnId) {
        self.agreed.remove(&conn);
        self.input(Input::Closed { conn });
    }

    /// Takes mail, runs timers that are due and carries effects out. To be called once what sockets brought has been
    /// told, and whenever somebody calls the shard.
    pub fn turn(&mut self, sockets: &mut impl Sockets) -> Turn {
        self.now = self.clock.now();
        self.obey(sockets);
        let more_mail = self.take_mail();
        let ticked = self.host.poll_timeout() <= self.now.mono;
        if ticked {
            self.input(Input::Tick);
        }
        while let Some(effect) = self.host.poll_effect() {
            self.carry_out(effect, sockets);
        }
        self.start_tasks();
        let frames_wait = self.queues.flush(&mut self.links);
        self.stop_if_drained(sockets);
        let wanted = match (more_mail, frames_wait) {
            (true, _) => self.now.mono,
            (false, true) => self.host.poll_timeout().min(self.now.mono.plus_ms(RETRY_MS)),
            (false, false) => self.host.poll_timeout(),
        };
        Turn { wanted, ticked }
    }

    /// Obeys what has changed in the node's orders.
    fn obey(&mut self, sockets: &mut impl Sockets) {
        let on = self.orders.takes_writes();
        if on != self.writes {
            self.writes = on;
            tracing::debug!(on, "whether the store takes writes has changed");
            self.input(Input::Writes { on });
        }
        if self.drain_by.is_none()
            && let Some(deadline_ms) = self.orders.drain_by()
        {
            self.drain_by = Some(deadline_ms);
            tracing::debug!(deadline_ms = deadline_ms.0, sessions = self.host.stats().sessions, "draining");
            sockets.stop_accepting();
            self.input(Input::Drain { deadline_ms });
        }
    }

    /// Takes what other threads brought. Returns whether some may be left.
    fn take_mail(&mut self) -> bool {
        let mut more = true;
        for _ in 0..MAIL_A_TURN {
            let Some(done) = self.links.done() else {
                more = false;
                break;
            };
            self.tasks_running -= 1;
            self.host.done(self.now, done);
        }
        for _ in 0..MAIL_A_TURN {
            let Some(mail) = self.links.mail() else { return more };
            self.mail(mail);
        }
        true
    }

    fn mail(&mut self, mail: Mail) {
        match mail {
            Mail::Mesh(frame) => self.input(Input::Mesh { frame }),
            Mail::Command { channel, op, answer } => {
                let ticket = self.next_ticket;
                self.next_ticket += 1;
                self.answers.insert(ticket, answer);
                self.input(Input::Command { ticket, channel, op: *op });
            }
            Mail::Kick { user, whose } => self.input(Input::Kick { user, whose }),
        }
    }

    fn carry_out(&mut self, effect: Effect, sockets: &mut impl Sockets) {
        match effect {
            Effect::Output(Output::Send { conn, frame }) => sockets.send(conn, &frame),
            Effect::Output(Output::Ping { conn }) => sockets.ping(conn),
            Effect::Output(Output::Close { conn, code }) => sockets.close(conn, code, ""),
            Effect::Output(Output::Reads { conn, on }) => sockets.set_reads(conn, on),
            Effect::Output(Output::Mesh { frame }) => self.queues.send(&mut self.links, frame.to.shard, frame),
            Effect::Output(Output::Reply { ticket, reply }) => {
                let answer = self.answers.remove(&ticket).expect("I12: what is answered was asked");
                answer(reply);
            }
            Effect::Run(task) => self.tasks_waiting.push_back(task),
            // Every batch that the fence refuses says so again.
            Effect::Outdated(_) if self.fenced => {}
            Effect::Outdated(_) => {
                self.fenced = true;
                self.host.expel();
                tracing::debug!("the store has another owner: nothing more is decided here");
                self.links.fenced();
            }
        }
    }

    fn start_tasks(&mut self) {
        while self.tasks_running < self.limits.tasks_max {
            let Some(task) = self.tasks_waiting.pop_front() else { break };
            self.tasks_running += 1;
            self.links.spawn(task);
        }
    }

    /// Ends the shard once every session is over.
    fn stop_if_drained(&mut self, sockets: &mut impl Sockets) {
        let Some(deadline_ms) = self.drain_by else { return };
        let over = self.host.stats().sessions == 0 || self.now.wall >= deadline_ms;
        if over && !self.stopped {
            self.stopped = true;
            tracing::debug!(sessions = self.host.stats().sessions, "drained");
            sockets.stop(STOP);
        }
    }

    /// What the shard holds now.
    pub fn stats(&self) -> Stats {
        self.host.stats()
    }

    /// What waits for other shards' mailboxes, and what found no room.
    pub fn link_figures(&self) -> LinkFigures {
        self.queues.figures()
    }

    /// Requests refused since the start: for another path than is served, or with none of the subprotocols.
    pub fn requests_refused(&self) -> u64 {
        self.requests_refused
    }

    /// See [`Host::take_latencies`].
    pub fn take_latencies(&mut self) -> Latencies {
        self.host.take_latencies()
    }

    /// The shard's ways to other threads.
    pub fn links(&self) -> &L {
        &self.links
    }
}
