//! Driver of one shard: between its host and the sockets, mailboxes and clocks of whoever runs it.
//!
//! Owns what is the same on every runtime: clients' connections (`clients`), the intake of mail and its pace, answers to the HTTP
//! API, the bound of store tasks under way, frames that wait for full mailboxes, links to other nodes, what a view and
//! its end mean for the shard, draining and stopping.
//! Knows no socket, thread or clock: gateway gives it io_uring and eventfds, sim simulated ones, by four traits.
//! Upholds I11: what waits for a mailbox and what runs in the store are bounded. All effects of a turn are carried out
//! at its end, so that appends of one turn leave in one transaction and frames to one socket in one send.

mod clients;
mod credit;
mod links;
mod mail;
mod peers;
mod plain;
mod stomp;
mod upgrade;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kv::Engine;
use link::{Bounds, Figures, LinkEvent};
use router::{ConnId, Drain, Input, Output, Purpose, Stats};
use schema::limits::{LINK_BYTES_MAX, LINK_MUST_BYTES_MAX, STORE_TASKS_MAX};
use schema::mesh::MeshFrame;
use schema::{CloseCode, Epoch, Incarnation, Instant, Now, ShardIndex, UnixMs};
use wire::SharedFrame;

use crate::auth::Authenticator;
use crate::host::{Done, Effect, Host, Latencies, Task};

pub use links::LinkFigures;
use links::Queues;
pub use mail::{Answer, Mail, Orders};
pub use peers::PeerTotals;
use peers::{Happened, Peers};
use plain::Exchanges;
use stomp::Edge;
pub use upgrade::Upgrade;

/// Items of mail taken in one turn, so that sockets have theirs.
const MAIL_A_TURN: usize = 1_024;
/// Time for which one turn goes on to take mail: a frame of it may be for thousands of sessions, and sockets and store
/// operations wait.
const MAIL_MS: u64 = 1;
/// How long connections may take to go once their sessions are over.
const STOP: Duration = Duration::from_secs(2);
/// How long a node has for a view that it was told has ended, before it is told again.
const OUTDATED_AGAIN_MS: u64 = 1_000;
/// When a full mailbox is tried again: it does not say when it has room.
const RETRY_MS: u64 = 1;
/// When a shard without sessions looks again whether the other shards of its node have none either: they do not say.
const DRAINED_MS: u64 = 10;

/// The clients' connections of one shard. No call waits, and one on a connection that is gone does nothing.
pub trait Sockets {
    /// Puts a frame behind what is queued for the connection. The driver is told by [`Driver::drained`] as its bytes
    /// leave.
    fn send(&mut self, conn: ConnId, frame: &SharedFrame);

    /// Puts bytes that are no frame behind what is queued for the connection, of one whose request asked for no upgrade. The
    /// driver is told of them as of frames.
    fn send_bytes(&mut self, conn: ConnId, bytes: &[u8]);

    /// Sends what is queued, then ends the connection, of one whose request asked for no upgrade.
    fn finish(&mut self, conn: ConnId);

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

/// The ways between one shard and what else is in its node: other shards, the HTTP API, store operations. No
/// call waits.
pub trait Links {
    /// The oldest item in this shard's mailbox.
    fn mail(&mut self) -> Option<Mail>;

    /// The result of a store task that has ended.
    fn done(&mut self) -> Option<Done>;

    /// Puts an item into the mailbox of a shard of this node. Returns it if that is full; a shard that has ended hears
    /// nothing any more.
    fn push(&mut self, shard: ShardIndex, mail: Mail) -> Option<Mail>;

    /// Has a store task polled to its end. Its result comes by [`Self::done`], and wakes the shard (I12).
    fn spawn(&mut self, task: Task);

    /// The view of this epoch has ended, as a batch or another node has shown: the node is to read the one that stands,
    /// and to give it to its shards by their [`Orders`]. Called again if that takes long.
    fn outdated(&mut self, epoch: Epoch);
}

/// A connection to another node, whose handshake is done. Never used twice in one life of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// The connections to other nodes that one shard holds. No call waits, and one on a stream that is gone does nothing.
pub trait Streams {
    /// Puts bytes behind what is queued for the stream. The driver is told by [`Driver::peer_written`] as they leave.
    fn write(&mut self, stream: StreamId, bytes: &[u8]);

    /// Closes the stream at once, and drops what is queued. Nothing more is told of it.
    fn close_stream(&mut self, stream: StreamId);
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
    /// The bounds of a link to another node.
    pub peer: Bounds,
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
            peer: Bounds::default(),
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
    shards: u16,
    echo: bool,
    /// What connections that are not open yet are for.
    agreed: BTreeMap<ConnId, Purpose>,
    /// Connections that speak STOMP.
    stomp: Edge,
    /// Connections of clients without WebSockets.
    exchanges: Exchanges,
    answers: BTreeMap<u64, Answer>,
    next_ticket: u64,
    tasks_running: usize,
    tasks_waiting: VecDeque<Task>,
    queues: Queues,
    peers: Peers,
    /// The epoch of the view that the shard goes by.
    epoch: Epoch,
    /// The epoch whose end the node was told of last, and when it is told again.
    outdated: Option<(Epoch, Instant)>,
    requests_refused: u64,
    /// Frames of other nodes that were for no shard of this life.
    misdirected: u64,
    /// What the shard was last told of the store.
    writes: bool,
    /// Which change of what applications are asked about it was told last.
    concerns_times: u64,
    drain_by: Option<UnixMs>,
    /// Whether the other shards have been told that the last session is over.
    drained: bool,
    stopped: bool,
    expelled: bool,
    now: Now,
}

impl<E: Engine, A: Authenticator, L: Links, C: Clock> Driver<E, A, L, C> {
    /// A shard without connections.
    pub fn new(parts: Parts<E, A, L, C>) -> Self {
        let Parts { host, links, clock, orders, limits, shards, echo } = parts;
        let mut driver = Self {
            now: clock.now(),
            queues: Queues::new(shards, limits.link_bytes_max, limits.link_must_bytes_max),
            peers: Peers::new(host.me(), shards, limits.peer),
            epoch: Epoch(0),
            outdated: None,
            host,
            links,
            clock,
            orders,
            limits,
            shards,
            echo,
            agreed: BTreeMap::new(),
            stomp: Edge::default(),
            exchanges: Exchanges::default(),
            answers: BTreeMap::new(),
            next_ticket: 0,
            tasks_running: 0,
            tasks_waiting: VecDeque::new(),
            requests_refused: 0,
            misdirected: 0,
            writes: true,
            concerns_times: 0,
            drain_by: None,
            drained: false,
            stopped: false,
            expelled: false,
        };
        // Before the first command of a client.
        driver.obey_before();
        driver
    }

    fn obey_before(&mut self) {
        if let Some((times, concerns)) = self.orders.before_after(self.concerns_times) {
            self.concerns_times = times;
            tracing::debug!(?concerns, "what applications are asked about has changed");
            self.input(Input::Before { concerns });
        }
    }

    /// Something happened now: the last turn may have been a second ago, and messages bear this time.
    fn input(&mut self, input: Input<'_>) {
        self.now = self.clock.now();
        self.host.handle(self.now, input);
    }

    /// A connection to another node has been made, and its handshake is done: it is the link of this number between the
    /// two.
    pub fn peer_connected(&mut self, streams: &mut impl Streams, stream: StreamId, peer: Incarnation, number: u16) {
        self.now = self.clock.now();
        self.peers.connected(stream, (peer, number), self.now.mono, streams);
    }

    /// Bytes came from another node.
    pub fn peer_received(&mut self, streams: &mut impl Streams, stream: StreamId, bytes: &[u8]) {
        self.now = self.clock.now();
        self.peers.received(stream, bytes, self.now.mono, streams);
        self.hear_peers(streams);
    }

    /// Bytes of what [`Streams::write`] was given have left.
    pub fn peer_written(&mut self, stream: StreamId, bytes: usize) {
        self.peers.written(stream, bytes);
    }

    /// A connection to another node is gone.
    pub fn peer_closed(&mut self, stream: StreamId) {
        self.peers.closed(stream);
    }

    /// Takes mail, runs timers that are due and carries effects out. To be called once what sockets brought has been
    /// told, and whenever somebody calls the shard.
    pub fn turn(&mut self, sockets: &mut (impl Sockets + Streams)) -> Turn {
        self.now = self.clock.now();
        self.obey(sockets);
        let more_mail = self.take_mail();
        self.peers.tick(self.now.mono);
        self.hear_peers(sockets);
        let ticked = self.host.poll_timeout() <= self.now.mono;
        if ticked {
            self.input(Input::Tick);
        }
        self.stomp.tick(self.now);
        self.flush_stomp(sockets);
        loop {
            while let Some(effect) = self.host.poll_effect() {
                self.carry_out(effect, sockets);
            }
            if !self.answer_exchanges(sockets) {
                break;
            }
        }
        self.start_tasks();
        let frames_wait = self.queues.flush(&mut self.links);
        self.peers.flush(sockets);
        let shards_drain = self.stop_if_drained(sockets);
        let translated = self.exchanges.poll_timeout().into_iter().chain(self.stomp.poll_timeout()).min();
        let due = [self.peers.poll_timeout(), self.outdated.map(|(_, again)| again), translated];
        let due = due.into_iter().flatten().fold(self.host.poll_timeout(), Instant::min);
        let wanted = match (more_mail, frames_wait, shards_drain) {
            (true, _, _) => self.now.mono,
            (false, true, _) => due.min(self.now.mono.plus_ms(RETRY_MS)),
            (false, false, true) => due.min(self.now.mono.plus_ms(DRAINED_MS)),
            (false, false, false) => due,
        };
        Turn { wanted, ticked }
    }

    /// Hands on what came over links, to this shard and to others of its node.
    fn hear_peers(&mut self, streams: &mut impl Streams) {
        while let Some(Happened { peer, event }) = self.peers.poll_event(streams) {
            match event {
                LinkEvent::Frame { frame, version } => {
                    self.host.floor(version);
                    self.deliver(frame);
                }
                LinkEvent::Gap => self.tell_shards(|| Mail::Gap { peer }),
                LinkEvent::PeerLost { .. } => self.tell_shards(|| Mail::PeerLost { peer }),
                LinkEvent::Up | LinkEvent::Silent => {}
            }
        }
    }

    /// A frame of another node is for a shard of this one; of another life, for nobody.
    fn deliver(&mut self, frame: MeshFrame) {
        let me = self.host.me();
        if frame.to == me {
            self.input(Input::Mesh { frame });
        } else if frame.to.incarnation == me.incarnation && frame.to.shard.0 < self.shards {
            self.queues.send(&mut self.links, frame.to.shard, Mail::Mesh(frame));
        } else {
            self.misdirected += 1;
            tracing::debug!(to = %frame.to, "a frame is for no shard of this node");
        }
    }

    /// Tells every shard of this node, each behind the frames that came before.
    fn tell_shards(&mut self, news: impl Fn() -> Mail) {
        for shard in (0..self.shards).map(ShardIndex) {
            if shard == self.host.me().shard {
                self.mail(news());
            } else {
                self.queues.send(&mut self.links, shard, news());
            }
        }
    }

    /// Obeys what has changed in the node's orders.
    fn obey(&mut self, sockets: &mut (impl Sockets + Streams)) {
        if let Some((view, version)) = self.orders.view_after(self.epoch) {
            let me = self.host.me().incarnation;
            assert!(view.member(me).is_some(), "I7: view {:?} is given to {me:?}, which is not in it", view.epoch);
            self.epoch = view.epoch;
            self.outdated = None;
            self.peers.set_view(&view, self.now.mono, sockets);
            self.host.floor(version);
            self.input(Input::View { view, version });
        }
        if let Some((epoch, again)) = self.outdated
            && again <= self.now.mono
        {
            self.outdated(epoch);
        }
        if !self.expelled && self.orders.is_expelled() {
            self.expelled = true;
            tracing::debug!("this life is in no view any more: nothing is decided here");
            self.host.expel();
        }
        let on = self.orders.takes_writes();
        if on != self.writes {
            self.writes = on;
            tracing::debug!(on, "whether the store takes writes has changed");
            self.input(Input::Writes { on });
        }
        self.obey_before();
        if let Some(drain) = self.orders.drain_before(self.drain_by) {
            self.drain_by = Some(drain.deadline_ms);
            let Drain { deadline_ms, jitter_ms, .. } = &drain;
            tracing::debug!(deadline_ms = deadline_ms.0, jitter_ms, sessions = self.host.stats().sessions, "draining");
            sockets.stop_accepting();
            self.input(Input::Drain(drain));
        }
    }

    /// Takes what other threads brought. Returns whether some may be left.
    fn take_mail(&mut self) -> bool {
        let until = self.now.mono.plus_ms(MAIL_MS);
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
            if self.now.mono >= until {
                break;
            }
        }
        true
    }

    fn mail(&mut self, mail: Mail) {
        match mail {
            Mail::Mesh(frame) => self.input(Input::Mesh { frame }),
            Mail::Command { channel, op, answer } => {
                let ticket = self.ticket(answer);
                self.input(Input::Command { ticket, channel, op: *op });
            }
            Mail::Kick { user, whose, answer } => {
                let ticket = self.ticket(answer);
                self.input(Input::Kick { ticket, user, whose });
            }
            Mail::PeerLost { peer } => self.input(Input::PeerLost { incarnation: peer }),
            Mail::Gap { peer } => self.input(Input::Gap { incarnation: peer }),
        }
    }

    /// A number for what the HTTP API waits for.
    fn ticket(&mut self, answer: Answer) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.answers.insert(ticket, answer);
        ticket
    }

    fn carry_out(&mut self, effect: Effect, sockets: &mut impl Sockets) {
        match effect {
            Effect::Output(Output::Send { conn, frame }) => self.say(sockets, conn, &frame),
            Effect::Output(Output::Ping { conn }) => self.ping(sockets, conn),
            Effect::Output(Output::Close { conn, code }) => self.close(sockets, conn, code),
            Effect::Output(Output::Reads { conn, on }) => self.set_reads(sockets, conn, on),
            Effect::Output(Output::Mesh { frame }) => self.send(frame),
            Effect::Output(Output::Reply { ticket, reply }) => {
                let answer = self.answers.remove(&ticket).expect("I12: what is answered was asked");
                answer(reply);
            }
            Effect::Output(Output::Lost { incarnation }) => self.peers.begin_afresh(incarnation),
            Effect::Run(task) => self.tasks_waiting.push_back(task),
            Effect::Outdated(epoch) | Effect::Output(Output::Outdated { epoch }) => self.outdated(epoch),
        }
    }

    fn send(&mut self, frame: MeshFrame) {
        if frame.to.incarnation == self.host.me().incarnation {
            self.queues.send(&mut self.links, frame.to.shard, Mail::Mesh(frame));
        } else {
            self.peers.send(&frame, self.host.newest());
        }
    }

    /// A view has ended. What the node makes of it comes by its orders; until then it is asked again, since its store may
    /// not have answered.
    fn outdated(&mut self, epoch: Epoch) {
        if epoch < self.epoch || self.expelled {
            self.outdated = None;
            return;
        }
        let is_news = self.outdated.is_none_or(|(told, again)| told < epoch || again <= self.now.mono);
        if is_news {
            tracing::debug!(epoch = epoch.0, "a view has ended: the one that stands is read");
            self.outdated = Some((epoch, self.now.mono.plus_ms(OUTDATED_AGAIN_MS)));
            self.links.outdated(epoch);
        }
    }

    fn start_tasks(&mut self) {
        while self.tasks_running < self.limits.tasks_max {
            let Some(task) = self.tasks_waiting.pop_front() else { break };
            self.tasks_running += 1;
            self.links.spawn(task);
        }
    }

    /// Ends the shard once every session of the node is over: until then it is the home of what others' sessions wait for,
    /// and links to other nodes end here. Returns whether it waits for other shards.
    fn stop_if_drained(&mut self, sockets: &mut impl Sockets) -> bool {
        let Some(deadline_ms) = self.drain_by.filter(|_| !self.stopped) else { return false };
        if self.host.stats().sessions == 0 && !self.drained {
            self.drained = true;
            self.orders.note_drained();
        }
        self.stopped = self.orders.drained() >= self.shards || self.now.wall >= deadline_ms;
        if self.stopped {
            tracing::debug!(sessions = self.host.stats().sessions, "drained");
            sockets.stop(STOP);
        }
        self.drained && !self.stopped
    }

    /// What the shard holds now.
    pub fn stats(&self) -> Stats {
        self.host.stats()
    }

    /// Batches since the start that found their view ended.
    pub fn batches_fenced(&self) -> u64 {
        self.host.batches_fenced()
    }

    /// What waits for other shards' mailboxes, and what found no room.
    pub fn link_figures(&self) -> LinkFigures {
        self.queues.figures()
    }

    /// What the links to other nodes hold, and have done since the start.
    pub fn peer_totals(&self) -> PeerTotals {
        let totals = self.peers.totals();
        PeerTotals { refused: totals.refused + self.misdirected, ..totals }
    }

    /// The links to other nodes that this shard holds: the peer, the number between the two, and how it fares.
    pub fn peer_figures(&self) -> impl Iterator<Item = ((Incarnation, u16), Figures)> {
        self.peers.figures()
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

    /// The same, for what happens there between two turns.
    pub fn links_mut(&mut self) -> &mut L {
        &mut self.links
    }
}
