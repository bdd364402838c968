//! One shard's host between its sockets, its mailboxes and the store.
//!
//! Owns the translation both ways and nothing of what anything means: sockets' events become inputs, effects become
//! operations on sockets, frames to other shards and tasks for the store's threads. All effects of a turn are carried out
//! at its end, so that appends of one turn leave in one transaction and frames to one socket in one send.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use host::{Done, Effect, Host, Task};
use kv::Engine;
use router::{Input, Output};
use schema::limits::{ECHO_MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX};
use schema::mesh::{Kicked, MeshFrame};
use schema::{ChannelId, ChannelOp, Encoding, Now, OpReply, Refusal, UnixMs, UserId};
use tokio::sync::oneshot;

use crate::telemetry::metrics::Latency;
use crate::uring::{Closed, ConnId, Decision, Endpoint, Frame, Handler, Inbox, Mailbox, Sockets};

use super::clock::Clock;
use super::mesh::Links;
use super::pool::Spawner;
use super::tokens::Tokens;
use crate::lifecycle::NodeState;

/// What other threads tell a shard.
pub(crate) enum Mail {
    /// Another shard's frame.
    Mesh(MeshFrame),
    /// The HTTP API wants something done to a channel of this shard.
    Command {
        /// Which.
        channel: ChannelId,
        /// What.
        op: Box<ChannelOp>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<OpReply, Refusal>>,
    },
    /// The HTTP API has revoked a device or a login of a user of this shard.
    Kick {
        /// Whose.
        user: UserId,
        /// Which.
        whose: Kicked,
    },
    /// Whether the store takes writes.
    Writes(bool),
    /// The node stops.
    Drain {
        /// When what is left is closed all the same.
        deadline_ms: UnixMs,
    },
}

/// Items that a shard's mailbox holds.
pub(crate) const MAIL_MAX: usize = 8_192;
/// Store operations that a shard has under way; further ones wait in the shard. Its mailbox has a place for each.
pub(crate) const TASKS_MAX: usize = 4_096;
/// Items taken from a mailbox in one turn, so that sockets have theirs.
const MAIL_A_TURN: usize = 1_024;
/// How long connections may take to go once their sessions are over.
const STOP: Duration = Duration::from_secs(2);

/// Where clients of the protocol connect.
const CONNECTION_PATH: &str = "/connection/websocket";
/// Where everything comes back as it went.
const ECHO_PATH: &str = "/debug/echo";

/// What a handler is made of.
pub(crate) struct Parts<S> {
    pub(crate) host: Host<S, Tokens>,
    pub(crate) clock: Clock,
    pub(crate) mail: Inbox<Mail>,
    pub(crate) done: Inbox<Done>,
    pub(crate) done_sender: Mailbox<Done>,
    pub(crate) spawner: Spawner,
    pub(crate) links: Links,
    pub(crate) echo: bool,
    /// Whose pages may connect.
    pub(crate) origins: Arc<api::Origins>,
    /// Connections that speak the protocol at once; beyond it they are told 3015.
    pub(crate) sessions_max: usize,
    pub(crate) state: Arc<NodeState>,
    pub(crate) shard: u16,
    /// Taken and called if the store has been taken over: every batch that the fence refuses says so again.
    pub(crate) on_fenced: Option<Box<dyn FnOnce() + Send>>,
}

pub(crate) struct ShardHandler<S> {
    parts: Parts<S>,
    /// Subprotocols agreed with connections that are not open yet.
    agreed: BTreeMap<ConnId, Option<Encoding>>,
    replies: BTreeMap<u64, oneshot::Sender<Result<OpReply, Refusal>>>,
    next_reply: u64,
    tasks_running: usize,
    tasks_waiting: VecDeque<Task>,
    drain_by: Option<UnixMs>,
    stopped: bool,
    now: Now,
}

impl<S: Engine> ShardHandler<S> {
    pub(crate) fn new(parts: Parts<S>) -> Self {
        let now = parts.clock.at(Instant::now());
        Self {
            parts,
            agreed: BTreeMap::new(),
            replies: BTreeMap::new(),
            next_reply: 0,
            tasks_running: 0,
            tasks_waiting: VecDeque::new(),
            drain_by: None,
            stopped: false,
            now,
        }
    }

    /// Something happened now: the last turn may have been a second ago, and messages bear this time.
    fn input(&mut self, input: Input<'_>) {
        self.now = self.parts.clock.at(Instant::now());
        self.parts.host.handle(self.now, input);
    }

    /// Takes what other threads brought. Returns whether some is left.
    fn take_mail(&mut self, sockets: &mut Sockets) -> bool {
        for _ in 0..MAIL_A_TURN {
            let Some(done) = self.parts.done.pop() else { break };
            self.tasks_running -= 1;
            self.parts.host.done(self.now, done);
        }
        for _ in 0..MAIL_A_TURN {
            let Some(mail) = self.parts.mail.pop() else { return false };
            self.mail(mail, sockets);
        }
        true
    }

    fn mail(&mut self, mail: Mail, sockets: &mut Sockets) {
        match mail {
            Mail::Mesh(frame) => self.input(Input::Mesh { frame }),
            Mail::Command { channel, op, reply } => {
                let ticket = self.next_reply;
                self.next_reply += 1;
                self.replies.insert(ticket, reply);
                self.input(Input::Command { ticket, channel, op: *op });
            }
            Mail::Kick { user, whose } => self.input(Input::Kick { user, whose }),
            Mail::Writes(on) => self.input(Input::Writes { on }),
            Mail::Drain { deadline_ms } => {
                self.drain_by = Some(deadline_ms);
                sockets.stop_accepting();
                self.input(Input::Drain { deadline_ms });
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, sockets: &mut Sockets) {
        match effect {
            Effect::Output(output) => self.carry_out_output(output, sockets),
            Effect::Run(task) => self.tasks_waiting.push_back(task),
            Effect::Fenced => {
                if let Some(tell) = self.parts.on_fenced.take() {
                    tell();
                }
            }
        }
    }

    fn carry_out_output(&mut self, output: Output, sockets: &mut Sockets) {
        match output {
            Output::Send { conn, frame } => sockets.send(ConnId::from_u64(conn.0), &frame),
            Output::Ping { conn } => sockets.ping(ConnId::from_u64(conn.0)),
            Output::Close { conn, code } => {
                let code = wire::CloseCode::new(code.into()).expect("the protocol's codes may stand in a close frame");
                sockets.close(ConnId::from_u64(conn.0), code, "");
            }
            Output::Reads { conn, on: true } => sockets.resume_reads(ConnId::from_u64(conn.0)),
            Output::Reads { conn, on: false } => sockets.pause_reads(ConnId::from_u64(conn.0)),
            Output::Mesh { to, frame } => self.parts.links.send(usize::from(to.shard.0), frame),
            Output::Reply { ticket, reply } => {
                let asker = self.replies.remove(&ticket).expect("I12: what is answered was asked");
                // Whoever asked may have gone.
                let _ = asker.send(reply);
            }
        }
    }

    fn start_tasks(&mut self) {
        while self.tasks_running < TASKS_MAX {
            let Some(task) = self.tasks_waiting.pop_front() else { break };
            self.tasks_running += 1;
            self.parts.spawner.spawn(task, self.parts.done_sender.clone());
        }
    }

    /// Ends the driver once every session is over.
    fn stop_if_drained(&mut self, sockets: &mut Sockets) {
        let Some(deadline_ms) = self.drain_by else { return };
        let over = self.parts.host.stats().sessions == 0 || self.now.wall >= deadline_ms;
        if over && !self.stopped {
            self.stopped = true;
            sockets.stop(STOP);
        }
    }

    fn publish(&mut self, sockets: &mut Sockets) {
        let metrics = self.parts.state.counts().shard(self.parts.shard);
        metrics.publish(&sockets.counters(), sockets.connections(), &self.parts.host.stats());
        let host::Latencies { append_ns, store_ns, deliver_ns } = self.parts.host.take_latencies();
        metrics.record(Latency::Accept, &sockets.take_accept_latencies());
        metrics.record(Latency::Deliver, &deliver_ns);
        metrics.record(Latency::Append, &append_ns);
        metrics.record(Latency::Store, &store_ns);
    }
}

impl<S: Engine> Handler for ShardHandler<S> {
    fn on_request(&mut self, _sockets: &mut Sockets, conn: ConnId, request: &wire::Request) -> Decision {
        // Also for what is no browser: who says where a page is from is held to it.
        if let Some(origin) = request.origin()
            && !self.parts.origins.may_connect(origin, request.host())
        {
            let remedy =
                format!("Pages of {origin} may not connect here. The node's listen.allowed_origins would say so.");
            return Decision::Refuse(wire::Refusal::new(403, remedy));
        }
        match request.path() {
            CONNECTION_PATH => {
                let offered: Vec<&str> = request.protocols().collect();
                let known = Encoding::ALL.into_iter().find(|encoding| offered.contains(&encoding.subprotocol()));
                let encoding = match known {
                    Some(encoding) => encoding,
                    None if offered.is_empty() => Encoding::Json,
                    None => {
                        let remedy = "offer rookery.json.v1 or rookery.fb.v1 in Sec-WebSocket-Protocol";
                        return Decision::Refuse(wire::Refusal::new(400, remedy));
                    }
                };
                self.agreed.insert(conn, Some(encoding));
                Decision::Accept {
                    protocol: known.map(|encoding| Cow::Borrowed(encoding.subprotocol())),
                    endpoint: Endpoint::Handler { message_bytes_max: MESSAGE_BYTES_MAX },
                }
            }
            ECHO_PATH if self.parts.echo => Decision::Accept {
                protocol: request.protocols().next().map(|protocol| Cow::Owned(protocol.to_owned())),
                endpoint: Endpoint::Echo { message_bytes_max: ECHO_MESSAGE_BYTES_MAX },
            },
            _ => Decision::Refuse(wire::Refusal::new(404, format!("WebSocket clients connect to {CONNECTION_PATH}"))),
        }
    }

    fn on_open(&mut self, sockets: &mut Sockets, conn: ConnId) {
        let Some(Some(encoding)) = self.agreed.remove(&conn) else { return };
        if self.parts.host.stats().sessions >= self.parts.sessions_max as u64 {
            let code = wire::CloseCode::new(schema::CloseCode::Overloaded.into()).expect("an application's code");
            return sockets.close(conn, code, "the node holds as many connections as it may");
        }
        self.input(Input::Accepted { conn: router::ConnId(conn.as_u64()), encoding });
    }

    fn on_frame(&mut self, _sockets: &mut Sockets, conn: ConnId, frame: Frame<'_>) {
        let conn = router::ConnId(conn.as_u64());
        match &frame {
            Frame::Text(text) => self.input(Input::Message { conn, text: true, payload: text.as_bytes() }),
            Frame::Binary(bytes) => self.input(Input::Message { conn, text: false, payload: bytes }),
        }
    }

    fn on_heard(&mut self, _sockets: &mut Sockets, conn: ConnId) {
        self.input(Input::Heard { conn: router::ConnId(conn.as_u64()) });
    }

    fn on_writable(&mut self, _sockets: &mut Sockets, conn: ConnId, bytes: usize) {
        let bytes = u32::try_from(bytes).expect("one send is below 4 GB");
        self.input(Input::Drained { conn: router::ConnId(conn.as_u64()), bytes });
    }

    fn on_closed(&mut self, _sockets: &mut Sockets, conn: ConnId, _why: Closed) {
        self.agreed.remove(&conn);
        self.input(Input::Closed { conn: router::ConnId(conn.as_u64()) });
    }

    fn on_turn(&mut self, sockets: &mut Sockets, now: Instant) -> Option<Instant> {
        // Not `now`, which the frames of this turn have passed.
        self.now = self.parts.clock.at(Instant::now());
        let more_mail = self.take_mail(sockets);
        if self.parts.host.poll_timeout() <= self.now.mono {
            self.input(Input::Tick);
            self.publish(sockets);
        }
        while let Some(effect) = self.parts.host.poll_effect() {
            self.carry_out(effect, sockets);
        }
        self.start_tasks();
        let frames_wait = self.parts.links.flush();
        self.stop_if_drained(sockets);
        if more_mail {
            return Some(now);
        }
        let tick_at = self.parts.clock.instant(self.parts.host.poll_timeout());
        // Another shard's full mailbox says nothing when it has room again.
        let retry_at = frames_wait.then(|| now + Duration::from_millis(1));
        Some(retry_at.map_or(tick_at, |at| at.min(tick_at)))
    }
}
