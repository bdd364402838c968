//! The driver: the loop of a shard, over one io_uring for the clients' sockets.
//!
//! Owns sockets, handshakes, frames, answers to pings and the close handshake. Knows nothing of what a message means: a
//! [`Handler`] does. The only place that names io-uring, so that the runtime stays replaceable, and the only one in
//! this crate with `unsafe`: what the kernel shares memory with is in `ring`, `buffers` and `outbox`.
//!
//! A turn is one system call: it submits what the last turn queued, fetches what completed, and waits if there is
//! nothing. Frames are parsed where they were received, all that is queued for a socket in a turn goes out in one send,
//! and other threads interrupt the wait through a [`Waker`].
//!
//! The loop is one task of whatever runs it, which is always ready: it lends its thread to the others between two turns
//! ([`Handler::between_turns`]) and waits in its own ring alone. One system call where the park of glommio's executor takes
//! four to eight.

mod accept;
mod buffers;
mod conn;
mod counters;
mod error;
mod handler;
mod outbox;
mod read;
mod ring;
mod shard;
mod slab;
mod sockets;
mod wake;

use std::collections::VecDeque;
use std::net::TcpListener;
use std::time::Instant;

use wire::CloseCode;

pub use accept::listen;
pub use counters::Counters;
pub use error::DriverError;
pub use handler::{Closed, Decision, Endpoint, Frame, Handler};
pub use slab::ConnId;
pub use sockets::Sockets;
pub use wake::{Inbox, Mailbox, MailboxError, Sleeper, Waker, mailbox, sleep_and_wake};

/// What a shard's driver is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the shard is called in the log.
    pub name: String,
    /// Connections this shard holds; more are closed unheard, so a handler that wants to tell them has to refuse
    /// earlier.
    pub connections_max: usize,
    /// Seconds that a client may take for its request.
    pub handshake_s: u32,
    /// Bytes of a request.
    pub handshake_bytes_max: usize,
    /// Bytes of partial messages over all connections; the one that passes it is closed with
    /// [`overloaded_code`](Self::overloaded_code).
    pub held_bytes_max: usize,
    /// The code for that.
    pub overloaded_code: CloseCode,
    /// Seconds of silence after which a connection waits by a poll instead of a recv.
    pub idle_after_s: u32,
}

impl Config {
    /// The limits of [`schema::limits`].
    pub fn new(name: impl Into<String>, connections_max: usize) -> Self {
        use schema::limits::{HANDSHAKE_BYTES_MAX, HANDSHAKE_MS, PARTIAL_BYTES_MAX};
        Config {
            name: name.into(),
            connections_max,
            handshake_s: u32::try_from(HANDSHAKE_MS / 1000).expect("a few seconds"),
            handshake_bytes_max: HANDSHAKE_BYTES_MAX as usize,
            held_bytes_max: PARTIAL_BYTES_MAX as usize,
            overloaded_code: CloseCode::new(schema::CloseCode::Overloaded.into()).expect("an application's code"),
            idle_after_s: 10,
        }
    }
}

/// Runs a shard until its handler stops it, and returns the handler. The future holds its thread but between two turns, and
/// is to be polled on one thread only, which the kernel insists on.
///
/// Without a listener it has no connections but those that it is given. `make_handler` is called once the ring stands.
///
/// # Errors
/// The machine does not have what a shard needs, each kind with its remedy; nothing was served then.
pub async fn run<H: Handler>(
    config: Config,
    listener: impl Into<Option<TcpListener>>,
    sleeper: Sleeper,
    make_handler: impl FnOnce(&mut Sockets) -> H,
) -> Result<H, DriverError> {
    // What other tasks of the thread log is the shard's too.
    let _span = tracing::info_span!("shard", name = config.name).entered();
    let mut sockets = Sockets {
        ring: ring::Ring::new()?,
        conns: slab::Slab::default(),
        pool: conn::Pool::default(),
        wheel: pace::Wheel::new(0),
        acceptor: accept::Acceptor::new(listener.into(), config.connections_max, config.handshake_s),
        endpoints: Vec::new(),
        dirty: VecDeque::new(),
        resumed: VecDeque::new(),
        closed: VecDeque::new(),
        counters: Counters::default(),
        held_bytes: 0,
        started: Instant::now(),
        now_s: 0,
        accept_ns: Vec::new(),
        stop_at: None,
    };
    let handler = make_handler(&mut sockets);
    shard::Shard::new(config, sleeper, sockets, handler).run().await
}
