//! What the fan-out and the reader count, for whoever shows it.
//!
//! Owns the counters. The worker's thread and that of HTTP write them as things happen; whoever asks reads them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::cache::Asked;

type Caches = Box<dyn Fn() -> Vec<(&'static str, Asked)> + Send + Sync>;

/// Everything that is counted.
pub struct Counts {
    rows: AtomicU64,
    steps: AtomicU64,
    failed: AtomicU64,
    told: AtomicU64,
    waiting: AtomicU64,
    step_us: Mutex<Histogram<u64>>,
    behind_ms: Mutex<Histogram<u64>>,
    page_us: Mutex<Histogram<u64>>,
    caches: OnceLock<Caches>,
}

impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counts")
    }
}

impl Default for Counts {
    fn default() -> Self {
        // Two digits are as much as a graph shows.
        let histogram = || Mutex::new(Histogram::new(2).expect("two digits"));
        Self {
            rows: AtomicU64::default(),
            steps: AtomicU64::default(),
            failed: AtomicU64::default(),
            told: AtomicU64::default(),
            waiting: AtomicU64::default(),
            step_us: histogram(),
            behind_ms: histogram(),
            page_us: histogram(),
            caches: OnceLock::new(),
        }
    }
}

impl Counts {
    /// Rows that were written to feeds.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Steps that were carried out, and those that failed.
    #[must_use]
    pub fn steps(&self) -> [u64; 2] {
        [self.steps.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed)]
    }

    /// Users who were told that their feeds have grown, whether they are there or not.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// Authors whose posts are not in all feeds yet, as of the last look.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How long steps took, in microseconds.
    #[must_use]
    pub fn step_us(&self) -> Histogram<u64> {
        read(&self.step_us)
    }

    /// How long it took from when an author's posts were found until the last feed had them, in milliseconds.
    #[must_use]
    pub fn behind_ms(&self) -> Histogram<u64> {
        read(&self.behind_ms)
    }

    /// How long pages took to be read, in microseconds.
    #[must_use]
    pub fn page_us(&self) -> Histogram<u64> {
        read(&self.page_us)
    }

    /// How often each cache was asked; none before there is a reader.
    #[must_use]
    pub fn caches(&self) -> Vec<(&'static str, Asked)> {
        self.caches.get().map(|caches| caches()).unwrap_or_default()
    }

    pub(crate) fn show_caches(&self, caches: impl Fn() -> Vec<(&'static str, Asked)> + Send + Sync + 'static) {
        // A node has one reader.
        let _ = self.caches.set(Box::new(caches));
    }

    pub(crate) fn stepped(&self, rows: u64, told: u64, took: Duration) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.told.fetch_add(told, Ordering::Relaxed);
        record(&self.step_us, took.as_micros());
    }

    pub(crate) fn step_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, behind_ms: u64) {
        record(&self.behind_ms, behind_ms.into());
    }

    pub(crate) fn set_waiting(&self, waiting: usize) {
        self.waiting.store(waiting as u64, Ordering::Relaxed);
    }

    pub(crate) fn page_read(&self, took: Duration) {
        record(&self.page_us, took.as_micros());
    }
}

fn read(of: &Mutex<Histogram<u64>>) -> Histogram<u64> {
    of.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn record(to: &Mutex<Histogram<u64>>, value: u128) {
    to.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(u64::try_from(value).unwrap_or(u64::MAX));
}
