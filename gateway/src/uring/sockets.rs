//! A shard's connections as its handler sees them: what can be done to them.
//!
//! Owns the entries, what is queued for each, the ring they are served by, and the list of those with something to
//! send. Upholds I11: what is held for partial messages is bounded over the shard, an echo is not read faster than it
//! takes its own messages, and answers to pings are dropped rather than queued without end. What is queued for a
//! handler's connection is the handler's to bound: it is told what drains.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use pace::Wheel;
use wire::{CloseCode, Fault, Opcode, SharedFrame};

use super::accept::Acceptor;
use super::conn::{Conn, Phase, Pool};
use super::counters::Counters;
use super::handler::{Closed, Endpoint};
use super::ring::Ring;
use super::slab::{ConnId, Op, Slab};

/// Seconds around the wheel of connections; what is further away is looked at early and put back.
const WHEEL_S: usize = 64;
/// How long a peer may take to answer our close frame.
const CLOSE_WAIT_S: u32 = 5;
/// How long what is queued may take to go out to a peer that closed, or that was closed on.
const DRAIN_S: u32 = 5;
/// The same in all, of a peer that goes on taking it.
const DRAIN_S_MAX: u32 = 60;
/// How long a peer may take to shut its direction after ours.
const LINGER_S: u32 = 2;
/// Bytes queued to a connection above which answers to its pings are dropped: it does not read, and RFC 6455 lets
/// us answer only the latest.
const PONG_QUEUE_BYTES_MAX: usize = 64 * 1024;

/// Sends that are begun in one turn, each some 3 us of the kernel's: what the shard's store operations and mailboxes wait for a
/// frame to thousands of connections. The rest goes in the next turns.
const SENDS_A_TURN: u32 = 192;

/// Samples of handshakes that are kept between two looks at them.
const ACCEPT_SAMPLES_MAX: usize = 65_536;

/// The connections of one shard. Operations on a connection that is gone do nothing.
pub struct Sockets {
    pub(super) ring: Ring,
    pub(super) conns: Slab,
    pub(super) pool: Pool,
    /// When connections are looked at again, in seconds since the start.
    pub(super) wheel: Wheel<ConnId, WHEEL_S>,
    pub(super) acceptor: Acceptor,
    pub(super) endpoints: Vec<Endpoint>,
    /// Those with something to send and no send in flight, in the order in which they came to it.
    pub(super) dirty: VecDeque<ConnId>,
    /// Those whose pause ended.
    pub(super) resumed: VecDeque<ConnId>,
    /// Ends that the handler has not been told.
    pub(super) closed: VecDeque<(ConnId, Closed)>,
    pub(super) counters: Counters,
    /// Bytes of partial messages and requests over all connections.
    pub(super) held_bytes: usize,
    pub(super) started: Instant,
    pub(super) now_s: u32,
    /// How long handshakes took since somebody last asked, in nanoseconds.
    pub(super) accept_ns: Vec<u64>,
    /// When the shard ends even if connections are left.
    pub(super) stop_at: Option<Instant>,
}

impl Sockets {
    /// Queues a frame that others may share. Frames to one connection go out in this order; all that is queued in one
    /// turn goes out together.
    pub fn send(&mut self, id: ConnId, frame: &SharedFrame) {
        self.queue(id, Phase::Open, |io| io.outbox.push_shared(frame.as_shared()));
    }

    /// Queues a frame for this connection alone, copying its payload once.
    pub fn send_copied(&mut self, id: ConnId, opcode: Opcode, payload: &[u8]) {
        self.queue(id, Phase::Open, |io| io.outbox.push_frame(opcode, payload));
    }

    /// Takes a connection over that was made elsewhere, and whose bytes are no WebSocket's. It is open from now on, and
    /// ended by [`Handler::on_closed`](super::Handler::on_closed).
    pub fn adopt(&mut self, fd: OwnedFd) -> ConnId {
        let endpoint = self.endpoint(Endpoint::Stream);
        let mut conn = Conn::new(fd, self.now_s, self.now_us());
        conn.phase = Phase::Open;
        conn.endpoint = endpoint;
        conn.flags.open = true;
        let id = self.conns.insert(conn);
        self.arm_read(id);
        id
    }

    /// Queues bytes for a stream. All that is queued in one turn goes out together.
    pub fn send_bytes(&mut self, id: ConnId, bytes: &[u8]) {
        self.queue(id, Phase::Open, |io| io.outbox.push_bytes(bytes));
    }

    /// Ends a stream once what is queued has gone out. Nothing that comes is handed on any more.
    pub fn finish(&mut self, id: ConnId) {
        self.announce_closed(id, Closed::ByHandler);
        self.drain(id);
    }

    /// The index of an endpoint among those of this shard.
    pub(super) fn endpoint(&mut self, endpoint: Endpoint) -> u8 {
        let known = self.endpoints.iter().position(|known| *known == endpoint);
        let index = known.unwrap_or_else(|| {
            self.endpoints.push(endpoint);
            self.endpoints.len() - 1
        });
        u8::try_from(index).expect("a handler has at most 255 endpoints")
    }

    /// Sends a WebSocket ping. What comes back is heard, whatever it is.
    pub fn ping(&mut self, id: ConnId) {
        self.queue(id, Phase::Open, |io| io.outbox.push_frame(Opcode::Ping, b""));
    }

    /// Bytes queued to a connection that the kernel has not taken, control frames included.
    pub fn queued_bytes(&self, id: ConnId) -> usize {
        self.conns.get(id).map_or(0, Conn::queued_bytes)
    }

    /// Closes with a code and a reason, of which 123 bytes have room. What was queued goes out first; the peer has
    /// 5 s to take it and to answer. No frame of it is handed on any more.
    pub fn close(&mut self, id: ConnId, code: CloseCode, reason: &str) {
        self.close_with(id, code, reason, Closed::ByHandler);
    }

    /// Drops a connection and what is queued to it.
    pub fn abort(&mut self, id: ConnId) {
        self.announce_closed(id, Closed::ByHandler);
        self.tear_down(id);
    }

    /// Stops reading a connection: no frame of it is handed on until [`resume_reads`](Self::resume_reads). What was
    /// received already is kept; the rest stays with the peer, by TCP. The client's silence means nothing meanwhile.
    pub fn pause_reads(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.phase == Phase::Open) else { return };
        conn.flags.paused = true;
        if conn.requests.recv && !conn.flags.cancelling {
            conn.flags.cancelling = true;
            self.cancel(id, Op::Recv);
        }
    }

    /// Takes up reading again, in this turn or the next.
    pub fn resume_reads(&mut self, id: ConnId) {
        let now_s = self.now_s;
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.flags.paused) else { return };
        conn.flags.paused = false;
        conn.heard_s = now_s;
        self.resumed.push_back(id);
    }

    /// The other end's address; none of a connection that is gone.
    pub fn peer(&self, id: ConnId) -> Option<IpAddr> {
        let address = socket2::SockRef::from(&self.conns.get(id)?.fd).peer_addr().ok()?;
        address.as_socket().map(|address| address.ip())
    }

    /// Connections that this shard holds, those in a handshake or in the course of closing included.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// Bytes of partial messages and requests over all connections.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Takes no more connections from the listener, and closes it.
    pub fn stop_accepting(&mut self) {
        self.stop_listening();
    }

    /// Ends the driver as soon as no connection is left, and at `within` in any case. Takes no more connections;
    /// closing those there are is the handler's, except for echoes and unfinished handshakes, which end now.
    pub fn stop(&mut self, within: Duration) {
        self.stop_listening();
        self.stop_at = Some(Instant::now() + within);
        let ids: Vec<ConnId> = self.conns.ids().collect();
        for id in ids {
            let Some(conn) = self.conns.get(id) else { continue };
            match conn.phase {
                Phase::Handshake => self.tear_down(id),
                Phase::Open if self.endpoints[usize::from(conn.endpoint)] == Endpoint::Stream => {
                    self.announce_closed(id, Closed::Stopped);
                    self.drain(id);
                }
                Phase::Open if !conn.flags.open => {
                    self.close_with(id, CloseCode::GOING_AWAY, "the node stops", Closed::Stopped);
                }
                Phase::Open | Phase::CloseSent | Phase::Draining | Phase::Lingering | Phase::Dead => {}
            }
        }
    }

    /// Takes how long handshakes took, from acceptance to the answer, in nanoseconds. Beyond 65,536 between two calls,
    /// later ones are left out.
    pub fn take_accept_latencies(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.accept_ns)
    }

    pub(super) fn accept_took(&mut self, accepted_us: u32) {
        if self.accept_ns.len() < ACCEPT_SAMPLES_MAX {
            self.accept_ns.push(u64::from(self.now_us().wrapping_sub(accepted_us)) * 1_000);
        }
    }

    /// Microseconds of the shard's clock, their lowest 32 bits.
    pub(super) fn now_us(&self) -> u32 {
        self.started.elapsed().as_micros() as u32
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Writes to the outbox of a connection that has not passed `phase`, and lists it for sending.
    pub(super) fn queue(&mut self, id: ConnId, phase: Phase, write: impl FnOnce(&mut super::conn::Io)) {
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.phase <= phase) else { return };
        write(self.pool.io(conn));
        Self::list(&mut self.dirty, conn, id);
    }

    fn list(dirty: &mut VecDeque<ConnId>, conn: &mut Conn, id: ConnId) {
        if !conn.flags.dirty && !conn.requests.send {
            conn.flags.dirty = true;
            dirty.push_back(id);
        }
    }

    pub(super) fn pong(&mut self, id: ConnId, payload: &[u8]) {
        if self.queued_bytes(id) <= PONG_QUEUE_BYTES_MAX {
            self.queue(id, Phase::Open, |io| io.outbox.push_frame(Opcode::Pong, payload));
        } else {
            self.counters.pongs_dropped += 1;
        }
    }

    /// Starts sends for those with something to send, up to a number; the rest next turn, so that others have theirs in
    /// between.
    pub(super) fn flush(&mut self) {
        for _ in 0..SENDS_A_TURN {
            let Some(id) = self.dirty.pop_front() else { return };
            let Some(conn) = self.conns.get_mut(id) else { continue };
            conn.flags.dirty = false;
            let Some(io) = conn.io.as_mut().filter(|io| !conn.requests.send && !io.outbox.is_empty()) else { continue };
            let flight = io.outbox.take_off();
            conn.requests.send = true;
            // SAFETY: the outbox does not touch or move what is in flight until `sent`; the connection, and its
            // state with it, stays until its last request has completed.
            unsafe { self.ring.send(conn.fd.as_raw_fd(), flight, Op::Send.user_data(id)) };
        }
    }

    /// A send completed. Returns the bytes that the handler is to be told of.
    pub(super) fn sent(&mut self, id: ConnId, result: i32) -> usize {
        let Some(conn) = self.conns.get_mut(id) else { return 0 };
        conn.requests.send = false;
        let sent_bytes = usize::try_from(result).unwrap_or(0);
        let io = conn.io.as_mut().expect("a connection with a send in flight has its state");
        let credit = io.outbox.sent(sent_bytes);
        self.counters.sends += 1;
        self.counters.sent_bytes += sent_bytes as u64;
        if conn.phase == Phase::Dead {
            self.release(id);
            return 0;
        }
        if result < 0 && !matches!(-result, libc::EINTR | libc::EAGAIN | libc::ENOBUFS) {
            self.reset(id, -result);
            return 0;
        }
        if conn.has_queued() {
            Self::list(&mut self.dirty, conn, id);
            // A long answer takes as long as its reader, as long as that goes on reading.
            let until_s = conn.heard_s + DRAIN_S_MAX;
            if conn.phase == Phase::Draining && sent_bytes > 0 && self.now_s < until_s {
                self.check_at(id, until_s.min(self.now_s + DRAIN_S));
            }
        } else {
            self.pool.settle(conn);
            self.drained(id);
        }
        credit
    }

    /// Nothing is queued any more: whoever waited for that goes on.
    fn drained(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.phase != Phase::Draining {
            return;
        }
        if conn.flags.eof || socket2::SockRef::from(&conn.fd).shutdown(std::net::Shutdown::Write).is_err() {
            self.tear_down(id);
            return;
        }
        conn.phase = Phase::Lingering;
        self.check_at(id, self.now_s + LINGER_S);
    }

    /// Sends a close frame and waits for the peer's.
    pub(super) fn close_with(&mut self, id: ConnId, code: CloseCode, reason: &str, why: Closed) {
        if self.conns.get(id).is_none_or(|conn| conn.phase != Phase::Open) {
            return;
        }
        self.queue(id, Phase::Open, |io| io.outbox.push_close(Some(code), reason));
        self.announce_closed(id, why);
        let conn = self.conns.get_mut(id).expect("was there above");
        conn.phase = Phase::CloseSent;
        conn.flags.paused = false;
        self.resumed.push_back(id);
        self.check_at(id, self.now_s + CLOSE_WAIT_S);
    }

    /// The peer's close frame came: answers it, unless it is itself an answer, and goes out.
    pub(super) fn closed_by_peer(&mut self, id: ConnId, code: Option<CloseCode>) {
        self.queue(id, Phase::Open, |io| io.outbox.push_close(code, ""));
        self.announce_closed(id, Closed::ByPeer { code });
        self.drain(id);
    }

    /// The peer broke the protocol: says so, and goes out.
    pub(super) fn fail(&mut self, id: ConnId, fault: Fault) {
        self.queue(id, Phase::Open, |io| io.outbox.push_close(Some(fault.close_code()), &fault.to_string()));
        self.announce_closed(id, Closed::Faulty(fault));
        self.drain(id);
    }

    /// Takes nothing in any more, and ends when what is queued has gone out.
    pub(super) fn drain(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.phase < Phase::Draining) else { return };
        conn.phase = Phase::Draining;
        conn.heard_s = self.now_s;
        conn.flags.paused = false;
        conn.decoder = wire::Decoder::new();
        if let Some(io) = &mut conn.io {
            io.unread = Vec::new();
            io.handshake = None;
        }
        self.account(id);
        self.check_at(id, self.now_s + DRAIN_S);
        if !self.conns.get(id).is_some_and(Conn::has_queued) {
            self.drained(id);
        }
    }

    /// The peer shut its direction.
    pub(super) fn ended(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.flags.eof = true;
        match conn.phase {
            Phase::Handshake | Phase::Lingering => self.tear_down(id),
            Phase::Open => {
                self.announce_closed(id, Closed::Vanished);
                self.drain(id);
            }
            Phase::CloseSent => self.drain(id),
            Phase::Draining | Phase::Dead => {}
        }
    }

    /// An operation failed.
    pub(super) fn reset(&mut self, id: ConnId, errno: i32) {
        self.announce_closed(id, Closed::Reset(errno));
        self.tear_down(id);
    }

    /// Ends a connection whatever is queued to it.
    pub(super) fn tear_down(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.phase != Phase::Dead) else { return };
        conn.phase = Phase::Dead;
        conn.flags.paused = true;
        conn.decoder = wire::Decoder::new();
        if let Some(io) = &mut conn.io {
            io.unread = Vec::new();
            io.handshake = None;
            io.outbox.discard_waiting();
        }
        let (requests, cancelling) = (conn.requests, conn.flags.cancelling);
        if requests.recv && !cancelling {
            self.cancel(id, Op::Recv);
        }
        if requests.poll {
            self.cancel(id, Op::Poll);
        }
        if requests.send {
            self.cancel(id, Op::Send);
        }
        self.account(id);
        self.release(id);
    }

    /// Frees the entry of a dead connection once the kernel has nothing of it.
    pub(super) fn release(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.phase == Phase::Dead && !conn.requests.any() {
            if let Some(io) = &mut conn.io {
                io.outbox.discard_waiting();
            }
            self.pool.settle(conn);
            self.held_bytes -= conn.held_bytes as usize;
            self.conns.remove(id);
        }
    }

    /// Tells the handler, once, of a connection that it knows as open.
    pub(super) fn announce_closed(&mut self, id: ConnId, why: Closed) {
        if let Some(conn) = self.conns.get_mut(id)
            && std::mem::take(&mut conn.flags.open)
        {
            self.closed.push_back((id, why));
        }
    }

    fn cancel(&mut self, id: ConnId, op: Op) {
        self.ring.cancel(op.user_data(id), Op::Cancel.user_data(id));
    }

    /// Brings the shard's total up to date with what the connection holds now.
    pub(super) fn account(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let held_bytes = conn.count_held_bytes();
        self.held_bytes -= std::mem::replace(&mut conn.held_bytes, held_bytes) as usize;
        self.held_bytes += held_bytes as usize;
    }

    /// Looks at the connection at this second instead of any that was asked for before.
    pub(super) fn check_at(&mut self, id: ConnId, at_s: u32) {
        let at_s = u32::try_from(self.wheel.arm(id, u64::from(at_s))).expect("136 years of seconds");
        if let Some(conn) = self.conns.get_mut(id) {
            conn.check_s = at_s;
        }
    }
}
