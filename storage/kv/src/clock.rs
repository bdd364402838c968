//! The time that limits a transaction's life, handed in so that a simulation can say what it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Monotonic time.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since some moment; never less than before.
    fn now_ms(&self) -> u64;
}

/// The machine's monotonic clock, from the moment this was made.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// A clock that begins at 0.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).expect("584 million years of uptime")
    }
}

/// A clock that goes only when it is told to, for tests and simulation.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// Lets `ms` milliseconds pass.
    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
