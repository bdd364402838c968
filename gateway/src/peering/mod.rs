//! Connections to the other nodes: dialled, accepted, authenticated, and handed to the shards that hold them.
//!
//! Owns a thread with a runtime of its own, on which nothing else runs, and the listener of the links. Of two nodes the
//! one whose life has the smaller number dials, each link between the two by itself, and again whenever it breaks. What
//! flows on a connection once both have proven who they are is the shards' affair: it leaves this room as a descriptor, with
//! its TLS if it has any.
//!
//! ```text
//! nodes of the view ─► dial ─╮
//!                            ├─► introduction: link::handshake ─► NewStream ─► the shard that holds that link
//! listen.links ─► accept ────╯   inside of tls, if set
//! ```

mod accept;
mod attempts;
mod dial;
mod introduction;
mod outage;
mod tally;
mod tls;

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use link::Secret;
use link::handshake::Identity;
use schema::Incarnation;
use tokio::runtime;
use tokio::sync::{oneshot, watch};

use crate::uring::Mailbox;

use introduction::Wire;

pub(crate) use attempts::{Attempts, Failure};
pub(crate) use tally::Tally;
pub(crate) use tls::{Session, Tls};

/// Connections that a shard has not taken over yet: more than all others of its node make at once.
pub(crate) const NEW_STREAMS_MAX: usize = 1_024;

/// An authenticated connection to another node, for the shard that holds the link.
pub(crate) struct NewStream {
    pub(crate) fd: OwnedFd,
    /// TLS state, on a link that has TLS.
    pub(crate) tls: Option<Session>,
    /// The life of the other node.
    pub(crate) peer: Incarnation,
    /// Which of the links between the two.
    pub(crate) number: u16,
    /// Bytes that came behind the handshake.
    pub(crate) leftover: Vec<u8>,
    /// Dropped when the connection has ended: whoever dialled dials again.
    pub(crate) alive: oneshot::Sender<()>,
}

/// Another node of the view, as far as links concern it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Neighbour {
    /// The address of its links: a host and a port.
    pub(crate) address: String,
    /// Shards that it runs.
    pub(crate) shards: u16,
}

/// The other nodes of a view.
pub(crate) type Neighbours = BTreeMap<Incarnation, Neighbour>;

/// What this room needs.
pub(crate) struct Parts {
    pub(crate) me: Identity,
    pub(crate) secret: Secret,
    /// Without it links are not encrypted.
    pub(crate) tls: Option<Tls>,
    /// Where other nodes connect.
    pub(crate) listener: TcpListener,
    /// Of each shard, in the order of their numbers.
    pub(crate) shards: Vec<Mailbox<NewStream>>,
    /// The other nodes, as they are now and as they change.
    pub(crate) neighbours: watch::Receiver<Neighbours>,
    /// Where it is said what came of dialling them.
    pub(crate) attempts: Arc<Attempts>,
    /// Where connections are counted that came to nothing.
    pub(crate) tally: Arc<Tally>,
}

/// The thread, until this is dropped. Connections that were handed over stay.
pub(crate) struct Peering {
    /// Never sent on: the thread ends when this is dropped.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Peering {
    /// Listens and dials from now on.
    ///
    /// # Errors
    /// The system's, if it starts no more threads.
    pub(crate) fn start(parts: Parts) -> io::Result<Self> {
        let Parts { me, secret, tls, listener, shards, neighbours, attempts, tally } = parts;
        listener.set_nonblocking(true)?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let ways = Arc::new(Ways { me, secret, tls, shards, tally });
        let thread = thread::Builder::new().name("peering".to_owned()).spawn(move || {
            runtime.block_on(async {
                let listener = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => listener,
                    Err(error) => return tracing::error!(%error, "no node can connect to this one"),
                };
                tokio::select! {
                    _ = stopped => {}
                    () = accept::run(Arc::clone(&ways), listener) => {}
                    () = dial::run(ways, neighbours, attempts) => {}
                }
            });
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Peering {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has ended the process already.
            let _ = thread.join();
        }
    }
}

/// What both directions share.
struct Ways {
    me: Identity,
    secret: Secret,
    tls: Option<Tls>,
    shards: Vec<Mailbox<NewStream>>,
    tally: Arc<Tally>,
}

impl Ways {
    /// Gives a connection to its shard. Returns a sign of its end; none if the shard takes none.
    fn hand_over(&self, wire: Wire, established: link::handshake::Established) -> Option<oneshot::Receiver<()>> {
        let link::handshake::Established { peer, link: number, leftover, .. } = established;
        let (alive, ended) = oneshot::channel();
        let (stream, tls) = wire.into_parts();
        let fd = stream.into_std().ok()?.into();
        let shard = usize::from(number) % self.shards.len();
        let new = NewStream { fd, tls, peer, number, leftover, alive };
        self.shards[shard].push(new).ok()?;
        Some(ended)
    }
}
