//! One shard's host as a task: events in, effects out, the gateway's handler without a ring.
//!
//! Owns the connections' queues and the store operations under way. Checks I11 at each turn and I12 when the node is asked to
//! be quiet. Events wait in a queue that is bounded by what its senders may have outstanding: sockets by their budgets, the
//! store by what the shard asked, other shards by the mesh's delay.

use std::collections::BTreeMap;
use std::future::Future as _;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use host::{Done, Effect, Host, Task};
use kv::memory::MemoryEngine;
use lies::LyingEngine;
use router::{ConnId, Input, Output};
use schema::limits::OUTBOUND_BYTES_MAX;
use schema::mesh::{Kicked, MeshFrame};
use schema::{ChannelId, ChannelOp, Encoding, OpReply, Refusal, UserId};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use crate::chaos::Outgoing;
use crate::options::Planted;
use crate::rng::Rng;
use crate::trace::{digest, note};
use crate::world::World;

use super::Clock;
use super::auth::Tokens;
use super::conn::Gate;
use super::links::Links;

/// Events of one turn.
const EVENTS_A_TURN: usize = 64;

/// Of 1,000 times that a store future lets others run those at which it waits too. A page of an inbox lets others run some 250
/// times, so that it takes some 100 ms.
const PAUSED_PERMILLE: u32 = 100;

/// What a shard is told.
pub(super) enum Event {
    Accepted { conn: ConnId, encoding: Encoding, out: UnboundedSender<Outgoing>, gate: Rc<Gate> },
    Message { conn: ConnId, text: bool, payload: Vec<u8> },
    Heard { conn: ConnId },
    Drained { conn: ConnId, bytes: u32 },
    Gone { conn: ConnId },
    Mesh(MeshFrame),
    Done(Done),
    Command { channel: ChannelId, op: ChannelOp, reply: oneshot::Sender<Result<OpReply, Refusal>> },
    Kick { user: UserId, whose: Kicked },
}

struct Conn {
    out: UnboundedSender<Outgoing>,
    gate: Rc<Gate>,
}

pub(super) struct Shard {
    world: Rc<World>,
    host: Host<LyingEngine<MemoryEngine>, Tokens>,
    clock: Clock,
    links: Links,
    /// Where tasks bring their results.
    events: UnboundedSender<Event>,
    rng: Rng,
    conns: BTreeMap<ConnId, Conn>,
    replies: BTreeMap<u64, oneshot::Sender<Result<OpReply, Refusal>>>,
    next_reply: u64,
    started: u64,
}

impl Shard {
    pub(super) fn new(
        world: Rc<World>,
        host: Host<LyingEngine<MemoryEngine>, Tokens>,
        clock: Clock,
        links: Links,
        events: UnboundedSender<Event>,
        rng: Rng,
    ) -> Self {
        let (conns, replies) = (BTreeMap::new(), BTreeMap::new());
        Self { world, host, clock, links, events, rng, conns, replies, next_reply: 0, started: 0 }
    }

    pub(super) async fn run(mut self, mut events: UnboundedReceiver<Event>) {
        loop {
            let wait_ns = self.host.poll_timeout().since(self.clock.now().mono);
            tokio::select! {
                biased;
                event = events.recv() => self.take(event.expect("this shard holds a sender itself")),
                // One nanosecond more: simulated timers round to milliseconds, and a tick that comes early comes again.
                () = tokio::time::sleep(wait_ns + Duration::from_nanos(1)) => {}
            }
            for _ in 0..EVENTS_A_TURN {
                let Ok(event) = events.try_recv() else { break };
                self.take(event);
            }
            let now = self.clock.now();
            if self.host.poll_timeout() <= now.mono {
                self.host.handle(now, Input::Tick);
            }
            while let Some(effect) = self.host.poll_effect() {
                self.carry_out(effect);
            }
            self.check_bounds();
        }
    }

    fn take(&mut self, event: Event) {
        let now = self.clock.now();
        let input = match &event {
            Event::Accepted { conn, encoding, .. } => Input::Accepted { conn: *conn, encoding: *encoding },
            Event::Message { conn, text, payload } => Input::Message { conn: *conn, text: *text, payload },
            Event::Heard { conn } => Input::Heard { conn: *conn },
            Event::Drained { conn, bytes } => Input::Drained { conn: *conn, bytes: *bytes },
            Event::Gone { conn } => Input::Closed { conn: *conn },
            Event::Mesh(_) | Event::Done(_) | Event::Command { .. } | Event::Kick { .. } => {
                return self.take_own(event);
            }
        };
        self.host.handle(now, input);
        match event {
            Event::Accepted { conn, out, gate, .. } => drop(self.conns.insert(conn, Conn { out, gate })),
            Event::Gone { conn } => drop(self.conns.remove(&conn)),
            Event::Message { conn, payload, .. } => {
                note!(self.world.trace, "conn {}: heard {} bytes {:x}", conn.0, payload.len(), digest(&payload));
            }
            _ => {}
        }
    }

    fn take_own(&mut self, event: Event) {
        let now = self.clock.now();
        match event {
            Event::Mesh(frame) => self.host.handle(now, Input::Mesh { frame }),
            Event::Done(done) => self.host.done(now, done),
            Event::Command { channel, op, reply } => {
                let ticket = self.next_reply;
                self.next_reply += 1;
                self.replies.insert(ticket, reply);
                self.host.handle(now, Input::Command { ticket, channel, op });
            }
            Event::Kick { user, whose } => self.host.handle(now, Input::Kick { user, whose }),
            _ => unreachable!("the caller takes the others"),
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Output(output) => self.carry_out_output(output),
            Effect::Run(task) => self.start(task),
            Effect::Fenced => panic!("I7: the only node was fenced"),
        }
    }

    fn carry_out_output(&mut self, output: Output) {
        match output {
            Output::Send { conn, frame } => {
                if self.world.options.planted == Some(Planted::AnswerForgotten) && self.rng.chance(10) {
                    return;
                }
                self.send(conn, Outgoing::Counted(frame.as_shared().clone()));
            }
            Output::Ping { conn } => {
                let mut ping = Vec::new();
                wire::encode_into(&mut ping, wire::Opcode::Ping, b"", None);
                self.send(conn, Outgoing::Plain(ping.into()));
            }
            Output::Close { conn, code } => {
                note!(self.world.trace, "conn {}: closed with {}", conn.0, u16::from(code));
                let code = wire::CloseCode::new(code.into()).expect("the protocol's codes may stand in a close frame");
                let mut close = Vec::new();
                wire::encode_close_into(&mut close, Some(code), "", None);
                self.send(conn, Outgoing::Plain(close.into()));
                self.send(conn, Outgoing::End);
                self.conns.remove(&conn);
            }
            Output::Reads { conn, on } => {
                if let Some(conn) = self.conns.get(&conn) {
                    conn.gate.set(on);
                }
            }
            Output::Mesh { to, frame } => self.links.send(to, frame),
            Output::Reply { ticket, reply } => {
                let asker = self.replies.remove(&ticket).expect("I12: what is answered was asked");
                // Whoever asked may have gone.
                let _ = asker.send(reply);
            }
        }
    }

    fn send(&self, conn: ConnId, what: Outgoing) {
        if let Outgoing::Counted(bytes) | Outgoing::Plain(bytes) = &what {
            note!(self.world.trace, "conn {}: told {} bytes {:x}", conn.0, bytes.len(), digest(bytes));
        }
        if let Some(conn) = self.conns.get(&conn) {
            // The socket may be gone, and the shard not know yet.
            let _ = conn.out.send(what);
        }
    }

    fn start(&mut self, task: Task) {
        let events = self.events.clone();
        let (world, me) = (Rc::clone(&self.world), self.links.me().shard.0);
        self.started += 1;
        let number = self.started;
        note!(world.trace, "shard {me}: store operation {number}");
        let pauses = Pauses { rng: Rng::new(self.rng.bits()), longest_ms: self.world.plan.store_ms };
        tokio::task::spawn_local(async move {
            let done = pauses.run(task).await;
            note!(world.trace, "shard {me}: {done:?} of store operation {number}");
            // The shard dies with the node, and this with it.
            let _ = events.send(Event::Done(done));
        });
    }

    /// I11: what the shard holds is within what it may hold.
    fn check_bounds(&self) {
        let stats = self.host.stats();
        let most = stats.sessions * u64::from(OUTBOUND_BYTES_MAX);
        assert!(
            stats.outbound_bytes <= most,
            "I11: {} bytes queued for {} sessions",
            stats.outbound_bytes,
            stats.sessions
        );
        let me = self.links.me();
        self.world.set_pending(me.shard.0, stats.commands_pending + stats.appends_pending);
    }
}

/// Polls a store future only at times that the seed chooses.
struct Pauses {
    rng: Rng,
    longest_ms: u64,
}

/// Remembers that a future wants to be polled.
#[derive(Default)]
struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

impl Pauses {
    async fn run(mut self, task: Task) -> Done {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut task = pin!(task);
        let mut is_first = true;
        loop {
            let pause_ms = self.rng.within(0..=self.longest_ms);
            if pause_ms > 0 && (is_first || self.rng.chance(PAUSED_PERMILLE)) {
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            }
            is_first = false;
            match task.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(done) => return done,
                Poll::Pending => woken.0.notified().await,
            }
        }
    }
}
