//! Engines that lie: a wrapper around a true engine that has, seen from outside, the effect of a bug in the layers.
//!
//! Owns the lies that prove the checkers: each is told to the very code that ships, which holds nothing of them. A lie
//! knows the rows of `chat` by their keys. Without a lie the wrapper changes nothing, not even the order in which
//! things are read; and with one or without, it can be watched: where transactions begin, and how large they are.

mod transaction;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chat::keys;
use futures_channel::oneshot;
use kv::memory::MemoryEngine;
use kv::{Begin, Engine, Generation, Version};
use schema::record::FenceRecord;
use schema::{Epoch, Incarnation, Owner, Seq};

pub use transaction::LyingTransaction;

/// What an engine lies about, and which invariant that breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// A batch finds its fence standing, whatever became of it (I7).
    NoFence,
    /// A worker of notifications finds its fence standing, whatever became of it (I9).
    NoFenceOfWorkers,
    /// Items are cleared and the jobs that are made of them are not there (I9).
    ItemsWithoutJobs,
    /// Up to where a user was told is not stored (I9).
    ToldUnwritten,
    /// Markers of webhooks' lanes and of feeds are read without conflicts, so that one is cleared that was written anew
    /// (I14, I15).
    MarkersReadLoosely,
    /// Rows of some posts in timelines are not there (I15).
    TimelineRowsLost,
    /// Each post is in timelines at a second place, a moment later (I15).
    TimelineRowsTwice,
    /// A batch's fence is read in a transaction of its own, so that a takeover after that is missed (I7).
    FenceReadBefore,
    /// A batch finds in its fence the epoch that it expects, if the fence is of its node's life (I6).
    FenceWithoutEpoch,
    /// A fence that is cleared stays (I7).
    FenceLeftStanding,
    /// A view rewrites the fences of those nodes alone that come, gain partitions or lose some; of the others any fence
    /// of their own is as good as the one that is expected (I6).
    FenceOfMoversOnly,
    /// A view clears the batch rows of all its nodes (I3).
    BatchRowsClearedAtEveryView,
    /// Lives that are registered are listed among those that are over (I6).
    AdoptTakesTheLiving,
    /// A channel's head is the greatest that any transaction tried to write, so that a failed attempt leaves a hole
    /// (I2).
    SeqInMemory,
    /// After a commit with an unknown result its shard finds neither its batch row nor first replies (I5).
    UnknownIsFailure,
    /// A retry finds its batch row and first replies only if the attempt right before it ended unknown (I5).
    DedupByLastFlag,
    /// A shard finds a channel at the epoch of members at which it saw or left it first (I10).
    CachedMembership,
    /// A page of an inbox or of arrivals lacks its last row, and claims to reach the end (I6).
    CursorAheadOfUnreadRow,
    /// A batch that reads again at the newest version, because no commit proved what it read, reads at the same one
    /// (I3).
    AnswersFromThePast,
    /// Reads at a version at hand see commits that are not durable. The engine below has to release those early, and
    /// [`LyingEngine::sync`] says when they are durable (I3).
    ReadAboveDurable,
}

/// A batch, as the lies about fences and members have to know it.
#[derive(Debug, Clone, Copy)]
struct Batch {
    owner: Owner,
    epoch: Epoch,
    /// Batches of another lane have a batch row of their own.
    lane: u8,
}

impl Batch {
    fn fence(self) -> FenceRecord {
        FenceRecord { incarnation: self.owner.incarnation, epoch: self.epoch }
    }
}

/// An engine that lies, or does not. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct LyingEngine<E> {
    inner: E,
    lie: Option<Lie>,
    memory: Arc<Mutex<Memory>>,
    batch: Option<Batch>,
    worker: Option<FenceRecord>,
}

/// What was asked of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watched {
    /// Where transactions were told to begin, in their order.
    pub begun: Vec<Begin>,
    /// Bytes of the transactions that were handed in for commit, in their order.
    pub commits_bytes: Vec<usize>,
}

/// What a lie stands on, over all transactions.
#[derive(Debug, Default)]
struct Memory {
    /// Filled once someone watches.
    watched: Option<Watched>,
    /// The greatest head that was written, by its key.
    heads: BTreeMap<Vec<u8>, Seq>,
    /// The epoch of members that a shard was told, by the channel's key.
    member_epochs: BTreeMap<(Owner, Vec<u8>), u64>,
    /// Batch rows that the next attempt does not find.
    hidden: BTreeSet<Vec<u8>>,
    /// The version at which a shard's last transaction was told to begin.
    chained: BTreeMap<Owner, Version>,
    /// What is durable in truth, and who waits for more.
    durable: Version,
    waiting: Vec<oneshot::Sender<()>>,
}

impl<E: Engine> LyingEngine<E> {
    /// An engine that tells this lie, or none.
    #[must_use]
    pub fn new(inner: E, lie: Option<Lie>) -> Self {
        let memory = Memory { durable: inner.newest(), ..Memory::default() };
        Self { inner, lie, memory: Arc::new(Mutex::new(memory)), batch: None, worker: None }
    }

    /// The engine that does not lie.
    #[must_use]
    pub fn inner(&self) -> &E {
        &self.inner
    }

    /// Notes from here on what is asked, and forgets what it noted before.
    pub fn watch(&self) {
        lock(&self.memory).watched = Some(Watched::default());
    }

    /// What was asked since [`Self::watch`], or since the last time.
    ///
    /// # Panics
    /// Nobody watches.
    pub fn take_watched(&self) -> Watched {
        lock(&self.memory).watched.replace(Watched::default()).expect("watch() comes first")
    }

    /// The same store and the same lie for another process, which has its own way to the store.
    #[must_use]
    pub fn over(&self, inner: E) -> Self {
        Self { inner, ..self.clone() }
    }

    /// The engine for one batch of `owner`, accepted under `epoch`. A batch of another lane finds another batch row, so
    /// that appenders of several lanes can work for the same owner, as if it had several batches in flight.
    #[must_use]
    pub fn for_batch(&self, owner: Owner, epoch: Epoch, lane: u8) -> Self {
        Self { batch: Some(Batch { owner, epoch, lane }), ..self.clone() }
    }

    /// The engine for a worker of notifications of a node's life under a view.
    #[must_use]
    pub fn for_worker(&self, incarnation: Incarnation, epoch: Epoch) -> Self {
        Self { worker: Some(FenceRecord { incarnation, epoch }), ..self.clone() }
    }

    /// At which version a transaction begins in truth.
    fn begins(&self, read: Begin) -> Begin {
        match (self.lie, read, self.batch) {
            (Some(Lie::ReadAboveDurable), Begin::Fresh, _) => Begin::At(lock(&self.memory).durable),
            (Some(Lie::AnswersFromThePast), Begin::At(version), Some(batch)) => {
                lock(&self.memory).chained.insert(batch.owner, version);
                read
            }
            (Some(Lie::AnswersFromThePast), Begin::Fresh, Some(batch)) => {
                lock(&self.memory).chained.remove(&batch.owner).map_or(read, Begin::At)
            }
            _ => read,
        }
    }
}

impl LyingEngine<MemoryEngine> {
    /// Makes everything committed so far durable, and answers whoever waits for that.
    pub fn sync(&self) {
        self.inner.sync();
        let waiting = {
            let mut memory = lock(&self.memory);
            memory.durable = self.inner.newest();
            std::mem::take(&mut memory.waiting)
        };
        for waiting in waiting {
            // Whoever has gone does not want to know.
            let _gone = waiting.send(());
        }
    }
}

impl<E: Engine> Engine for LyingEngine<E> {
    type Tx = LyingTransaction<E::Tx>;

    fn begin(&self, read: Begin) -> Self::Tx {
        if let Some(watched) = &mut lock(&self.memory).watched {
            watched.begun.push(read);
        }
        let inner = self.inner.begin(self.begins(read));
        let reads_before = self.lie == Some(Lie::FenceReadBefore) && self.batch.is_some();
        let before = reads_before.then(|| self.inner.begin(Begin::Fresh));
        let worker = self.worker.filter(|_| self.lie == Some(Lie::NoFenceOfWorkers));
        LyingTransaction::new(inner, before, self.lie, self.batch, Arc::clone(&self.memory)).of_worker(worker)
    }

    fn generation(&self) -> Generation {
        self.inner.generation()
    }

    fn newest(&self) -> Version {
        if self.lie == Some(Lie::ReadAboveDurable) { lock(&self.memory).durable } else { self.inner.newest() }
    }

    fn floor(&self, version: Version) {
        self.inner.floor(version);
    }
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a key is of the table with this name.
fn is_of(table: &str, key: &[u8]) -> bool {
    let mut named = keys::layouts().filter(|layout| layout.name == table);
    let number = named.next().unwrap_or_else(|| panic!("no table is called {table}")).number;
    key.first() == Some(&number)
}
