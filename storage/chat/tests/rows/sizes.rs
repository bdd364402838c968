//! An engine that tells how many transactions it committed, and how large they were.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use kv::{Atomic, Begin, Committed, Engine, Error, Generation, Page, RangeRequest, Transaction, Version, Watch};

#[derive(Clone)]
pub(crate) struct Sized<E> {
    inner: E,
    largest_bytes: Arc<AtomicUsize>,
    commits: Arc<AtomicUsize>,
}

impl<E> Sized<E> {
    pub(crate) fn new(inner: E) -> Self {
        Self { inner, largest_bytes: Arc::default(), commits: Arc::default() }
    }

    /// Transactions that were handed in for commit.
    pub(crate) fn commits(&self) -> usize {
        self.commits.load(Ordering::Relaxed)
    }

    /// The largest transaction that was handed in for commit.
    pub(crate) fn largest_bytes(&self) -> usize {
        self.largest_bytes.load(Ordering::Relaxed)
    }
}

impl<E: Engine> Engine for Sized<E> {
    type Tx = SizedTransaction<E::Tx>;

    fn begin(&self, read: Begin) -> Self::Tx {
        let (largest_bytes, commits) = (Arc::clone(&self.largest_bytes), Arc::clone(&self.commits));
        SizedTransaction { inner: self.inner.begin(read), largest_bytes, commits }
    }

    fn generation(&self) -> Generation {
        self.inner.generation()
    }

    fn newest(&self) -> Version {
        self.inner.newest()
    }
}

pub(crate) struct SizedTransaction<T> {
    inner: T,
    largest_bytes: Arc<AtomicUsize>,
    commits: Arc<AtomicUsize>,
}

impl<T: Transaction> Transaction for SizedTransaction<T> {
    fn read_version(&self) -> impl Future<Output = Result<Version, Error>> + Send {
        self.inner.read_version()
    }

    fn get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Bytes>, Error>> + Send {
        self.inner.get(key)
    }

    fn snapshot_get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Bytes>, Error>> + Send {
        self.inner.snapshot_get(key)
    }

    fn get_range(&self, range: &RangeRequest) -> impl Future<Output = Result<Page, Error>> + Send {
        self.inner.get_range(range)
    }

    fn snapshot_get_range(&self, range: &RangeRequest) -> impl Future<Output = Result<Page, Error>> + Send {
        self.inner.snapshot_get_range(range)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        self.inner.set(key, value);
    }

    fn clear(&mut self, key: &[u8]) {
        self.inner.clear(key);
    }

    fn clear_range(&mut self, begin: &[u8], end: &[u8]) {
        self.inner.clear_range(begin, end);
    }

    fn atomic(&mut self, op: Atomic, key: &[u8], operand: &[u8]) {
        self.inner.atomic(op, key, operand);
    }

    fn set_versionstamped_key(&mut self, prefix: &[u8], suffix: &[u8], value: &[u8]) {
        self.inner.set_versionstamped_key(prefix, suffix, value);
    }

    fn set_versionstamped_value(&mut self, key: &[u8], prefix: &[u8], suffix: &[u8]) {
        self.inner.set_versionstamped_value(key, prefix, suffix);
    }

    fn add_read_conflict(&mut self, begin: &[u8], end: &[u8]) {
        self.inner.add_read_conflict(begin, end);
    }

    fn size_bytes(&self) -> usize {
        self.inner.size_bytes()
    }

    fn watch(&mut self, key: &[u8]) -> Watch {
        self.inner.watch(key)
    }

    fn commit(self) -> impl Future<Output = Result<Committed, Error>> + Send {
        self.largest_bytes.fetch_max(self.inner.size_bytes(), Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.inner.commit()
    }
}
