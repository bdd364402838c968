//! Counters of the committing threads, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::samples::Samples;

/// One group commit, measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupSample {
    /// Transactions in it.
    pub transactions: usize,
    /// Rows written, those of cleared ranges included.
    pub rows: usize,
    /// From the first byte written to the return of `fsync`, stalls of the row store and what was left of the group
    /// before included.
    pub took: Duration,
}

/// Counters since the engine was opened. Read without a lock, so not of one moment.
#[derive(Debug, Default)]
pub struct EngineStats {
    /// Transactions committed, those that only read aside.
    pub commits: AtomicU64,
    /// Transactions refused because what they read had changed.
    pub conflicts: AtomicU64,
    /// Transactions refused because they were too old.
    pub too_old: AtomicU64,
    /// Transactions refused because the queue was full.
    pub throttled: AtomicU64,
    /// Group commits.
    pub groups: AtomicU64,
    /// Rows written or removed, those of cleared ranges included.
    pub rows: AtomicU64,
    /// Bytes of keys and values written.
    pub bytes: AtomicU64,
    /// Commits waiting now.
    pub waiting: AtomicU64,
    /// Group commits that took longer than the watchdog's threshold.
    pub stalls: AtomicU64,
    pub(super) samples: Samples<GroupSample>,
}

impl EngineStats {
    pub(super) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Takes the measurements since the last call, oldest first, at most 8,192.
    pub fn take_samples(&self) -> Vec<GroupSample> {
        self.samples.take()
    }
}
