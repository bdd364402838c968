//! The engine for tests and simulation: rows in memory that outlive the engine, faults on request.
//!
//! Owns [`MemoryStore`], the disk as it were, and [`MemoryEngine`], the process that has it open. Deterministic: no
//! thread, no clock but the one given, no randomness but the faults'. Commits are handed in, stored and released in
//! the order in which their futures are first polled.
//! Upholds I3 unless built to break it: in [`Durability::Stepped`] nothing is released before [`MemoryEngine::sync`].

mod faults;
mod rows;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_channel::oneshot;

pub use faults::{CommitFault, FaultRates, Faults, NoFaults, ScriptedFaults, SeededFaults};

use crate::clock::{Clock, ManualClock};
use crate::error::Error;
use crate::local::{
    Answer, Backend, Closed, LocalTransaction, Snapshot, Submission, Waiter, committed_reads, register,
};
use crate::resolver::{CommitRequest, Resolver};
use crate::transaction::{Begin, Committed, Engine, Generation, Version};
use rows::Rows;

/// What is on the disk, and who has it open. Clones are the same store; it outlives its engines.
#[derive(Clone)]
pub struct MemoryStore(Arc<Mutex<Kept>>);

/// When a commit is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// At once: every commit is a group of its own.
    #[default]
    Immediate,
    /// When [`MemoryEngine::sync`] is called: all commits since the last are one group.
    Stepped,
}

/// How to open a [`MemoryStore`].
pub struct MemoryOptions {
    /// Limits a transaction's life.
    pub clock: Arc<dyn Clock>,
    /// When commits are durable.
    pub durability: Durability,
    /// What goes wrong.
    pub faults: Box<dyn Faults>,
    /// A bug planted to prove the simulator's checkers: commits are answered, and can be read, before they are
    /// durable. Only with [`Durability::Stepped`] does it show.
    #[cfg(feature = "testing")]
    pub release_before_durable: bool,
}

impl Default for MemoryOptions {
    /// A clock that stands still, durable at once, nothing goes wrong.
    fn default() -> Self {
        Self {
            clock: Arc::new(ManualClock::default()),
            durability: Durability::default(),
            faults: Box::new(NoFaults),
            #[cfg(feature = "testing")]
            release_before_durable: false,
        }
    }
}

struct Kept {
    generation: Generation,
    rows: Rows,
    /// The reserve as it is on disk, and as it was when last synced.
    reserve: Version,
    reserve_synced: Version,
    /// Versions up to here survive a power loss.
    synced: Version,
    /// Counts openings: an engine of an earlier one is closed.
    opened: u64,
    live: Option<Live>,
}

/// What is lost with the process.
struct Live {
    resolver: Resolver<Waiter>,
    faults: Box<dyn Faults>,
    /// Results that are released with what is in flight, oldest first.
    waiting: Vec<Waiting>,
}

type Waiting = (oneshot::Sender<Result<Committed, Error>>, Result<Committed, Error>);

/// Messages to be sent once the lock is not held any more.
#[derive(Default)]
struct Released {
    answers: Vec<Waiting>,
    fired: Vec<(Waiter, Result<(), Error>)>,
}

impl Released {
    /// Whoever went away does not want to know.
    fn send(self) -> usize {
        let answered = self.answers.len();
        for (answer, result) in self.answers {
            let _gone = answer.send(result);
        }
        for (waiter, result) in self.fired {
            let _gone = waiter.send(result);
        }
        answered
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(generation: Generation) -> Self {
        Self(Arc::new(Mutex::new(Kept {
            generation,
            rows: Rows::default(),
            reserve: Version(0),
            reserve_synced: Version(0),
            synced: Version(0),
            opened: 0,
            live: None,
        })))
    }

    /// The process ends, as by `kill -9`: its engine is closed, and what it wrote stays, synced or not.
    pub fn crash(&self) {
        self.lock().live = None;
    }

    /// The machine loses power: the engine is closed, and what was not synced is gone.
    pub fn power_loss(&self) {
        let mut kept = self.lock();
        kept.live = None;
        let synced = kept.synced;
        kept.rows.drop_unsynced(synced);
        kept.reserve = kept.reserve_synced;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryStore")
    }
}

/// A process that has a [`MemoryStore`] open. Clones are handles to the same one.
#[derive(Clone)]
pub struct MemoryEngine(Arc<MemoryBackend>);

impl MemoryEngine {
    /// Opens `store`; the engine that had it open is closed, as if its process had been killed.
    #[must_use]
    pub fn open(store: &MemoryStore, options: MemoryOptions) -> Self {
        let MemoryOptions { clock, durability, faults, .. } = options;
        let mut kept = store.lock();
        kept.opened += 1;
        // What an earlier process left in the page cache is read as if it were durable, so it has to be.
        kept.sync();
        let resolver = Resolver::restart(kept.reserve);
        let reserve = kept.reserve;
        kept.synced = reserve;
        kept.rows.prune(reserve);
        kept.live = Some(Live { resolver, faults, waiting: Vec::new() });
        Self(Arc::new(MemoryBackend {
            store: store.clone(),
            opened: kept.opened,
            clock,
            durability,
            #[cfg(feature = "testing")]
            release_before_durable: options.release_before_durable,
        }))
    }

    /// Opens a new, empty store that forgets everything with the engine. For tests that need no more.
    #[must_use]
    pub fn ephemeral() -> Self {
        Self::open(&MemoryStore::new(Generation(1)), MemoryOptions::default())
    }

    /// Makes everything committed so far durable and releases it. Returns how many commits were answered.
    pub fn sync(&self) -> usize {
        let mut released = Released::default();
        if let Ok(mut kept) = self.0.lock() {
            kept.release(self.0.clock.now_ms(), &mut released);
            kept.sync();
        }
        released.send()
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
}

/// What the engine's transactions stand on.
pub struct MemoryBackend {
    store: MemoryStore,
    opened: u64,
    clock: Arc<dyn Clock>,
    durability: Durability,
    #[cfg(feature = "testing")]
    release_before_durable: bool,
}

impl MemoryBackend {
    /// The store, while this engine has it open.
    fn lock(&self) -> Result<MutexGuard<'_, Kept>, Error> {
        let kept = self.store.lock();
        if kept.live.is_none() || kept.opened != self.opened {
            return Err(Error::fatal(Closed));
        }
        Ok(kept)
    }

    fn releases_before_durable(&self) -> bool {
        #[cfg(feature = "testing")]
        return self.release_before_durable;
        #[cfg(not(feature = "testing"))]
        false
    }
}

impl Kept {
    fn live(&self) -> &Live {
        self.live.as_ref().expect("checked when the lock was taken")
    }

    fn live_mut(&mut self) -> &mut Live {
        self.live.as_mut().expect("checked when the lock was taken")
    }

    /// Everything written survives a power loss.
    fn sync(&mut self) {
        self.rows.sync();
        self.reserve_synced = self.reserve;
        if let Some(live) = &self.live {
            self.synced = live.resolver.durable();
        }
    }

    /// Releases what is in flight.
    fn release(&mut self, now_ms: u64, released: &mut Released) {
        let live = self.live.as_mut().expect("checked when the lock was taken");
        live.resolver.seal();
        let assigned = live.resolver.assigned();
        if assigned > live.resolver.durable() {
            let fired = live.resolver.release(now_ms, assigned);
            released.fired.extend(fired.into_iter().map(|waiter| (waiter, Ok(()))));
        }
        released.answers.append(&mut live.waiting);
        let floor = live.resolver.floor();
        self.rows.prune(floor);
    }

    /// Judges a transaction and stores what it writes, unsynced.
    fn commit(&mut self, request: CommitRequest) -> Result<Committed, Error> {
        let live = self.live.as_mut().expect("checked when the lock was taken");
        if !live.resolver.has_room() {
            live.resolver.seal();
        }
        if !live.resolver.is_open()
            && let Some(reserve) = live.resolver.open().reserve
        {
            self.reserve = reserve;
        }
        let stamp = live.resolver.admit(&request)?;
        for mutation in request.mutations {
            self.rows.apply(stamp.version(), mutation.write(stamp));
        }
        Ok(Committed { version: stamp.version(), stamp })
    }
}

impl Backend for MemoryBackend {
    type Snapshot = MemorySnapshot;

    fn open(&self, begin: Begin) -> Result<(Version, MemorySnapshot), Error> {
        let mut kept = self.lock()?;
        let live = kept.live_mut();
        let (floor, durable) = (live.resolver.floor(), live.resolver.durable());
        let mut cached = || {
            let lag = live.faults.cached_lag();
            Version(durable.0.saturating_sub(lag)).max(floor)
        };
        let version = match begin {
            Begin::Fresh => durable,
            Begin::Cached => cached(),
            Begin::AtLeast(asked) => match cached() {
                cached if cached >= asked => cached,
                _ => durable,
            },
            Begin::At(asked) => asked,
        };
        match begin {
            Begin::AtLeast(asked) | Begin::At(asked) if asked > durable => Err(Error::FutureVersion { asked, durable }),
            _ if version < floor => Err(Error::TooOld),
            _ => {
                let (store, opened) = (self.store.clone(), self.opened);
                Ok((version, MemorySnapshot { store, opened, version }))
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    fn submit(&self, submission: Submission) -> Result<Answer, Error> {
        let (answer, receiver) = oneshot::channel();
        let mut released = Released::default();
        let mut kept = self.lock()?;
        let since = submission.request.read_version;
        let reads_only = submission.is_read_only();
        let result = if reads_only {
            Ok(committed_reads(since))
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
            released.fired = register(&mut live.resolver, submission.watches, since);
        }
        let in_flight = live.resolver.assigned() > live.resolver.durable();
        if reads_only || !in_flight {
            released.answers.push((answer, result));
        } else {
            // A conflict waits too: until its cause can be read, a retry would only meet it again.
            live.waiting.push((answer, result));
            if self.durability == Durability::Immediate || self.releases_before_durable() {
                kept.release(self.clock.now_ms(), &mut released);
            }
            if self.durability == Durability::Immediate {
                kept.sync();
            }
        }
        drop(kept);
        released.send();
        Ok(receiver)
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
}

impl MemorySnapshot {
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
        Ok(self.lock()?.rows.get(key, self.version))
    }

    fn scan(
        &self,
        begin: &[u8],
        end: &[u8],
        reverse: bool,
        row: &mut dyn FnMut(Bytes, Bytes) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.lock()?.rows.scan(begin, end, reverse, self.version, row);
        Ok(())
    }
}
