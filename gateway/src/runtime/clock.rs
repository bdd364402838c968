//! Both clocks, read together.
//!
//! Owns the origin that all of a node's monotonic times count from.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use schema::{Now, UnixMs};

/// Where the node's times come from. Copies agree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// A time of the core's, as the ring's.
    pub(crate) fn instant(self, at: schema::Instant) -> Instant {
        self.origin + Duration::from_nanos(at.0)
    }
}

impl host::driver::Clock for Clock {
    fn now(&self) -> Now {
        let mono_ns = u64::try_from(self.origin.elapsed().as_nanos()).expect("a node lives less than 584 years");
        Now { mono: schema::Instant(mono_ns), wall: wall() }
    }
}

/// The wall clock. A clock before 1970 counts as 1970.
pub(crate) fn wall() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
