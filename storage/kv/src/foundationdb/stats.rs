//! Counters of the engine, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::Error;
use crate::samples::Samples;

/// Counters since the engine was opened. Read without a lock, so not of one moment.
#[derive(Debug, Default)]
pub struct FoundationDbStats {
    /// Transactions begun.
    pub begun: AtomicU64,
    /// Transactions committed, those that only read aside.
    pub commits: AtomicU64,
    /// Commits refused because what was read had changed.
    pub conflicts: AtomicU64,
    /// Commits of which nobody knows whether they happened.
    pub unknown: AtomicU64,
    /// Reads and commits refused because the transaction was too old.
    pub too_old: AtomicU64,
    /// Commits that the cluster put off: it has more work than it takes on, or a storage server lags.
    pub commits_throttled: AtomicU64,
    /// Reads that it put off, for the same reasons.
    pub reads_throttled: AtomicU64,
    /// Reads that the cluster did not answer.
    pub unavailable: AtomicU64,
    /// Reads and commits that failed for good.
    pub fatal: AtomicU64,
    /// Read versions asked of the cluster.
    pub read_versions_asked: AtomicU64,
    /// Transactions that began at a version at hand.
    pub read_versions_cached: AtomicU64,
    /// In microseconds; 71 minutes are more than any commit takes that ends well.
    samples: Samples<u32>,
}

impl FoundationDbStats {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn committed(&self, took: Duration) {
        Self::add(&self.commits);
        self.samples.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    pub(super) fn commit_failed(&self, error: &Error) {
        self.failed(error, &self.commits_throttled);
    }

    pub(super) fn read_failed(&self, error: &Error) {
        self.failed(error, &self.reads_throttled);
    }

    fn failed(&self, error: &Error, throttled: &AtomicU64) {
        let counter = match error {
            Error::Conflict => &self.conflicts,
            Error::UnknownResult => &self.unknown,
            Error::TooOld => &self.too_old,
            Error::FutureVersion { .. } | Error::Throttled => throttled,
            Error::Unavailable => &self.unavailable,
            Error::Fatal(_) => &self.fatal,
            // The caller's own, and the watches' end.
            Error::WatchCancelled
            | Error::KeyTooLarge { .. }
            | Error::ValueTooLarge { .. }
            | Error::TransactionTooLarge { .. }
            | Error::InvertedRange
            | Error::ReservedKey
            | Error::Unreadable => return,
        };
        Self::add(counter);
    }

    /// How long commits took since the last call, from handing in to the answer, oldest first, at most 8,192.
    pub fn take_samples(&self) -> Vec<Duration> {
        self.samples.take().into_iter().map(|took_us| Duration::from_micros(took_us.into())).collect()
    }
}
