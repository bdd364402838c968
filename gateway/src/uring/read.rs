//! From received bytes to what the handler is told: handshakes, frames, pauses, and when to wait by which request.
//!
//! A busy connection has a multishot recv in the kernel (864 bytes there), an idle one a poll (256 bytes) and, when that
//! completes, one recv. It begins as idle, and stays so until it was heard several times at once: neither a heartbeat nor
//! a login promotes it, since the way back is a request that the kernel has to find among those of all connections, 14 % of
//! what a heartbeat took and 12 % of a login.

use std::os::fd::AsRawFd;
use std::time::Duration;

use wire::{Decoder, Event, HandshakeProgress, Opcode, Role, Rules};

use super::conn::{Conn, Phase};
use super::handler::{Closed, Decision, Endpoint, Frame, Handler};
use super::ring::Completion;
use super::shard::Shard;
use super::slab::{ConnId, Op};
use super::sockets::Sockets;

/// Bytes queued to an echo at which it is not read until half of them are taken: it pays for its own messages.
const ECHO_QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// How long bytes to a stream's client may go unacknowledged: as long as a client has to answer a ping.
const UNACKNOWLEDGED: Duration = Duration::from_millis(schema::limits::PING_ANSWER_MS);

/// Seconds within which an idle connection that is heard again counts as heard at once.
const HEARD_AGAIN_S: u32 = 1;
/// Times in a row that an idle connection is heard at once again until it is busy: more than of one that logs in, asks for a
/// page or two and waits.
const BUSY_AFTER: u8 = 8;

impl Sockets {
    /// Waits for bytes of a connection, unless that is pending or not wanted.
    pub(super) fn arm_read(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if !conn.may_be_read() {
            return;
        }
        let fd = conn.fd.as_raw_fd();
        if conn.flags.idle {
            conn.requests.poll = true;
            self.ring.poll(fd, Op::Poll.user_data(id));
        } else {
            conn.requests.recv = true;
            self.ring.recv(fd, Op::Recv.user_data(id));
        }
    }

    /// Takes what has come, or what comes next, of an idle connection.
    pub(super) fn receive_once(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.may_be_read() {
            conn.requests.recv = true;
            self.ring.recv_once(conn.fd.as_raw_fd(), Op::Recv.user_data(id));
        }
    }

    /// Lets a connection that has been quiet wait by a poll.
    pub(super) fn idle(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.requests.recv && !conn.flags.cancelling {
            conn.flags.idle = true;
            conn.flags.cancelling = true;
            self.ring.cancel(Op::Recv.user_data(id), Op::Cancel.user_data(id));
        }
    }

    /// Keeps bytes of a paused connection.
    fn stash(&mut self, id: ConnId, bytes: &[u8]) {
        if let Some(conn) = self.conns.get_mut(id) {
            self.pool.io(conn).unread.extend_from_slice(bytes);
        }
    }

    fn phase(&self, id: ConnId) -> Option<Phase> {
        self.conns.get(id).map(|conn| conn.phase)
    }

    fn is_paused(&self, id: ConnId) -> bool {
        self.conns.get(id).is_some_and(|conn| conn.phase == Phase::Open && conn.flags.paused)
    }
}

impl Conn {
    /// Takes note that something has come while it waited by a poll. Returns whether it is busy.
    fn heard_by_poll(&mut self, now_s: u32) -> bool {
        let is_again = now_s - self.heard_s <= HEARD_AGAIN_S;
        self.heard_again = if is_again { self.heard_again.saturating_add(1) } else { 0 };
        self.heard_again >= BUSY_AFTER
    }
}

impl<H: Handler> Shard<H> {
    /// Bytes, the end of them, or a reason to ask again.
    pub(super) fn received(&mut self, id: Option<ConnId>, completion: Completion) {
        let buffer = io_uring::cqueue::buffer_select(completion.flags);
        let received_bytes = usize::try_from(completion.result).unwrap_or(0);
        let mut lent = buffer.map(|buffer| {
            // SAFETY: each completion is taken once, and this one names the buffer; it is given back below.
            unsafe { self.sockets.ring.buffers.lend(buffer, received_bytes) }
        });
        if let Some(id) = id {
            if let Some(conn) = self.sockets.conns.get_mut(id)
                && !completion.more()
            {
                conn.requests.recv = false;
                conn.flags.cancelling = false;
            }
            match (completion.result, &mut lent) {
                (1.., Some(lent)) => self.read(id, lent.bytes()),
                (0, _) => {
                    self.read_kept(id);
                    self.half_closed(id);
                }
                (1.., None) => unreachable!("received bytes come in one of our buffers"),
                (_, _) => match -completion.result {
                    libc::ENOBUFS => self.sockets.counters.out_of_buffers += 1,
                    libc::ECANCELED | libc::EINTR | libc::EAGAIN => {}
                    errno => self.sockets.reset(id, errno),
                },
            }
        }
        if let Some(lent) = lent {
            self.sockets.ring.buffers.give_back(lent);
        }
        if let Some(id) = id {
            self.sockets.arm_read(id);
            self.sockets.release(id);
        }
    }

    /// The peer shut its direction. It may wait for an answer, as `nc -N` and some clients of HTTP/1.0 do.
    fn half_closed(&mut self, id: ConnId) {
        let is_stream = |conn: &Conn| {
            conn.phase == Phase::Open && self.sockets.endpoints[usize::from(conn.endpoint)] == Endpoint::Stream
        };
        let may_wait = self.sockets.conns.get(id).is_some_and(is_stream);
        if may_wait && self.handler.on_half_closed(&mut self.sockets, id) {
            if let Some(conn) = self.sockets.conns.get_mut(id) {
                conn.flags.eof = true;
            }
        } else {
            self.sockets.ended(id);
        }
    }

    /// Something came for a connection that waited by a poll.
    pub(super) fn polled(&mut self, id: ConnId) {
        let Some(conn) = self.sockets.conns.get_mut(id) else { return };
        conn.requests.poll = false;
        let now_s = self.sockets.now_s;
        let is_busy = conn.heard_by_poll(now_s);
        match conn.phase {
            Phase::Dead => self.sockets.release(id),
            Phase::Handshake | Phase::Open if !is_busy => self.sockets.receive_once(id),
            phase => {
                conn.flags.idle = false;
                self.sockets.counters.promoted += u64::from(is_busy);
                if phase == Phase::Open {
                    self.sockets.check_at(id, now_s + self.config.idle_after_s);
                }
                self.sockets.arm_read(id);
            }
        }
    }

    /// A pause is over: what was kept comes first.
    pub(super) fn resume(&mut self, id: ConnId) {
        self.read_kept(id);
        self.sockets.arm_read(id);
    }

    /// Reads what came in a pause that is over.
    fn read_kept(&mut self, id: ConnId) {
        let Some(conn) = self.sockets.conns.get_mut(id).filter(|conn| !conn.flags.paused) else { return };
        let mut unread = conn.io.as_mut().map(|io| std::mem::take(&mut io.unread)).unwrap_or_default();
        if !unread.is_empty() {
            self.sockets.pool.settle(conn);
            self.read(id, &mut unread);
        }
    }

    fn read(&mut self, id: ConnId, bytes: &mut [u8]) {
        let now_s = self.sockets.now_s;
        self.sockets.counters.received_bytes += bytes.len() as u64;
        let Some(conn) = self.sockets.conns.get_mut(id) else { return };
        conn.heard_s = now_s;
        match conn.phase {
            Phase::Handshake => self.handshake(id, bytes),
            // Also behind what is kept and will be read in this turn.
            Phase::Open if conn.flags.paused || conn.has_unread() => self.sockets.stash(id, bytes),
            Phase::Open if self.sockets.endpoints[usize::from(conn.endpoint)] == Endpoint::Stream => {
                self.handler.on_bytes(&mut self.sockets, id, bytes);
            }
            Phase::Open | Phase::CloseSent => self.frames(id, bytes),
            Phase::Draining | Phase::Lingering | Phase::Dead => {}
        }
        self.sockets.account(id);
        if self.sockets.held_bytes > self.config.held_bytes_max
            && self.sockets.conns.get(id).is_some_and(|conn| conn.held_bytes > 0)
        {
            self.overloaded(id);
        }
    }

    fn overloaded(&mut self, id: ConnId) {
        self.sockets.counters.overloaded += 1;
        if self.sockets.phase(id) == Some(Phase::Handshake) {
            self.sockets.tear_down(id);
        } else {
            let code = self.config.overloaded_code;
            self.sockets.close_with(id, code, "too many large messages at once", Closed::Overloaded);
            self.sockets.drain(id);
        }
    }

    fn handshake(&mut self, id: ConnId, bytes: &mut [u8]) {
        let Some(conn) = self.sockets.conns.get_mut(id) else { return };
        let io = self.sockets.pool.io(conn);
        let progress = io.handshake.get_or_insert_default().feed(bytes, self.config.handshake_bytes_max);
        let refusal = match progress {
            HandshakeProgress::More => return,
            HandshakeProgress::Refused(refusal) => refusal,
            HandshakeProgress::Plain { request, consumed } => {
                io.handshake = None;
                match self.handler.on_plain(&mut self.sockets, id, &request) {
                    Ok(()) => self.open_plain(id, &bytes[consumed..]),
                    Err(answer) => self.answer(id, &answer),
                }
                return;
            }
            HandshakeProgress::Request { request, consumed } => {
                io.handshake = None;
                match self.handler.on_request(&mut self.sockets, id, &request) {
                    Decision::Accept { protocol, endpoint } => {
                        self.open(id, &request.accept(protocol.as_deref()), endpoint);
                        if self.sockets.is_paused(id) {
                            self.sockets.stash(id, &bytes[consumed..]);
                        } else if consumed < bytes.len() {
                            self.frames(id, &mut bytes[consumed..]);
                        }
                        return;
                    }
                    Decision::Refuse(refusal) => refusal,
                }
            }
        };
        tracing::debug!(conn = %id, status = refusal.status(), "request refused");
        self.answer(id, &refusal.to_bytes());
    }

    /// Answers a request that is no handshake, and ends the connection.
    fn answer(&mut self, id: ConnId, answer: &[u8]) {
        self.sockets.queue(id, Phase::Handshake, |io| io.outbox.push_raw(answer));
        self.sockets.drain(id);
    }

    /// A plain request is taken: the connection is a stream from here on.
    fn open_plain(&mut self, id: ConnId, rest: &[u8]) {
        let index = self.sockets.endpoint(Endpoint::Stream);
        let Some(conn) = self.sockets.conns.get_mut(id).filter(|conn| conn.phase == Phase::Handshake) else { return };
        conn.endpoint = index;
        conn.phase = Phase::Open;
        conn.flags.open = true;
        // Who only listens is not heard, so the kernel is to notice that nobody is there.
        let socket = socket2::SockRef::from(&conn.fd);
        if let Err(error) = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED)) {
            tracing::debug!(conn = %id, %error, "a stream's client may go unnoticed for longer");
        }
        self.handler.on_open(&mut self.sockets, id);
        if !rest.is_empty() {
            self.handler.on_bytes(&mut self.sockets, id, rest);
        }
    }

    fn open(&mut self, id: ConnId, answer: &[u8], endpoint: Endpoint) {
        let index = self.sockets.endpoint(endpoint);
        self.sockets.queue(id, Phase::Handshake, |io| io.outbox.push_raw(answer));
        let now_s = self.sockets.now_s;
        // Unless the handler ended it while it looked at the request.
        let Some(conn) = self.sockets.conns.get_mut(id).filter(|conn| conn.phase == Phase::Handshake) else { return };
        conn.endpoint = index;
        conn.phase = Phase::Open;
        let (accepted_us, is_idle) = (conn.accepted_us, conn.flags.idle);
        conn.flags.open = matches!(endpoint, Endpoint::Handler { .. });
        self.sockets.accept_took(accepted_us);
        if !is_idle {
            self.sockets.check_at(id, now_s + self.config.idle_after_s);
        }
        match endpoint {
            Endpoint::Handler { .. } => {
                self.handler.on_open(&mut self.sockets, id);
            }
            Endpoint::Echo { .. } | Endpoint::Stream => {}
        }
    }

    /// Frames of an open connection, or of one that we wait for the close frame of.
    fn frames(&mut self, id: ConnId, mut input: &mut [u8]) {
        let Some(conn) = self.sockets.conns.get_mut(id) else { return };
        // Out of the entry while the handler may do anything to the connection.
        let mut decoder = std::mem::replace(&mut conn.decoder, Decoder::new());
        let endpoint = self.sockets.endpoints[usize::from(conn.endpoint)];
        let rules = rules(&endpoint);
        loop {
            match decoder.next(&rules, &mut input) {
                Ok(Some(event)) => self.event(id, &endpoint, event),
                Ok(None) => {
                    if !decoder.is_idle() {
                        self.heard(id, &endpoint);
                    }
                    break;
                }
                Err(fault) => self.sockets.fail(id, fault),
            }
            match self.sockets.phase(id) {
                Some(Phase::Open | Phase::CloseSent) => {}
                Some(Phase::Handshake | Phase::Draining | Phase::Lingering | Phase::Dead) | None => return,
            }
            if self.sockets.is_paused(id) {
                self.sockets.stash(id, input);
                break;
            }
        }
        if let Some(conn) = self.sockets.conns.get_mut(id) {
            conn.decoder = decoder;
        }
    }

    fn event(&mut self, id: ConnId, endpoint: &Endpoint, event: Event<'_>) {
        let open = self.sockets.phase(id) == Some(Phase::Open);
        match (event, endpoint) {
            (Event::Close { code, .. }, _) => self.sockets.closed_by_peer(id, code),
            (_, _) if !open => {}
            (Event::Ping(payload), _) => {
                self.sockets.pong(id, &payload);
                self.heard(id, endpoint);
            }
            (Event::Pong(_), _) => self.heard(id, endpoint),
            (Event::Text(text), Endpoint::Echo { .. }) => self.echo(id, Opcode::Text, text.as_bytes()),
            (Event::Binary(bytes), Endpoint::Echo { .. }) => self.echo(id, Opcode::Binary, &bytes),
            (Event::Text(text), Endpoint::Handler { .. }) => {
                self.handler.on_frame(&mut self.sockets, id, Frame::Text(text));
            }
            (Event::Binary(bytes), Endpoint::Handler { .. }) => {
                self.handler.on_frame(&mut self.sockets, id, Frame::Binary(bytes));
            }
            (Event::Text(_) | Event::Binary(_), Endpoint::Stream) => unreachable!("a stream has no frames"),
        }
    }

    /// Bytes came that make no message.
    fn heard(&mut self, id: ConnId, endpoint: &Endpoint) {
        match endpoint {
            Endpoint::Handler { .. } => self.handler.on_heard(&mut self.sockets, id),
            Endpoint::Echo { .. } | Endpoint::Stream => {}
        }
    }

    fn echo(&mut self, id: ConnId, opcode: Opcode, payload: &[u8]) {
        self.sockets.send_copied(id, opcode, payload);
        if self.sockets.queued_bytes(id) > ECHO_QUEUE_BYTES_MAX {
            self.sockets.pause_reads(id);
        }
    }

    /// A send completed.
    pub(super) fn sent(&mut self, id: ConnId, completion: Completion) {
        let credit_bytes = self.sockets.sent(id, completion.result);
        let Some(conn) = self.sockets.conns.get(id) else { return };
        if conn.flags.open && credit_bytes > 0 {
            self.handler.on_writable(&mut self.sockets, id, credit_bytes);
        } else if !conn.flags.open && conn.flags.paused && conn.queued_bytes() <= ECHO_QUEUE_BYTES_MAX / 2 {
            self.sockets.resume_reads(id);
        }
    }
}

fn rules(endpoint: &Endpoint) -> Rules {
    match *endpoint {
        Endpoint::Handler { message_bytes_max } | Endpoint::Echo { message_bytes_max } => {
            Rules { role: Role::Server, message_bytes_max }
        }
        Endpoint::Stream => unreachable!("a stream has no frames"),
    }
}
