//! A store in a cluster, open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::foundationdb::Database;

use super::backoff::Backoff;
use super::prefix::Prefix;
use super::stats::FoundationDbStats;
use super::transaction::FoundationDbTransaction;
use crate::error::Error;
use crate::transaction::{Begin, Engine, Generation, Version};
use crate::versions::Versions;

/// A store in a FoundationDB cluster. Clones are handles to the same one.
#[derive(Clone)]
pub struct FoundationDbEngine(pub(super) Arc<Shared>);

/// What all transactions of a store share.
pub(super) struct Shared {
    pub(super) database: Arc<Database>,
    pub(super) prefix: Prefix,
    pub(super) versions: Versions,
    pub(super) stats: FoundationDbStats,
    pub(super) reads_backoff: Backoff,
    pub(super) commits_backoff: Backoff,
    generation: Generation,
    /// From when on moments count.
    opened: Instant,
}

impl Shared {
    pub(super) fn new(database: Arc<Database>, prefix: Prefix, generation: Generation) -> Self {
        Self {
            database,
            prefix,
            versions: Versions::default(),
            stats: FoundationDbStats::default(),
            reads_backoff: Backoff::default(),
            commits_backoff: Backoff::default(),
            generation,
            opened: Instant::now(),
        }
    }

    /// A moment, as [`Versions`] knows it.
    pub(super) fn moment(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.opened)
    }

    /// Doubts `version` if what read there ended so because the cluster does not know it.
    pub(super) fn ahead(&self, error: &Error, version: Option<&Version>) {
        if let (Error::FutureVersion { .. }, Some(version)) = (error, version) {
            self.versions.doubted(*version, self.moment(Instant::now()));
        }
    }
}

impl FoundationDbEngine {
    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> &FoundationDbStats {
        &self.0.stats
    }
}

impl std::fmt::Debug for FoundationDbEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoundationDbEngine").field("prefix", &self.0.prefix).finish_non_exhaustive()
    }
}

impl Engine for FoundationDbEngine {
    type Tx = FoundationDbTransaction;

    fn begin(&self, read: Begin) -> Self::Tx {
        FoundationDbTransaction::new(Arc::clone(&self.0), read)
    }

    fn generation(&self) -> Generation {
        self.0.generation
    }

    fn newest(&self) -> Version {
        self.0.versions.newest()
    }

    fn floor(&self, version: Version) {
        self.0.versions.floor(version);
    }
}
