//! Counters of the committing thread, for metrics.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Samples kept until they are taken: some seconds of group commits; older ones go first.
const SAMPLES_MAX: usize = 8_192;

/// One group commit, measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupSample {
    /// Transactions in it.
    pub transactions: usize,
    /// Rows written, those of cleared ranges included.
    pub rows: usize,
    /// From the first byte written to the return of `fsync`, stalls of the row store included.
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
    samples: Mutex<VecDeque<GroupSample>>,
}

impl EngineStats {
    pub(super) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn sample(&self, sample: GroupSample) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// Takes the measurements since the last call, oldest first, at most 8,192.
    pub fn take_samples(&self) -> Vec<GroupSample> {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.drain(..).collect()
    }
}
