//! The driver: one glommio executor a shard, and in it our own io_uring for the clients' sockets.
//!
//! Owns sockets, handshakes, frames, pings and the close handshake. Knows nothing of what a message means: a
//! [`Handler`] does. The only place that names glommio or io-uring, so that the runtime stays replaceable, and the
//! only one in this crate with `unsafe`: what the kernel shares memory with is in `ring`, `buffers`, `outbox`.
//!
//! A turn is one system call: it submits what the last turn queued and fetches what completed. Frames are parsed where
//! they were received, all that is queued for a socket in a turn goes out in one send, and the shard sleeps on one
//! eventfd, which the kernel signals for its ring and other threads through a [`Waker`].

mod accept;
mod buffers;
mod conn;
mod error;
mod handler;
mod outbox;
mod read;
mod ring;
mod shard;
mod slab;
mod sockets;
mod wake;
mod wheel;

use std::collections::VecDeque;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use glommio::{LocalExecutorBuilder, Placement};
use wire::CloseCode;

pub use accept::listen;
pub use error::DriverError;
pub use handler::{Closed, Decision, Endpoint, Frame, Handler, Silence};
pub use slab::ConnId;
pub use sockets::{Counters, Sockets};
pub use wake::{Inbox, Mailbox, MailboxError, Sleeper, Waker, mailbox, sleep_and_wake};

/// What a shard's driver is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The thread's and the executor's name.
    pub name: String,
    /// The processor to stay on, or any.
    pub cpu: Option<usize>,
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
    /// The limits of [`schema::limits`], on any processor.
    pub fn new(name: impl Into<String>, connections_max: usize) -> Self {
        use schema::limits::{HANDSHAKE_BYTES_MAX, HANDSHAKE_MS, PARTIAL_BYTES_MAX};
        Config {
            name: name.into(),
            cpu: None,
            connections_max,
            handshake_s: u32::try_from(HANDSHAKE_MS / 1000).expect("a few seconds"),
            handshake_bytes_max: HANDSHAKE_BYTES_MAX as usize,
            held_bytes_max: PARTIAL_BYTES_MAX as usize,
            overloaded_code: CloseCode::new(schema::CloseCode::Overloaded.into()).expect("an application's code"),
            idle_after_s: 10,
        }
    }
}

/// Runs a shard on this thread until its handler stops it, and returns the handler.
///
/// `make_handler` is called on this thread once the ring stands, so a handler need not be [`Send`].
///
/// # Errors
/// The machine does not have what a shard needs, each kind with its remedy; nothing was served then.
pub fn run<H: Handler>(
    config: Config,
    listener: TcpListener,
    sleeper: Sleeper,
    make_handler: impl FnOnce(&mut Sockets) -> H,
) -> Result<H, DriverError> {
    let placement = config.cpu.map_or(Placement::Unbound, Placement::Fixed);
    let executor = LocalExecutorBuilder::new(placement)
        .name(&config.name)
        // Its buffers are for files, which we do not read through it.
        .io_memory(0)
        // How long our loop may keep glommio's own rings waiting; its default is 100 ms.
        .preempt_timer(Duration::from_millis(1))
        .make()
        .map_err(|error| executor_error(&config, &error))?;
    executor.run(async move {
        let sockets = Sockets {
            ring: ring::Ring::new(sleeper.eventfd())?,
            conns: slab::Slab::default(),
            pool: conn::Pool::default(),
            wheel: wheel::Wheel::new(),
            acceptor: accept::Acceptor::new(listener, config.connections_max, config.handshake_s),
            endpoints: Vec::new(),
            dirty: VecDeque::new(),
            resumed: VecDeque::new(),
            closed: VecDeque::new(),
            counters: Counters::default(),
            held_bytes: 0,
            started: Instant::now(),
            now_s: 0,
            stop_at: None,
        };
        let mut sockets = sockets;
        let handler = make_handler(&mut sockets);
        shard::Shard::new(config, sleeper, sockets, handler)?.run().await
    })
}

fn executor_error(config: &Config, error: &glommio::GlommioError<()>) -> DriverError {
    use glommio::{BuilderErrorKind, GlommioError, ReactorErrorKind};
    match (error, config.cpu) {
        (GlommioError::ReactorError(ReactorErrorKind::MemLockLimit(..)), _) => {
            DriverError::LockedMemory { source: std::io::Error::other(error.to_string()) }
        }
        (GlommioError::BuilderError(BuilderErrorKind::NonExistentCpus { .. }), Some(cpu)) => {
            DriverError::Processor { cpu, reason: error.to_string() }
        }
        (GlommioError::IoError(source), None) if source.raw_os_error().is_some() => {
            DriverError::of_ring(std::io::Error::from_raw_os_error(source.raw_os_error().expect("just checked")))
        }
        (error, _) => DriverError::Executor { reason: error.to_string() },
    }
}
