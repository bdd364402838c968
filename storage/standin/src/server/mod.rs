//! The server: transactions of one of our engines over TCP, with faults on request and every call counted.
//!
//! Owns the store, a thread that accepts and a thread for each connection. Each client transaction is one transaction of
//! the engine, so read-your-writes, conflicts, versionstamps and the 5 s of a transaction's life are the engine's.
//! Listens on this machine only unless told otherwise: nothing here asks who is there, and nothing is encrypted.

mod calls;
mod connection;
mod control;
mod faults;
mod task;
mod transactions;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use kv::embedded::{EmbeddedEngine, EmbeddedOptions};
use kv::memory::{MemoryEngine, MemoryOptions, MemoryStore};
use kv::{Engine, Generation, SystemClock};
use rustix::event::{PollFd, PollFlags};

pub use calls::{COMMITS_KEPT_MAX, Calls, CommitRows};
pub use faults::{Fault, Faults, FaultsError, ReadFault};

use crate::cluster_file::ClusterFile;
use crate::link::wait;
use control::Control;

/// Connections at a time. A node has one; 256 is more nodes than one would run on a machine. One more is closed at once.
pub const CONNECTIONS_MAX: usize = 256;

/// FoundationDB's own limit on keys, above that of our engines, which leave room for a prefix.
const KEY_BYTES_MAX: usize = 10_000;

/// Where rows are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// In memory: they are gone with the server.
    Memory,
    /// In this directory, as the embedded engine does: each group of commits is durable before it is answered.
    Directory(PathBuf),
}

/// How to start a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where to listen. Port 0 is one that is free.
    pub listen: SocketAddr,
    /// Whether `listen` may be reachable from other machines.
    pub beyond_loopback: bool,
    /// Where rows are kept.
    pub store: Store,
    /// Faults at random are drawn from it; it also names the store in the cluster file.
    pub seed: u64,
    /// What goes wrong at random.
    pub faults: Faults,
}

impl Default for ServerOptions {
    /// In memory, on a free port of 127.0.0.1, without faults.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            beyond_loopback: false,
            store: Store::Memory,
            seed: 1,
            faults: Faults::default(),
        }
    }
}

/// A server that runs. It stops when it is dropped: connections are cut, and commits that were handed in end first.
#[derive(Debug)]
pub struct Server {
    control: Arc<Control>,
    address: SocketAddr,
    seed: u64,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Opens the store and listens.
    ///
    /// # Errors
    /// The system's; an address beyond loopback that was not allowed; a directory that cannot be opened; faults that
    /// come to more than always.
    pub fn start(options: ServerOptions) -> io::Result<Self> {
        let ServerOptions { listen, beyond_loopback, store, seed, faults } = options;
        faults.check().map_err(io::Error::other)?;
        if !listen.ip().is_loopback() && !beyond_loopback {
            let text = format!("{listen} may be reached from other machines: anybody there could read and write");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        match store {
            Store::Memory => {
                let clock = Arc::new(SystemClock::start());
                let options = MemoryOptions { clock, key_bytes_max: KEY_BYTES_MAX, ..MemoryOptions::default() };
                let engine = MemoryEngine::open(&MemoryStore::new(Generation(seed)), options);
                Self::serve(engine, listen, seed, faults)
            }
            Store::Directory(path) => {
                let options = EmbeddedOptions { key_bytes_max: KEY_BYTES_MAX, ..EmbeddedOptions::new(seed) };
                let engine = EmbeddedEngine::open(&path, options).map_err(io::Error::other)?;
                Self::serve(engine, listen, seed, faults)
            }
        }
    }

    fn serve<E: Engine>(engine: E, listen: SocketAddr, seed: u64, faults: Faults) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let control = Arc::new(Control::new(seed, faults)?);
        let watching = Arc::clone(&control);
        let accept = move || {
            if let Err(error) = accept(&listener, &watching, &engine) {
                tracing::error!(%error, "the stand-in accepts no more connections");
            }
        };
        let accepting = Some(thread::Builder::new().name("standin-accept".to_owned()).spawn(accept)?);
        Ok(Self { control, address, seed, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Writes `fdb.cluster` into `directory`.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn cluster_file(&self, directory: &Path) -> PathBuf {
        let path = directory.join("fdb.cluster");
        self.write_cluster_file(&path).unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
        path
    }

    /// Writes the cluster file to `path`, whole or not at all.
    ///
    /// # Errors
    /// The system's.
    pub fn write_cluster_file(&self, path: &Path) -> io::Result<()> {
        ClusterFile { seed: self.seed, address: self.address }.write(path)
    }

    /// What goes wrong at random from now on.
    ///
    /// # Panics
    /// If rates come to more than always.
    pub fn set_faults(&self, faults: Faults) {
        faults.check().unwrap_or_else(|error| panic!("{error}"));
        self.control.state().fate.set_faults(faults);
    }

    /// How the next commits that write end, of whichever client, after those scripted before.
    pub fn script(&self, commits: &[Fault]) {
        self.control.state().fate.script(commits, &[]);
    }

    /// How the next reads end, of whichever client, after those scripted before.
    pub fn script_reads(&self, reads: &[ReadFault]) {
        self.control.state().fate.script(&[], reads);
    }

    /// The cluster is away: nothing is accepted, read or answered. Commits that were handed in take their course.
    pub fn pause(&self) {
        self.control.set_paused(true);
    }

    /// The cluster is back.
    pub fn resume(&self) {
        self.control.set_paused(false);
    }

    /// The store is full: commits that write are refused for load, for ever, and reads go on. Or it is not any more.
    pub fn fill(&self, full: bool) {
        self.control.state().fate.set_full(full);
    }

    /// Cuts every connection. Clients connect again.
    pub fn cut(&self) {
        self.control.cut();
    }

    /// What was asked of it so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.control.state().counts.calls.clone()
    }

    /// What the last commits that happened wrote, oldest first, at most [`COMMITS_KEPT_MAX`].
    #[must_use]
    pub fn last_commits(&self) -> Vec<CommitRows> {
        self.control.state().counts.commits.iter().copied().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control.close();
        if self.accepting.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the stand-in's accepting thread panicked");
        }
    }
}

/// Accepts until the control is closed, then waits for the connections' threads.
fn accept<E: Engine>(listener: &TcpListener, control: &Arc<Control>, engine: &E) -> io::Result<()> {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while !control.is_closing() {
        let signal = PollFd::new(control, PollFlags::IN);
        if control.is_paused() {
            wait(&mut [signal], None)?;
        } else {
            wait(&mut [signal, PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)], None)?;
        }
        control.lower();
        if control.is_paused() {
            continue;
        }
        match listener.accept() {
            Ok((socket, peer)) => {
                threads.retain(|thread| !thread.is_finished());
                if threads.len() >= CONNECTIONS_MAX {
                    tracing::warn!(%peer, limit = CONNECTIONS_MAX, "too many connections, this one is closed");
                    continue;
                }
                let (control, engine) = (Arc::clone(control), engine.clone());
                let serve = move || connection::serve(socket, control, engine);
                threads.push(thread::Builder::new().name("standin-serve".to_owned()).spawn(serve)?);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // The peer went away again, or there are no descriptors left: the others are served on.
            Err(error) => tracing::warn!(%error, "a connection was not accepted"),
        }
    }
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread of the stand-in panicked");
        }
    }
    Ok(())
}
