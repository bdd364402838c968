//! Faults of the database of a run, and their counts.
//!
//! Owns the counts. Faults are drawn until the world heals; letting others run, and reading a little behind, is no fault and
//! goes on.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kv::Error;
use kv::memory::{CommitFault, FaultRates, Faults, SeededFaults};

/// Faults by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Injected {
    /// Commits refused as conflicts, beside those that were ones.
    pub conflicts: u64,
    /// Commits of unknown result that were stored.
    pub unknown_stored: u64,
    /// Commits of unknown result that were lost.
    pub unknown_lost: u64,
    /// Reads and commits that were too old.
    pub too_old: u64,
    /// Reads and commits refused for load.
    pub throttled: u64,
    /// Reads that were not answered.
    pub unavailable: u64,
    /// Cached versions that were behind.
    pub behind: u64,
    /// Replies that no client heard.
    pub replies_lost: u64,
}

impl Injected {
    /// Their names and numbers, in this order.
    #[must_use]
    pub fn by_kind(&self) -> [(&'static str, u64); 8] {
        [
            ("conflicts", self.conflicts),
            ("unknown_stored", self.unknown_stored),
            ("unknown_lost", self.unknown_lost),
            ("too_old", self.too_old),
            ("throttled", self.throttled),
            ("unavailable", self.unavailable),
            ("behind", self.behind),
            ("replies_lost", self.replies_lost),
        ]
    }

    /// The sum.
    pub fn add(&mut self, other: &Self) {
        self.conflicts += other.conflicts;
        self.unknown_stored += other.unknown_stored;
        self.unknown_lost += other.unknown_lost;
        self.too_old += other.too_old;
        self.throttled += other.throttled;
        self.unavailable += other.unavailable;
        self.behind += other.behind;
        self.replies_lost += other.replies_lost;
    }
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.by_kind().map(|(name, count)| format!("{count} {}", name.replace('_', " ")));
        f.write_str(&words.join(", "))
    }
}

/// What a run and all openings of its store share.
#[derive(Debug, Default)]
pub(super) struct Weather {
    healed: AtomicBool,
    away: AtomicBool,
    injected: Mutex<Injected>,
}

impl Weather {
    /// Nothing goes wrong from here on.
    pub(super) fn heal(&self) {
        self.healed.store(true, Ordering::Relaxed);
        self.away.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    /// Whether the database answers no reads.
    pub(super) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    pub(super) fn injected(&self) -> MutexGuard<'_, Injected> {
        self.injected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The faults of one opening of the store.
#[derive(Debug)]
pub(super) struct Drawn {
    faults: SeededFaults,
    weather: Arc<Weather>,
}

impl Drawn {
    pub(super) fn new(seed: u64, rates: FaultRates, weather: &Arc<Weather>) -> Self {
        Self { faults: SeededFaults::new(seed, rates), weather: Arc::clone(weather) }
    }
}

impl Faults for Drawn {
    fn read(&mut self) -> Option<Error> {
        let error = match self.weather.away.load(Ordering::Relaxed) {
            true => Error::Unavailable,
            false => self.faults.read().filter(|_| !self.weather.is_healed())?,
        };
        let mut injected = self.weather.injected();
        match error {
            Error::TooOld => injected.too_old += 1,
            Error::Throttled => injected.throttled += 1,
            Error::Unavailable => injected.unavailable += 1,
            ref other => unreachable!("reads are not drawn to end in {other}"),
        }
        Some(error)
    }

    fn commit(&mut self) -> CommitFault {
        if self.weather.is_healed() {
            return CommitFault::None;
        }
        let fate = self.faults.commit();
        let mut injected = self.weather.injected();
        match fate {
            CommitFault::None => {}
            CommitFault::Conflict => injected.conflicts += 1,
            CommitFault::Throttled => injected.throttled += 1,
            CommitFault::TooOld => injected.too_old += 1,
            CommitFault::UnknownCommitted => injected.unknown_stored += 1,
            CommitFault::UnknownLost => injected.unknown_lost += 1,
        }
        fate
    }

    fn yields(&mut self) -> u32 {
        self.faults.yields()
    }

    fn cached_lag(&mut self) -> u64 {
        let lag = self.faults.cached_lag();
        self.weather.injected().behind += u64::from(lag > 0);
        lag
    }
}
