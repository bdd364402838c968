//! Two kinds of time: measured and shown.
//!
//! Owns both types. Reads no clock: whoever drives a shard reads it once a turn and passes it in as [`Now`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Wall time, milliseconds since 1970-01-01 UTC: what is stored and shown. It may step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
#[derive(utoipa::ToSchema)]
pub struct UnixMs(pub u64);

impl UnixMs {
    /// This time plus `ms`, at most the end of time.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> UnixMs {
        UnixMs(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time; 0 if `earlier` is later.
    #[must_use]
    pub fn since_ms(self, earlier: UnixMs) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Monotonic time, nanoseconds since an origin that only its process knows: what timers measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(pub u64);

impl Instant {
    /// This instant plus `span`, at most the end of time.
    #[must_use]
    pub fn plus(self, span: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// This instant plus `ms` milliseconds.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Instant {
        Instant(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }

    /// From `earlier` to this instant; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Both times of one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// For measuring.
    pub mono: Instant,
    /// For storing and showing.
    pub wall: UnixMs,
}
