//! One shard's driver as a task, on simulated sockets and mailboxes.
//!
//! Owns the fakes and the loop around them: what the ring does for the gateway. Checks I11 at each turn, and tells the
//! world what is pending, which is I12 when everybody is to be quiet. Socket events wait in a queue that is bounded by
//! the sockets' budgets.

use std::collections::BTreeMap;
use std::future::Future as _;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use host::driver::{Driver, Links, Mail, Parts, Sockets, StreamId, Streams, Upgrade};
use host::{Done, Task};
use lies::LyingEngine;
use link::record::RECORD_BYTES_MAX;
use router::ConnId;
use schema::limits::OUTBOUND_BYTES_MAX;
use schema::{CloseCode, Epoch, Incarnation, Instant, ShardIndex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use wire::SharedFrame;

use crate::chaos::Outgoing;
use crate::options::Planted;
use crate::rng::Rng;
use crate::trace::{digest, note};
use crate::world::World;

use super::auth::Tokens;
use super::conn::Gate;
use super::mailbox::{Line, Mailbox};
use super::peering::PeerStream;
use super::way::Way;
use super::{Clock, Life, Tasks};

/// Events of one turn.
const EVENTS_A_TURN: usize = 64;

/// Of 1,000 times that a store future lets others run those at which it waits too. A page of an inbox lets others run
/// some 250 times, so that it takes some 100 ms.
const PAUSED_PERMILLE: u32 = 100;

/// What connections bring to their shard.
pub(super) enum Event {
    Request { conn: ConnId, request: Rc<wire::Request>, answer: oneshot::Sender<Result<Upgrade, wire::Refusal>> },
    Opened { conn: ConnId, out: UnboundedSender<Outgoing>, gate: Rc<Gate> },
    Message { conn: ConnId, text: bool, payload: Vec<u8> },
    Heard { conn: ConnId },
    Drained { conn: ConnId, bytes: u32 },
    Gone { conn: ConnId },
    PeerConnected { stream: StreamId, peer: Incarnation, number: u16, peer_stream: PeerStream, leftover: Vec<u8> },
    PeerReceived { stream: StreamId, bytes: Vec<u8>, place: OwnedSemaphorePermit },
    PeerWritten { stream: StreamId, bytes: usize },
    PeerClosed { stream: StreamId },
}

/// The connections of one shard, to clients and to other nodes.
pub(super) struct SimSockets {
    world: Rc<World>,
    life: Rc<Life>,
    rng: Rng,
    conns: BTreeMap<ConnId, Conn>,
    streams: BTreeMap<StreamId, PeerStream>,
    /// When the shard ends whatever is left.
    stop_at: Option<Instant>,
    clock: Clock,
}

struct Conn {
    out: UnboundedSender<Outgoing>,
    gate: Rc<Gate>,
}

impl SimSockets {
    pub(super) fn new(world: Rc<World>, life: Rc<Life>, rng: Rng, clock: Clock) -> Self {
        Self { world, life, rng, conns: BTreeMap::new(), streams: BTreeMap::new(), stop_at: None, clock }
    }

    fn queue(&self, conn: ConnId, what: Outgoing) {
        if let Outgoing::Counted(bytes) | Outgoing::Plain(bytes) = &what {
            note!(self.world.trace, "conn {}: told {} bytes {:x}", conn.0, bytes.len(), digest(bytes));
        }
        if let Some(conn) = self.conns.get(&conn) {
            // The socket may be gone, and the shard not know yet.
            let _ = conn.out.send(what);
        }
    }
}

impl Sockets for SimSockets {
    fn send(&mut self, conn: ConnId, frame: &SharedFrame) {
        if self.world.options.planted == Some(Planted::AnswerForgotten) && self.rng.chance(10) {
            return;
        }
        self.queue(conn, Outgoing::Counted(frame.as_shared().clone()));
    }

    fn send_bytes(&mut self, conn: ConnId, bytes: &[u8]) {
        self.queue(conn, Outgoing::Counted(bytes::Bytes::copy_from_slice(bytes)));
    }

    fn finish(&mut self, conn: ConnId) {
        self.queue(conn, Outgoing::End);
        self.conns.remove(&conn);
    }

    fn ping(&mut self, conn: ConnId) {
        self.queue(conn, Outgoing::frame(wire::Opcode::Ping, b"", None));
    }

    fn close(&mut self, conn: ConnId, code: CloseCode, reason: &str) {
        note!(self.world.trace, "conn {}: closed with {}", conn.0, u16::from(code));
        let code = wire::CloseCode::new(code.into()).expect("the protocol's codes may stand in a close frame");
        self.queue(conn, Outgoing::close(Some(code), reason, None));
        self.queue(conn, Outgoing::End);
        self.conns.remove(&conn);
    }

    fn set_reads(&mut self, conn: ConnId, on: bool) {
        if let Some(conn) = self.conns.get(&conn) {
            conn.gate.set(on);
        }
    }

    fn stop_accepting(&mut self) {
        self.life.stop_accepting();
    }

    fn stop(&mut self, within: Duration) {
        self.stop_at = Some(host::driver::Clock::now(&self.clock).mono.plus(within));
    }
}

/// The ways from one shard to the rest of its node.
pub(super) struct SimLinks {
    pub(super) world: Rc<World>,
    pub(super) life: Rc<Life>,
    pub(super) shard: u16,
    pub(super) mailbox: Mailbox,
    pub(super) lines: Vec<Line>,
    pub(super) done: UnboundedReceiver<Done>,
    /// Where tasks bring their results.
    pub(super) done_sender: UnboundedSender<Done>,
    pub(super) tasks: Tasks,
    pub(super) rng: Rng,
    pub(super) started: u64,
}

impl Links for SimLinks {
    fn mail(&mut self) -> Option<Mail> {
        self.mailbox.pop()
    }

    fn done(&mut self) -> Option<Done> {
        self.done.try_recv().ok()
    }

    fn push(&mut self, shard: ShardIndex, mail: Mail) -> Option<Mail> {
        self.lines[usize::from(shard.0)].push(&self.world, &mut self.rng, mail)
    }

    fn spawn(&mut self, task: Task) {
        self.started += 1;
        let (world, at, shard, number) = (Rc::clone(&self.world), self.life.at + 1, self.shard, self.started);
        note!(world.trace, "n{at}/{shard}: store operation {number}");
        let pauses = Pauses { rng: Rng::new(self.rng.bits()), longest_ms: world.plan.store_ms };
        let (done_sender, mailbox) = (self.done_sender.clone(), self.mailbox.clone());
        self.tasks.spawn(async move {
            let done = pauses.run(task).await;
            note!(world.trace, "n{at}/{shard}: {done:?} of store operation {number}");
            // A shard that has stopped wants no answer.
            let _ = done_sender.send(done);
            mailbox.ring();
        });
    }

    fn outdated(&mut self, epoch: Epoch) {
        note!(self.world.trace, "n{}/{}: epoch {} has ended", self.life.at + 1, self.shard, epoch.0);
        self.world.met.borrow_mut().outdated += 1;
        self.life.outdated.notify_one();
    }
}

impl Streams for SimSockets {
    fn write(&mut self, stream: StreamId, bytes: &[u8]) {
        let at = self.life.at + 1;
        note!(self.world.trace, "n{at} stream {}: {} bytes {:x}", stream.0, bytes.len(), digest(bytes));
        if let Some(stream) = self.streams.get(&stream) {
            // The stream may be gone, and the shard not know yet.
            let _ = stream.out.send(Outgoing::Counted(Bytes::copy_from_slice(bytes)));
        }
    }

    fn close_stream(&mut self, stream: StreamId) {
        note!(self.world.trace, "n{} stream {}: is closed", self.life.at + 1, stream.0);
        self.streams.remove(&stream);
    }
}

pub(super) struct Shard {
    world: Rc<World>,
    life: Rc<Life>,
    driver: Driver<LyingEngine<Way>, Tokens, SimLinks, Clock>,
    sockets: SimSockets,
    clock: Clock,
    shard: u16,
    mailbox: Mailbox,
}

impl Shard {
    pub(super) fn new(parts: Parts<LyingEngine<Way>, Tokens, SimLinks, Clock>, sockets: SimSockets) -> Self {
        let links = &parts.links;
        let (world, life) = (Rc::clone(&links.world), Rc::clone(&links.life));
        let (shard, mailbox, clock) = (links.shard, links.mailbox.clone(), parts.clock);
        Self { world, life, driver: Driver::new(parts), sockets, clock, shard, mailbox }
    }

    /// Runs until it was told to stop and its connections are gone.
    pub(super) async fn run(mut self, mut events: UnboundedReceiver<Event>) {
        let mut wanted = self.driver.turn(&mut self.sockets).wanted;
        while !self.is_over() {
            let until = self.sockets.stop_at.map_or(wanted, |stop_at| stop_at.min(wanted));
            let wait = until.since(host::driver::Clock::now(&self.clock).mono);
            tokio::select! {
                biased;
                event = events.recv() => self.take(event.expect("the node holds a sender of each shard")),
                () = self.mailbox.called() => {}
                // One nanosecond more: simulated timers round to milliseconds, and a tick that comes early comes again.
                () = tokio::time::sleep(wait + Duration::from_nanos(1)) => {}
            }
            if let Some(stall_ms) = self.world.stall_ms(self.life.at, self.shard) {
                note!(self.world.trace, "{}: stands still for {stall_ms} ms", self.name());
                tokio::time::sleep(Duration::from_millis(stall_ms)).await;
            }
            for _ in 0..EVENTS_A_TURN {
                let Ok(event) = events.try_recv() else { break };
                self.take(event);
            }
            wanted = self.driver.turn(&mut self.sockets).wanted;
            self.check_bounds();
        }
        self.mailbox.end();
        note!(self.world.trace, "{}: stopped", self.name());
    }

    fn name(&self) -> String {
        format!("n{}/{}", self.life.at + 1, self.shard)
    }

    fn is_over(&self) -> bool {
        let now = host::driver::Clock::now(&self.clock).mono;
        self.sockets.stop_at.is_some_and(|stop_at| self.sockets.conns.is_empty() || stop_at <= now)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Request { conn, request, answer } => {
                // The connection may have gone meanwhile.
                let _ = answer.send(self.driver.requested(conn, &request));
            }
            Event::Opened { conn, out, gate } => {
                self.sockets.conns.insert(conn, Conn { out, gate });
                self.driver.opened(&mut self.sockets, conn);
            }
            Event::Message { conn, text, payload } => {
                self.driver.message(conn, text, &payload);
                note!(self.world.trace, "conn {}: heard {} bytes {:x}", conn.0, payload.len(), digest(&payload));
            }
            Event::Heard { conn } => self.driver.heard(conn),
            Event::Drained { conn, bytes } => self.driver.drained(conn, bytes),
            Event::Gone { conn } => {
                self.driver.closed(conn);
                self.sockets.conns.remove(&conn);
            }
            Event::PeerConnected { stream, peer, number, peer_stream, leftover } => {
                self.sockets.streams.insert(stream, peer_stream);
                self.driver.peer_connected(&mut self.sockets, stream, peer, number);
                let Some(peer) = self.sockets.streams.get_mut(&stream) else { return };
                let heard = peer.tap.pass(leftover);
                self.driver.peer_received(&mut self.sockets, stream, &heard);
            }
            Event::PeerReceived { stream, bytes, place } => {
                let Some(peer) = self.sockets.streams.get_mut(&stream) else { return };
                let heard = peer.tap.pass(bytes);
                self.driver.peer_received(&mut self.sockets, stream, &heard);
                drop(place);
            }
            Event::PeerWritten { stream, bytes } => self.driver.peer_written(stream, bytes),
            Event::PeerClosed { stream } => {
                self.driver.peer_closed(stream);
                self.sockets.streams.remove(&stream);
            }
        }
    }

    /// I11: what the shard holds is within what it may hold.
    fn check_bounds(&self) {
        let (stats, links) = (self.driver.stats(), self.driver.link_figures());
        let check = |holds: bool, finding: &dyn Fn() -> String| {
            if !holds {
                self.world.facts.borrow_mut().complain("I11", format!("{}: {}", self.name(), finding()));
            }
        };
        let most = stats.sessions * u64::from(OUTBOUND_BYTES_MAX);
        check(stats.outbound_bytes <= most, &|| {
            format!("{} bytes are queued for {} sessions", stats.outbound_bytes, stats.sessions)
        });
        let most = u64::from(self.world.plan.nodes[self.life.at])
            * (self.world.plan.link_bytes + super::LINK_MUST_BYTES) as u64;
        check(links.waiting_bytes <= most, &|| format!("{} bytes wait for mailboxes, of {most}", links.waiting_bytes));
        check(links.lost == 0, &|| "frames that must arrive found no room".to_owned());
        let plan = &self.world.plan;
        let unsent_max = plan.peer_unsent_bytes + RECORD_BYTES_MAX;
        for ((peer, number), link) in self.driver.peer_figures() {
            let (unsent, kept, kept_max) = (link.unsent_bytes, link.resend_bytes, plan.peer_resend_bytes);
            check(unsent <= unsent_max && kept <= kept_max, &|| {
                format!("link {:x}/{number} has {unsent} bytes unsent and keeps {kept} of {kept_max}", peer.0)
            });
        }
        let figures = (links.dropped, self.driver.batches_fenced());
        self.world.of_shards.borrow_mut().insert((self.life.number, self.shard), figures);
        let pending = stats.commands_pending + stats.appends_pending;
        self.world.nodes[self.life.at].set_pending(self.life.number, self.shard, pending);
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
