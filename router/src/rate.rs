//! How fast a session or a user may ask: a token bucket.
//!
//! Owns the arithmetic of one bucket, in 16 bytes. Upholds the inbound half of I11.

use schema::Instant;
use schema::limits::{COMMANDS_BURST, COMMANDS_PER_S};

/// Nanoseconds in which one command is refilled.
const REFILL_NS: u64 = 1_000_000_000 / COMMANDS_PER_S as u64;
/// A full bucket, in nanoseconds of refilling.
const FULL_NS: u64 = REFILL_NS * COMMANDS_BURST as u64;

/// Kept as one instant: when the bucket would be full again if nothing more were taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// A full one.
    pub(crate) fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes one command out, or says after how many milliseconds one is there.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), u32> {
        let missing_ns = self.full_at.0.saturating_sub(now.0);
        if missing_ns + REFILL_NS > FULL_NS {
            let wait_ms = (missing_ns + REFILL_NS - FULL_NS).div_ceil(1_000_000);
            return Err(u32::try_from(wait_ms).expect("one refill is 10 ms"));
        }
        self.full_at = Instant(now.0 + missing_ns + REFILL_NS);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_steady_rate() {
        let mut bucket = Bucket::new(Instant(0));
        let mut check = |now_ms: u64, asked: u32, passed: u32| {
            let now = Instant(now_ms * 1_000_000);
            let taken = (0..asked).filter(|_| bucket.take(now).is_ok()).count();
            assert_eq!(taken, passed as usize, "at {now_ms} ms");
        };
        check(0, COMMANDS_BURST + 5, COMMANDS_BURST);
        check(10, 5, 1);
        check(1_010, 500, COMMANDS_PER_S);
        check(1_000_000, COMMANDS_BURST + 5, COMMANDS_BURST);
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let mut bucket = Bucket::new(Instant(0));
        while bucket.take(Instant(0)).is_ok() {}
        let wait_ms = bucket.take(Instant(0)).expect_err("it is empty");
        assert_eq!(bucket.take(Instant(u64::from(wait_ms) * 1_000_000)), Ok(()));
    }
}
