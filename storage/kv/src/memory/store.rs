//! Simulated disk: rows and what of them is synced, and the process that has it open.
//!
//! Owns what survives a process ([`Kept`]) and what does not ([`Live`]), and how a commit becomes durable and is
//! released. Upholds I3: [`Kept::release`] is what lets results out, and the engine calls it with a sync unless
//! durability is deferred.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::faults::Faults;
use super::rows::Rows;
use crate::error::Error;
use crate::local::{Answered, Held, Waiter};
use crate::resolver::{Admitted, CommitRequest, Resolver};
use crate::transaction::{Committed, Generation, Version};

/// What is on the disk, and who has it open. Clones are the same store; it outlives its engines.
#[derive(Clone)]
pub struct MemoryStore(Arc<Mutex<Kept>>);

/// What is on the disk, and the process that has it open.
pub(super) struct Kept {
    pub(super) generation: Generation,
    pub(super) rows: Rows,
    /// The reserve as it is on disk, and as it was when last synced.
    reserve: Version,
    reserve_synced: Version,
    /// Versions up to here survive a power loss.
    synced: Version,
    /// Counts openings: an engine of an earlier one is closed.
    pub(super) opened: u64,
    pub(super) live: Option<Live>,
}

/// What is lost with the process.
pub(super) struct Live {
    pub(super) resolver: Resolver<Waiter>,
    pub(super) faults: Box<dyn Faults>,
    /// Results that are released with what is in flight, oldest first.
    pub(super) waiting: Vec<Answered>,
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

    pub(super) fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryStore")
    }
}

impl Kept {
    /// A process opens the store; the one that had it open is as good as killed.
    pub(super) fn open(&mut self, faults: Box<dyn Faults>) {
        self.opened += 1;
        // What an earlier process left in the page cache is read as if it were durable, so it has to be.
        self.sync();
        self.synced = self.reserve;
        self.rows.prune(self.reserve);
        let resolver = Resolver::restart(self.reserve);
        self.live = Some(Live { resolver, faults, waiting: Vec::new() });
    }

    pub(super) fn live(&self) -> &Live {
        self.live.as_ref().expect("checked when the lock was taken")
    }

    pub(super) fn live_mut(&mut self) -> &mut Live {
        self.live.as_mut().expect("checked when the lock was taken")
    }

    /// Everything written survives a power loss.
    pub(super) fn sync(&mut self) {
        self.rows.sync();
        self.reserve_synced = self.reserve;
        if let Some(live) = &self.live {
            self.synced = live.resolver.durable();
        }
    }

    /// Releases what is in flight.
    pub(super) fn release(&mut self, now_ms: u64, held: &mut Held) {
        let live = self.live.as_mut().expect("checked when the lock was taken");
        live.resolver.seal();
        let assigned = live.resolver.assigned();
        if assigned > live.resolver.durable() {
            let fired = live.resolver.release(now_ms, assigned);
            held.told.extend(fired.into_iter().map(|waiter| (waiter, Ok(()))));
        }
        held.answers.append(&mut live.waiting);
        let floor = live.resolver.floor();
        self.rows.prune(floor);
    }

    /// Judges a transaction and stores what it writes, unsynced.
    pub(super) fn commit(&mut self, request: CommitRequest) -> Result<Committed, Error> {
        let live = self.live.as_mut().expect("checked when the lock was taken");
        if !live.resolver.has_room() {
            live.resolver.seal();
        }
        if !live.resolver.is_open()
            && let Some(reserve) = live.resolver.open().reserve
        {
            self.reserve = reserve;
        }
        let Admitted { stamp, writes } = live.resolver.admit(request)?;
        for write in writes {
            self.rows.apply(stamp.version(), write);
        }
        Ok(Committed { version: stamp.version(), stamp })
    }
}
