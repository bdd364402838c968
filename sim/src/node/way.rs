//! The way from one node to the store's machine, as an engine: cut off it answers nothing, whatever others are told.
//!
//! Owns what a node sees of cuts and of a store that ends and comes back. A commit that is under way when the way is cut
//! may have happened.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use kv::memory::MemoryEngine;
use kv::{Atomic, Begin, Committed, Engine, Error, Generation, Page, RangeRequest, Transaction, Version, Watch};

use crate::faults::FaultState;
use crate::world::World;

type StoreTx = <MemoryEngine as Engine>::Tx;

/// See the module.
#[derive(Clone)]
pub(crate) struct Way {
    open: Arc<Mutex<Option<MemoryEngine>>>,
    generation: Generation,
    faults: Arc<FaultState>,
    node: usize,
    newest: Arc<AtomicU64>,
}

impl Way {
    pub(super) fn new(world: &World, node: usize) -> Self {
        Self {
            open: Arc::clone(&world.store.open),
            generation: world.store.generation,
            faults: Arc::clone(&world.faults),
            node,
            newest: Arc::default(),
        }
    }

    /// The store, if it is there and the node reaches it.
    fn store(&self) -> Option<MemoryEngine> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.clone().filter(|_| self.is_open())
    }

    fn is_open(&self) -> bool {
        !self.faults.is_cut_off(self.node)
    }
}

impl Engine for Way {
    type Tx = WayTx;

    fn begin(&self, read: Begin) -> WayTx {
        WayTx { store: self.store().map(|store| store.begin(read)), way: self.clone() }
    }

    fn generation(&self) -> Generation {
        self.generation
    }

    fn newest(&self) -> Version {
        let now = self.store().map_or(Version(0), |store| store.newest()).0;
        Version(self.newest.fetch_max(now, Ordering::Relaxed).max(now))
    }

    fn floor(&self, version: Version) {
        self.newest.fetch_max(version.0, Ordering::Relaxed);
    }
}

/// A transaction of a node. One that began without the store never finds it.
pub(crate) struct WayTx {
    store: Option<StoreTx>,
    way: Way,
}

impl WayTx {
    fn reach(&self) -> Result<&StoreTx, Error> {
        self.store.as_ref().filter(|_| self.way.is_open()).ok_or(Error::Unavailable)
    }

    /// What a read came to on its way back.
    fn back<T>(&self, read: Result<T, Error>) -> Result<T, Error> {
        match read {
            Err(Error::Fatal(_)) => Err(Error::Unavailable),
            _ if !self.way.is_open() => Err(Error::Unavailable),
            read => read,
        }
    }
}

impl Transaction for WayTx {
    async fn read_version(&self) -> Result<Version, Error> {
        self.back(self.reach()?.read_version().await)
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.back(self.reach()?.get(key).await)
    }

    async fn snapshot_get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.back(self.reach()?.snapshot_get(key).await)
    }

    async fn get_all<K: AsRef<[u8]> + Sync>(&self, keys: &[K]) -> Result<Vec<Option<Bytes>>, Error> {
        self.back(self.reach()?.get_all(keys).await)
    }

    async fn get_range(&self, range: &RangeRequest) -> Result<Page, Error> {
        self.back(self.reach()?.get_range(range).await)
    }

    async fn snapshot_get_range(&self, range: &RangeRequest) -> Result<Page, Error> {
        self.back(self.reach()?.snapshot_get_range(range).await)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        self.store.iter_mut().for_each(|store| store.set(key, value));
    }

    fn clear(&mut self, key: &[u8]) {
        self.store.iter_mut().for_each(|store| store.clear(key));
    }

    fn clear_range(&mut self, begin: &[u8], end: &[u8]) {
        self.store.iter_mut().for_each(|store| store.clear_range(begin, end));
    }

    fn atomic(&mut self, op: Atomic, key: &[u8], operand: &[u8]) {
        self.store.iter_mut().for_each(|store| store.atomic(op, key, operand));
    }

    fn set_versionstamped_key(&mut self, prefix: &[u8], suffix: &[u8], value: &[u8]) {
        self.store.iter_mut().for_each(|store| store.set_versionstamped_key(prefix, suffix, value));
    }

    fn set_versionstamped_value(&mut self, key: &[u8], prefix: &[u8], suffix: &[u8]) {
        self.store.iter_mut().for_each(|store| store.set_versionstamped_value(key, prefix, suffix));
    }

    fn add_read_conflict(&mut self, begin: &[u8], end: &[u8]) {
        self.store.iter_mut().for_each(|store| store.add_read_conflict(begin, end));
    }

    fn size_bytes(&self) -> usize {
        self.store.as_ref().map_or(0, Transaction::size_bytes)
    }

    fn watch(&mut self, key: &[u8]) -> Watch {
        match &mut self.store {
            Some(store) => store.watch(key),
            None => Watch::new(async { Err(Error::WatchCancelled) }),
        }
    }

    async fn commit(self) -> Result<Committed, Error> {
        let Self { store, way } = self;
        // Handed in and never judged: whoever waits learns no more than that.
        let Some(store) = store.filter(|_| way.is_open()) else { return Err(Error::UnknownResult) };
        match store.commit().await {
            Err(Error::Fatal(_)) => Err(Error::UnknownResult),
            _ if !way.is_open() => Err(Error::UnknownResult),
            committed => committed,
        }
    }
}
