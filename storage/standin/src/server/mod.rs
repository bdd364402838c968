//! The server: transactions of one of our engines over TCP, with faults on request and every call counted.
//!
//! Owns the store and one thread for all connections. Each client transaction is one transaction of the engine, so
//! read-your-writes, conflicts, versionstamps, limits and the 5 s of a transaction's life are the engine's.
//! Listens on this machine only unless told otherwise: nothing here asks who is there, and nothing is encrypted.

mod calls;
mod connection;
mod control;
mod faults;
mod transactions;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use kv::embedded::{EmbeddedEngine, EmbeddedOptions, OnFatal};
use kv::foundationdb::Options;
use kv::memory::{MemoryEngine, MemoryOptions, MemoryStore};
use kv::{Engine, Generation, SystemClock};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

pub use calls::{Calls, Written};
pub use faults::{Fault, Faults};

use crate::cluster_file::ClusterFile;
use crate::library::library;
use control::{Control, Stage};
use faults::Fate;

/// Connections at a time. A node has one; 256 is more nodes than one would run on a machine. One more is closed at
/// once.
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
    thread: Option<JoinHandle<()>>,
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
                // The client may be in the same process: no exit handler may run.
                let on_fatal: OnFatal = Arc::new(|error| {
                    tracing::error!(%error, "the store cannot write, the process ends");
                    std::process::abort();
                });
                let options = EmbeddedOptions { key_bytes_max: KEY_BYTES_MAX, on_fatal, ..EmbeddedOptions::new(seed) };
                let engine = EmbeddedEngine::open(&path, options).map_err(io::Error::other)?;
                Self::serve(engine, listen, seed, faults)
            }
        }
    }

    fn serve<E: Engine>(engine: E, listen: SocketAddr, seed: u64, faults: Faults) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(listen))?;
        let address = listener.local_addr()?;
        let control = Arc::new(Control::new(Fate::new(seed, faults)));
        let accepting = accept(listener, Arc::clone(&control), engine);
        let thread = thread::Builder::new().name("standin".to_owned()).spawn(move || runtime.block_on(accepting))?;
        Ok(Self { control, address, seed, thread: Some(thread) })
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

    /// How a client finds it: a cluster file in `directory`, and a store under `prefix`, of that generation if it is
    /// new.
    ///
    /// # Panics
    /// If the cluster file cannot be written, or the client library was not built.
    pub fn options(&self, directory: &Path, prefix: &str, new_generation: u64) -> Options {
        let (cluster_file, client_library) = (Some(self.cluster_file(directory)), Some(library()));
        Options { cluster_file, client_library, prefix: prefix.to_owned(), new_generation }
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
        self.control.state().fate.faults = faults;
    }

    /// How the next commits that write end, of whichever client, after those scripted before.
    pub fn script(&self, commits: &[Fault]) {
        self.control.state().fate.commits.extend(commits);
    }

    /// How the next reads end, of whichever client, after those scripted before.
    pub fn script_reads(&self, reads: &[Fault]) {
        self.control.state().fate.reads.extend(reads);
    }

    /// The cluster is away: nothing is accepted, read or answered. Commits that were handed in take their course.
    pub fn pause(&self) {
        self.control.set(Stage::Paused);
    }

    /// The cluster is back.
    pub fn resume(&self) {
        self.control.set(Stage::Running);
    }

    /// The store is full: commits that write are refused for load, for ever, and reads go on. Or it is not any more.
    pub fn fill(&self, full: bool) {
        self.control.state().fate.full = full;
    }

    /// Cuts every connection. Clients connect again.
    pub fn cut(&self) {
        self.control.cut();
    }

    /// What was asked of it so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.control.state().calls.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control.set(Stage::Closing);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the stand-in's thread panicked");
        }
    }
}

/// Accepts until the control closes, then waits for the commits that were handed in.
async fn accept<E: Engine>(listener: TcpListener, control: Arc<Control>, engine: E) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            control.resumed().await;
            listener.accept().await
        };
        let accepted = tokio::select! {
            () = control.closing() => break,
            accepted = accepted => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((_, peer)) if connections.len() >= CONNECTIONS_MAX => {
                tracing::warn!(%peer, limit = CONNECTIONS_MAX, "too many connections, this one is closed");
            }
            Ok((socket, _)) => {
                connections.spawn(connection::serve(socket, Arc::clone(&control), engine.clone()));
            }
            // The peer went away again, or there are no descriptors left: the others are served on.
            Err(error) => tracing::warn!(%error, "a connection was not accepted"),
        }
    }
    control.end().await;
}
