//! The shard's own listener and what comes from it.
//!
//! Each shard listens on the same port by SO_REUSEPORT, so the kernel spreads connections without a lock between
//! shards. Without descriptors left the listener pauses rather than spins, and so it does when more come than may in a
//! second, since each is some work: clients wait in its backlog meanwhile, and sessions do not wait for them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use pace::Rate;
use schema::limits::{ACCEPTS_BURST, ACCEPTS_PER_S};
use socket2::{Domain, Protocol, Socket, Type};

use super::conn::Conn;
use super::slab::Op;
use super::sockets::Sockets;

/// How long no connection is accepted after descriptors ran out: others close meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that are accepted, refilled in microseconds.
const RATE: Rate = Rate { burst: ACCEPTS_BURST, refill: 1_000_000 / ACCEPTS_PER_S as u64 };
/// Connections that a pause lets through at least, so that pauses are few.
const PAUSED_FOR: u64 = 25;

/// A listener that other shards share the port of.
///
/// Connections inherit TCP_NODELAY from it: frames are coalesced by us, a turn at a time, and not to be held back by
/// the kernel as well. `backlog` is cut by the kernel to net.core.somaxconn.
///
/// # Errors
/// The address is in use without SO_REUSEPORT, or not ours.
pub fn listen(addr: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&addr.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Whether and how connections are accepted.
pub(super) struct Acceptor {
    listener: Option<TcpListener>,
    /// A request to accept is in the kernel.
    armed: bool,
    paused_until: Option<Instant>,
    /// When as many may come at once as ever, in microseconds of the shard's clock.
    full_at_us: u64,
    /// The log knows of the shortage; it is told again after it has ended.
    shortage_told: bool,
    connections_max: usize,
    handshake_s: u32,
}

impl Acceptor {
    pub(super) fn new(listener: Option<TcpListener>, connections_max: usize, handshake_s: u32) -> Self {
        Acceptor {
            listener,
            armed: false,
            paused_until: None,
            full_at_us: 0,
            shortage_told: false,
            connections_max,
            handshake_s,
        }
    }

    /// When accepting goes on after a pause.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    pub(super) fn is_armed(&self) -> bool {
        self.armed
    }
}

impl Sockets {
    /// Asks for connections, unless that is pending, paused or over.
    pub(super) fn arm_accept(&mut self, now: Instant) {
        if self.acceptor.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.acceptor.paused_until = None;
        if let Some(listener) = &self.acceptor.listener
            && !self.acceptor.armed
        {
            self.acceptor.armed = true;
            self.ring.accept(listener.as_raw_fd(), Op::Accept.alone());
        }
    }

    /// A connection, or why there is none.
    pub(super) fn accepted(&mut self, result: i32, more: bool) {
        if !more {
            self.acceptor.armed = false;
        }
        if result >= 0 {
            // SAFETY: the kernel made this descriptor for us, and this completion is the only one to name it.
            let fd = unsafe { OwnedFd::from_raw_fd(result) };
            self.acceptor.shortage_told = false;
            self.add(fd);
            self.pace_accepts();
            return;
        }
        match -result {
            // Gone before it was accepted, or cancelled by us.
            libc::ECONNABORTED | libc::ECANCELED | libc::EINTR | libc::EAGAIN | libc::EPROTO => {}
            errno => {
                if matches!(errno, libc::EMFILE | libc::ENFILE) {
                    self.counters.out_of_descriptors += 1;
                }
                self.acceptor.paused_until = Some(Instant::now() + PAUSE);
                if !std::mem::replace(&mut self.acceptor.shortage_told, true) {
                    let (error, connections) = (io::Error::from_raw_os_error(errno), self.conns.len());
                    tracing::warn!(%error, connections, "no connection can be accepted; tried again each 100 ms");
                }
            }
        }
    }

    /// Counts a connection that was accepted, and pauses if that was one of too many. Those that the kernel has taken
    /// already come nevertheless.
    fn pace_accepts(&mut self) {
        let now_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        match RATE.take(self.acceptor.full_at_us, now_us, 1) {
            Ok(full_at_us) => self.acceptor.full_at_us = full_at_us,
            Err(_) if self.acceptor.paused_until.is_some() => {}
            Err(wait_us) => {
                let pause = Duration::from_micros(wait_us.max(PAUSED_FOR * RATE.refill));
                self.acceptor.paused_until = Some(Instant::now() + pause);
                self.counters.accepts_paused += 1;
                if self.acceptor.armed {
                    self.ring.cancel(Op::Accept.alone(), Op::Cancel.alone());
                }
            }
        }
    }

    fn add(&mut self, fd: OwnedFd) {
        if self.acceptor.listener.is_none() || self.conns.len() >= self.acceptor.connections_max {
            self.counters.turned_away += 1;
            return;
        }
        self.counters.accepted += 1;
        let mut conn = Conn::new(fd, self.now_s, self.now_us());
        // Most say who they are and are quiet then.
        conn.flags.idle = true;
        let id = self.conns.insert(conn);
        self.check_at(id, self.now_s + self.acceptor.handshake_s);
        self.receive_once(id);
    }

    pub(super) fn stop_listening(&mut self) {
        if self.acceptor.listener.take().is_some() && self.acceptor.armed {
            self.ring.cancel(Op::Accept.alone(), Op::Cancel.alone());
        }
    }
}
