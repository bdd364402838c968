//! The way from one node to the store's machine, as an engine: cut off it answers nothing, whatever others are told.
//!
//! Owns what a node sees of cuts and of a store that ends and comes back, and what it knows of the store's versions: as a
//! client of a cluster it reads what it was answered a moment ago, and misses what others have committed since. A commit
//! that is under way when the way is cut may have happened.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use kv::memory::MemoryEngine;
use kv::{Atomic, Begin, Committed, Engine, Error, Generation, Page, RangeRequest, Transaction, Version, Watch};

use crate::faults::FaultState;
use crate::options::Planted;
use crate::world::{Opened, World};

use super::view_lies::ViewLies;

type StoreTx = <MemoryEngine as Engine>::Tx;

/// See the module.
#[derive(Clone)]
pub(crate) struct Way {
    open: Arc<Mutex<Option<Opened>>>,
    /// What this life knows of a store that it shares with others; none where the store is in its process.
    client: Option<Arc<Mutex<Option<Opened>>>>,
    generation: Generation,
    faults: Arc<FaultState>,
    node: usize,
    newest: Arc<AtomicU64>,
    /// A planted bug: what others say of versions is not kept.
    forgets_floors: bool,
    /// Planted bugs, told to shards alone.
    lies: Option<Arc<ViewLies>>,
}

impl Way {
    pub(super) fn new(world: &World, node: usize) -> Self {
        Self {
            open: Arc::clone(&world.store.open),
            client: (!world.plan.is_embedded()).then(Arc::default),
            generation: world.store.generation,
            faults: Arc::clone(&world.faults),
            node,
            newest: Arc::default(),
            forgets_floors: world.options.planted == Some(Planted::ResumeFromAStaleRead),
            lies: None,
        }
    }

    /// The same, which lies about views.
    pub(super) fn lying(&self, lies: &Arc<ViewLies>) -> Self {
        Self { lies: Some(Arc::clone(lies)), ..self.clone() }
    }

    /// The store, if it is there and the node reaches it.
    fn store(&self) -> Option<MemoryEngine> {
        let open = lock(&self.open).clone().filter(|_| self.is_open())?;
        let Some(client) = &self.client else { return Some(open.engine) };
        let mut client = lock(client);
        if client.as_ref().is_none_or(|client| client.opening != open.opening) {
            // What a process was answered outlives the store's.
            self.keep_newest(client.as_ref());
            let engine = open.engine.client();
            engine.floor(Version(self.newest.load(Ordering::Relaxed)));
            *client = Some(Opened { engine, ..open });
        }
        client.as_ref().map(|client| client.engine.clone())
    }

    fn keep_newest(&self, opened: Option<&Opened>) -> u64 {
        let now = opened.map_or(Version(0), |opened| opened.engine.newest()).0;
        self.newest.fetch_max(now, Ordering::Relaxed).max(now)
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
        // A process knows what it was answered, whether or not it reaches the store now.
        Version(self.keep_newest(lock(self.client.as_ref().unwrap_or(&self.open)).as_ref()))
    }

    fn floor(&self, version: Version) {
        if self.forgets_floors {
            return;
        }
        self.newest.fetch_max(version.0, Ordering::Relaxed);
        if let Some(client) = &self.client {
            lock(client).iter().for_each(|client| client.engine.floor(version));
        }
    }
}

fn lock(opened: &Mutex<Option<Opened>>) -> MutexGuard<'_, Option<Opened>> {
    opened.lock().unwrap_or_else(PoisonError::into_inner)
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
        let row = self.back(self.reach()?.get(key).await)?;
        Ok(self.way.lies.iter().fold(row, |row, lies| lies.row(key, row)))
    }

    async fn snapshot_get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.back(self.reach()?.snapshot_get(key).await)
    }

    async fn get_all<K: AsRef<[u8]> + Sync>(&self, keys: &[K]) -> Result<Vec<Option<Bytes>>, Error> {
        let rows = self.back(self.reach()?.get_all(keys).await)?;
        let told = |(key, row): (&K, _)| self.way.lies.iter().fold(row, |row, lies| lies.row(key.as_ref(), row));
        Ok(keys.iter().zip(rows).map(told).collect())
    }

    async fn get_range(&self, range: &RangeRequest) -> Result<Page, Error> {
        let page = self.back(self.reach()?.get_range(range).await)?;
        Ok(self.way.lies.iter().fold(page, |page, lies| lies.page(page)))
    }

    async fn snapshot_get_range(&self, range: &RangeRequest) -> Result<Page, Error> {
        let page = self.back(self.reach()?.snapshot_get_range(range).await)?;
        Ok(self.way.lies.iter().fold(page, |page, lies| lies.page(page)))
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
