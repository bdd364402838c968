//! The rows on disk: one fjall keyspace, with the store's own rows behind the byte `0xFF`.
//!
//! Keys and values are copied on their way in, since fjall keeps up to 20 bytes in the nodes of its memory table, where they
//! are compared without a look elsewhere. Its feature `bytes_1` would share them instead.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use crate::error::Error;
use crate::local::Snapshot;
use crate::transaction::{Generation, Version};

/// Bytes of a key or value beyond which it is shared with the block that it was read in, and not copied.
const COPIED_BYTES_MAX: usize = 512;

/// A random number, 8 bytes big-endian, drawn when the store was created.
const GENERATION: &[u8] = b"\xFFgeneration";
/// The version above which a restart begins, 8 bytes big-endian.
const RESERVE: &[u8] = b"\xFFreserve";

/// Threads that write memtables out and merge files. One flushes while the other merges; more would take cores from
/// the shards.
const WORKER_THREADS: usize = 2;

/// A database that is open.
pub(super) struct Rows {
    database: Database,
    keyspace: Keyspace,
}

/// What is missing from a store that opens otherwise.
#[derive(Debug, thiserror::Error)]
#[error("the store's own row {row} is missing or not 8 bytes long")]
pub(super) struct Missing {
    row: &'static str,
}

impl Rows {
    /// Opens or creates. What a killed process left in the page cache is made durable before it can be read.
    pub(super) fn open(path: &Path, cache_bytes: u64) -> fjall::Result<Self> {
        let database = Database::builder(path).cache_size(cache_bytes).worker_threads(WORKER_THREADS).open()?;
        let keyspace = database.keyspace("rows", KeyspaceCreateOptions::default)?;
        database.persist(PersistMode::SyncAll)?;
        Ok(Self { database, keyspace })
    }

    /// Writes the store's own rows into a new one.
    pub(super) fn initialise(&self, generation: Generation) -> fjall::Result<()> {
        let mut batch = self.batch(2, PersistMode::SyncAll);
        batch.insert(&self.keyspace, GENERATION, generation.0.to_be_bytes());
        batch.insert(&self.keyspace, RESERVE, 0_u64.to_be_bytes());
        batch.commit()
    }

    pub(super) fn generation(&self) -> Result<Generation, Error> {
        self.own_row(GENERATION, "generation").map(Generation)
    }

    pub(super) fn reserve(&self) -> Result<Version, Error> {
        self.own_row(RESERVE, "reserve").map(Version)
    }

    fn own_row(&self, key: &[u8], row: &'static str) -> Result<u64, Error> {
        let value = self.keyspace.get(key).map_err(Error::fatal)?;
        let number = value.as_deref().and_then(|value| value.try_into().ok());
        number.map(u64::from_be_bytes).ok_or_else(|| Error::fatal(Missing { row }))
    }

    /// The rows as they are now, which is at `version`.
    pub(super) fn view(&self, version: Version) -> View {
        View { version, snapshot: self.database.snapshot(), keyspace: self.keyspace.clone() }
    }

    /// Stores rows, `None` to remove, in one batch, and with it the reserve. Views see it; it is durable once the journal
    /// is synced ([`super::journal`]).
    pub(super) fn store(
        &self,
        reserve: Option<Version>,
        rows: impl ExactSizeIterator<Item = (Bytes, Option<Bytes>)>,
    ) -> fjall::Result<()> {
        let mut batch = self.batch(rows.len() + 1, PersistMode::Buffer);
        for (key, value) in rows {
            match value {
                Some(value) => batch.insert(&self.keyspace, &key[..], &value[..]),
                None => batch.remove(&self.keyspace, &key[..]),
            }
        }
        if let Some(reserve) = reserve {
            batch.insert(&self.keyspace, RESERVE, reserve.0.to_be_bytes());
        }
        batch.commit()
    }

    fn batch(&self, rows: usize, durability: PersistMode) -> fjall::OwnedWriteBatch {
        fjall::OwnedWriteBatch::with_capacity(self.database.clone(), rows).durability(Some(durability))
    }
}

/// The rows at one version.
pub(super) struct View {
    pub(super) version: Version,
    snapshot: fjall::Snapshot,
    keyspace: Keyspace,
}

/// The rows as a transaction reads them: at its version, on its own thread.
pub struct EmbeddedSnapshot(pub(super) Arc<View>);

impl Snapshot for EmbeddedSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.0.get(key)
    }

    fn scan(
        &self,
        begin: &[u8],
        end: &[u8],
        reverse: bool,
        row: &mut dyn FnMut(Bytes, Bytes) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut rows = self.0.snapshot.range(&self.0.keyspace, begin..end);
        loop {
            let Some(guard) = (if reverse { rows.next_back() } else { rows.next() }) else {
                return Ok(());
            };
            let (key, value) = guard.into_inner().map_err(Error::fatal)?;
            if row(bytes_of(key), bytes_of(value)).is_break() {
                return Ok(());
            }
        }
    }
}

impl View {
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let value = self.snapshot.get(&self.keyspace, key).map_err(Error::fatal)?;
        Ok(value.map(bytes_of))
    }

    /// The keys from `begin` to `end`.
    pub(super) fn keys(&self, begin: &[u8], end: &[u8]) -> impl Iterator<Item = Result<Bytes, Error>> {
        let rows = self.snapshot.range(&self.keyspace, begin..end);
        rows.map(|guard| guard.key().map(bytes_of).map_err(Error::fatal))
    }
}

/// Of what is short a copy, which takes less than to share it.
fn bytes_of(slice: fjall::Slice) -> Bytes {
    if slice.len() <= COPIED_BYTES_MAX { Bytes::copy_from_slice(&slice) } else { Bytes::from_owner(slice) }
}
