//! The engine of a single machine, and the default: the resolver over fjall, on a thread of its own.
//!
//! Owns a data directory, the two threads that commit into it and the one that watches them. Reads run on the caller's
//! thread over a snapshot of the rows at the transaction's version; commits gather while a group is written and share the
//! next, which is written while that one is synced. Futures are completed from the committing threads.
//! Upholds I3: a version can be read, and a commit is answered, only after the `fsync` that made it durable.
//! Limits: a cleared range is removed row by row, so a large one delays the group that it is in; and a read that begins
//! where rows were removed walks over their marks, so a queue is read from where its reader was, not from its
//! beginning.

mod committer;
mod directory;
mod empty_ranges;
mod journal;
mod journal_tail;
mod rows;
mod stats;
mod views;
mod watchdog;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_channel::oneshot;

pub use directory::{FORMAT, OpenError};
pub use rows::EmbeddedSnapshot;
pub use stats::{EngineStats, GroupSample};

use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::limits;
use crate::local::{Answer, Backend, Closed, LocalTransaction, Submission};
use crate::transaction::{Begin, Engine, Generation, Version};
use committer::{COMMITTING_THREADS, Committer, Shared};
use directory::Directory;

/// What happens when a write or an `fsync` fails, or a committing thread panics. Called on a committing thread,
/// before anybody is answered; commits in flight end in [`Error::Fatal`] after it.
pub type OnFatal = Arc<dyn Fn(&Error) + Send + Sync>;

/// What happens when a group commit takes longer than `stall`; given how long it has taken so far.
pub type OnStall = Arc<dyn Fn(Duration) + Send + Sync>;

/// How to open a data directory.
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// 8 random bytes: the generation, if the store is created now. Nothing here draws random numbers.
    pub entropy: u64,
    /// Limits a transaction's life.
    pub clock: Arc<dyn Clock>,
    /// Bytes of rows kept in memory as they were read from disk.
    pub cache_bytes: u64,
    /// Longest key that a transaction may name.
    pub key_bytes_max: usize,
    /// A failed write: [`exit`] unless a test wants to see it.
    pub on_fatal: OnFatal,
    /// A group commit that takes longer than this is told of.
    pub stall: Duration,
    /// Who is told.
    pub on_stall: OnStall,
}

impl EmbeddedOptions {
    /// The system's clock, 64 MiB of cache, [`exit`] on a failed write, a warning after 2 s.
    #[must_use]
    pub fn new(entropy: u64) -> Self {
        Self {
            entropy,
            clock: Arc::new(SystemClock::start()),
            cache_bytes: 64 << 20,
            key_bytes_max: limits::KEY_BYTES_MAX,
            on_fatal: Arc::new(exit),
            stall: Duration::from_secs(2),
            on_stall: Arc::new(|so_far| tracing::warn!(?so_far, "a commit does not return from the disk")),
        }
    }
}

/// Says why in one line on standard error and ends the process with status 1. On restart everything that was answered
/// is there.
///
/// Exit handlers run, on a committing thread. No node runs FoundationDB's client beside this engine; a process that
/// does gives another hook, like [`std::process::abort`], because the client's exit handlers crash under its network
/// thread ([`crate::foundationdb`]).
pub fn exit(error: &Error) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::error!(cause, "the store cannot write, the process ends");
    eprintln!("rookery: the store cannot write, the process ends: {cause}");
    std::process::exit(1);
}

/// A data directory that is open. Clones are handles to the same one; it closes with the last, or by [`Self::close`].
#[derive(Clone)]
pub struct EmbeddedEngine(Arc<EmbeddedBackend>);

/// What the engine's transactions stand on.
pub struct EmbeddedBackend {
    shared: Arc<Shared>,
    generation: Generation,
    key_bytes_max: usize,
    path: PathBuf,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl EmbeddedEngine {
    /// Opens the store in `path`, which is created if only its last part is missing.
    ///
    /// # Errors
    /// [`OpenError`], which says what to do.
    pub fn open(path: &Path, options: EmbeddedOptions) -> Result<Self, OpenError> {
        let directory = Directory::lock(path)?;
        let (rows, journal) = directory.open(options.cache_bytes, Generation(options.entropy))?;
        let damaged = |_| OpenError::Damaged { path: path.to_owned(), what: "the store's own rows are missing" };
        let generation = rows.generation().map_err(damaged)?;
        let reserve = rows.reserve().map_err(damaged)?;
        let shared = Arc::new(Shared::new(rows.view(reserve), Arc::clone(&options.clock)));
        let key_bytes_max = options.key_bytes_max;
        let path = directory.path().to_owned();
        let committer = Arc::new(Committer::new((rows, journal, directory), reserve, &shared, &options));
        let watching = Arc::clone(&shared);
        let watch = move || watching.watched.watch(options.stall, &watching.stats, &*options.on_stall);
        let mut threads = vec![start("storage-watchdog", watch)];
        for _ in 0..COMMITTING_THREADS {
            let committer = Arc::clone(&committer);
            threads.push(start("storage-commit", move || committer.run()));
        }
        drop(committer);
        let threads: Result<Vec<_>, _> = threads.into_iter().collect();
        let threads = Mutex::new(threads.map_err(|source| {
            shared.close();
            shared.watched.close();
            OpenError::Io { path: path.clone(), source }
        })?);
        Ok(Self(Arc::new(EmbeddedBackend { shared, generation, key_bytes_max, path, threads })))
    }

    /// Finishes the commits that wait, writes everything out and returns when the directory can be opened again,
    /// provided that no transaction is left. From now on every operation of any handle is [`Error::Fatal`].
    pub fn close(&self) {
        self.0.close();
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> &EngineStats {
        &self.0.shared.stats
    }

    /// Bytes that can still be written to the file system of the data directory.
    ///
    /// # Errors
    /// The system's.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let file_system = rustix::fs::statvfs(&self.0.path)?;
        Ok(file_system.f_bavail.saturating_mul(file_system.f_frsize))
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

impl std::fmt::Debug for EmbeddedEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedEngine").field("path", &self.0.path).finish_non_exhaustive()
    }
}

impl Engine for EmbeddedEngine {
    type Tx = LocalTransaction<EmbeddedBackend>;

    fn begin(&self, read: Begin) -> Self::Tx {
        LocalTransaction::new(Arc::clone(&self.0), read)
    }

    fn generation(&self) -> Generation {
        self.0.generation
    }

    fn newest(&self) -> Version {
        // Of a store that is closed nothing can be read, which whoever begins is told.
        self.0.shared.views().as_ref().map_or(Version(0), |views| views.newest().version)
    }

    fn floor(&self, _version: Version) {
        // Nobody else has it open.
    }
}

impl EmbeddedBackend {
    fn close(&self) {
        self.shared.close();
        self.shared.watched.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A waker that runs on a committing thread may hold the last handle: that thread cannot await itself.
            if thread.thread().id() != thread::current().id() {
                let name = thread.thread().name().unwrap_or_default().to_owned();
                if thread.join().is_err() {
                    tracing::error!(name, "a thread of the store panicked");
                }
            }
        }
    }
}

impl Drop for EmbeddedBackend {
    fn drop(&mut self) {
        self.close();
    }
}

impl Backend for EmbeddedBackend {
    type Snapshot = EmbeddedSnapshot;

    fn open(&self, begin: Begin) -> Result<(Version, EmbeddedSnapshot), Error> {
        match &*self.shared.views() {
            Some(views) => views.open(begin).map(|(version, view)| (version, EmbeddedSnapshot(view))),
            None => Err(Error::fatal(Closed)),
        }
    }

    fn now_ms(&self) -> u64 {
        self.shared.clock.now_ms()
    }

    fn key_bytes_max(&self) -> usize {
        self.key_bytes_max
    }

    fn waits(&self) -> bool {
        true
    }

    fn submit(&self, submission: Submission) -> Result<Answer, Error> {
        let (answer, receiver) = oneshot::channel();
        self.shared.submit(submission, answer)?;
        Ok(receiver)
    }
}
