//! The engine for tests and simulation: rows in memory that outlive the engine, faults on request.
//!
//! Owns [`MemoryStore`], the disk as it were, and [`MemoryEngine`], the process that has it open. Deterministic: no
//! thread, no clock but the one given, no randomness but the faults'. Commits are handed in, stored and released in
//! the order in which their futures are first polled.
//! Upholds I3: in [`Durability::Stepped`] nothing is released before [`MemoryEngine::sync`]. [`Durability::Deferred`]
//! gives that up.

mod faults;
mod rows;
mod store;

use std::ops::ControlFlow;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_channel::oneshot;

pub use faults::{CommitFault, FaultRates, Faults, NoFaults, ScriptedFaults, SeededFaults};
pub use store::MemoryStore;

use crate::clock::{Clock, ManualClock};
use crate::error::Error;
use crate::limits;
use crate::local::{Answer, Backend, Closed, Held, LocalTransaction, Snapshot, Submission, register};
use crate::transaction::{Begin, Committed, Engine, Generation, Version};
use crate::versions::Versions;
use store::Kept;

/// When a commit is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// At once: every commit is a group of its own.
    #[default]
    Immediate,
    /// When [`MemoryEngine::sync`] is called: all commits since the last are one group.
    Stepped,
    /// When [`MemoryEngine::sync`] is called, but every commit is answered and can be read at once: a database whose
    /// fsync is off. A power loss takes what was answered since.
    Deferred,
}

/// How to open a [`MemoryStore`].
pub struct MemoryOptions {
    /// Limits a transaction's life.
    pub clock: Arc<dyn Clock>,
    /// When commits are durable.
    pub durability: Durability,
    /// What goes wrong.
    pub faults: Box<dyn Faults>,
    /// Longest key that a transaction may name.
    pub key_bytes_max: usize,
}

impl Default for MemoryOptions {
    /// A clock that stands still, durable at once, nothing goes wrong.
    fn default() -> Self {
        Self {
            clock: Arc::new(ManualClock::default()),
            durability: Durability::default(),
            faults: Box::new(NoFaults),
            key_bytes_max: limits::KEY_BYTES_MAX,
        }
    }
}

/// A process that has a [`MemoryStore`] open. Clones are handles to the same one.
#[derive(Clone)]
pub struct MemoryEngine(Arc<MemoryBackend>);

impl MemoryEngine {
    /// Opens `store`; the engine that had it open is closed, as if its process had been killed.
    #[must_use]
    pub fn open(store: &MemoryStore, options: MemoryOptions) -> Self {
        let MemoryOptions { clock, durability, faults, key_bytes_max } = options;
        let mut kept = store.lock();
        kept.open(faults);
        let (store, opened) = (store.clone(), kept.opened);
        Self(Arc::new(MemoryBackend { store, opened, clock, durability, key_bytes_max, versions: None }))
    }

    /// Opens a new, empty store that forgets everything with the engine. For tests that need no more.
    #[must_use]
    pub fn ephemeral() -> Self {
        Self::open(&MemoryStore::new(Generation(1)), MemoryOptions::default())
    }

    /// The same store as another process sees it that is a client of the same cluster: [`Begin::Cached`] and
    /// [`Begin::AtLeast`] begin at what this one was answered within the last [`CACHED_MS_MAX`](crate::CACHED_MS_MAX), as
    /// in [`foundationdb`](crate::foundationdb), and miss what others have committed since.
    #[must_use]
    pub fn client(&self) -> Self {
        let MemoryBackend { store, opened, clock, durability, key_bytes_max, versions: _ } = &*self.0;
        Self(Arc::new(MemoryBackend {
            store: store.clone(),
            opened: *opened,
            clock: Arc::clone(clock),
            durability: *durability,
            key_bytes_max: *key_bytes_max,
            versions: Some(Arc::default()),
        }))
    }

    /// Makes everything committed so far durable and releases it. Returns how many commits were answered.
    pub fn sync(&self) -> usize {
        let mut held = Held::default();
        if let Ok(mut kept) = self.0.lock() {
            kept.release(self.0.clock.now_ms(), &mut held);
            kept.sync();
        }
        held.send()
    }

    /// Commits that wait for [`Self::sync`].
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.0.lock().map_or(0, |kept| kept.live().waiting.len())
    }
}

impl std::fmt::Debug for MemoryEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryEngine")
    }
}

impl Engine for MemoryEngine {
    type Tx = LocalTransaction<MemoryBackend>;

    fn begin(&self, read: Begin) -> Self::Tx {
        LocalTransaction::new(Arc::clone(&self.0), read)
    }

    fn generation(&self) -> Generation {
        self.0.store.lock().generation
    }

    fn newest(&self) -> Version {
        if let Some(versions) = &self.0.versions {
            return versions.newest();
        }
        // Of a store that is closed nothing can be read, which whoever begins is told.
        self.0.lock().map_or(Version(0), |mut kept| kept.live_mut().resolver.durable())
    }

    fn floor(&self, version: Version) {
        if let Some(versions) = &self.0.versions {
            versions.floor(version);
        }
    }
}

/// What the engine's transactions stand on.
pub struct MemoryBackend {
    store: MemoryStore,
    opened: u64,
    clock: Arc<dyn Clock>,
    durability: Durability,
    key_bytes_max: usize,
    /// What one of several processes knows; none of one that has the store to itself.
    versions: Option<Arc<Versions>>,
}

impl MemoryBackend {
    fn now(&self) -> Duration {
        Duration::from_millis(self.clock.now_ms())
    }

    /// The store, while this engine has it open.
    fn lock(&self) -> Result<MutexGuard<'_, Kept>, Error> {
        let kept = self.store.lock();
        if kept.live.is_none() || kept.opened != self.opened {
            return Err(Error::fatal(Closed));
        }
        Ok(kept)
    }
}

impl Backend for MemoryBackend {
    type Snapshot = MemorySnapshot;

    fn open(&self, begin: Begin) -> Result<(Version, MemorySnapshot), Error> {
        let mut kept = self.lock()?;
        let live = kept.live_mut();
        let floor = live.resolver.floor();
        let durable = live.resolver.durable();
        let mut cached = || match &self.versions {
            // Asked for, where there is none at hand.
            Some(versions) => versions.at_hand(begin, self.now()).unwrap_or_else(|| {
                versions.saw(durable, self.now());
                durable
            }),
            None => Version(durable.0.saturating_sub(live.faults.cached_lag())).max(floor),
        };
        let version = match begin {
            Begin::Fresh if self.versions.is_none() => durable,
            Begin::Fresh | Begin::Cached => cached(),
            Begin::AtLeast(asked) => match cached() {
                cached if cached >= asked => cached,
                _ => durable,
            },
            Begin::At(asked) => asked,
        };
        match begin {
            Begin::AtLeast(asked) | Begin::At(asked) if asked > durable => Err(Error::FutureVersion { asked, durable }),
            // Another process was mistaken.
            _ if version > durable => {
                self.versions.iter().for_each(|versions| versions.doubted(version, self.now()));
                Err(Error::FutureVersion { asked: version, durable })
            }
            _ if version < floor => {
                self.versions.iter().for_each(|versions| versions.outdated(version));
                Err(Error::TooOld)
            }
            _ => {
                let (store, opened, versions) = (self.store.clone(), self.opened, self.versions.clone());
                Ok((version, MemorySnapshot { store, opened, version, versions }))
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    fn submit(&self, submission: Submission) -> Result<Answer, Error> {
        let (answer, receiver) = oneshot::channel();
        let mut held = Held::default();
        let mut kept = self.lock()?;
        let since = submission.request.read_version;
        let reads_only = submission.is_read_only();
        let result = if reads_only {
            Ok(Committed::reads(since))
        } else {
            match kept.live_mut().faults.commit() {
                CommitFault::None => kept.commit(submission.request),
                CommitFault::UnknownCommitted => kept.commit(submission.request).and(Err(Error::UnknownResult)),
                CommitFault::UnknownLost => Err(Error::UnknownResult),
                CommitFault::Conflict => Err(Error::Conflict),
                CommitFault::Throttled => Err(Error::Throttled),
                CommitFault::TooOld => Err(Error::TooOld),
            }
        };
        let live = kept.live_mut();
        if result.is_ok() {
            held.told = register(&mut live.resolver, submission.watches, since);
        }
        let in_flight = live.resolver.assigned() > live.resolver.durable();
        if reads_only || !in_flight {
            held.answers.push((answer, result));
        } else {
            // A conflict waits too: until its cause can be read, a retry would only meet it again.
            live.waiting.push((answer, result));
            if self.durability != Durability::Stepped {
                kept.release(self.clock.now_ms(), &mut held);
            }
            if self.durability == Durability::Immediate {
                kept.sync();
            }
        }
        drop(kept);
        held.send();
        Ok(receiver)
    }

    fn answered(&self, since: Version, asked_ms: u64, result: &Result<Committed, Error>) {
        let Some(versions) = &self.versions else { return };
        match result {
            Ok(committed) => versions.saw(committed.version, Duration::from_millis(asked_ms)),
            Err(Error::Conflict | Error::TooOld) => versions.outdated(since),
            Err(_) => {}
        }
    }

    fn key_bytes_max(&self) -> usize {
        self.key_bytes_max
    }

    fn yields(&self) -> u32 {
        self.lock().map_or(0, |mut kept| kept.live_mut().faults.yields())
    }
}

/// The rows at one version.
pub struct MemorySnapshot {
    store: MemoryStore,
    opened: u64,
    version: Version,
    versions: Option<Arc<Versions>>,
}

impl MemorySnapshot {
    /// The rows; nobody of this process begins again where they are gone.
    fn rows(&self) -> Result<MutexGuard<'_, Kept>, Error> {
        self.lock().inspect_err(|error| {
            if let (Some(versions), Error::TooOld) = (&self.versions, error) {
                versions.outdated(self.version);
            }
        })
    }

    /// The rows, if this version can still be read and no fault comes between.
    fn lock(&self) -> Result<MutexGuard<'_, Kept>, Error> {
        let mut kept = self.store.lock();
        let opened = kept.opened;
        match &mut kept.live {
            Some(live) if opened == self.opened => {
                if self.version < live.resolver.floor() {
                    return Err(Error::TooOld);
                }
                match live.faults.read() {
                    Some(error) => Err(error),
                    None => Ok(kept),
                }
            }
            Some(_) | None => Err(Error::fatal(Closed)),
        }
    }
}

impl Snapshot for MemorySnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.rows()?.rows.get(key, self.version))
    }

    fn scan(
        &self,
        begin: &[u8],
        end: &[u8],
        reverse: bool,
        row: &mut dyn FnMut(Bytes, Bytes) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.rows()?.rows.scan(begin, end, reverse, self.version, row);
        Ok(())
    }
}
