//! Token bucket: the generic cell rate algorithm.
//!
//! Owns the rate. A bucket is one number, the time at which it would be full if nothing more were taken; whoever keeps
//! buckets keeps those numbers. Zero is a full bucket.

/// What a bucket holds, and how fast it refills. Times are in the unit of `refill`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens of a full bucket.
    pub burst: u32,
    /// Time in which one token comes back.
    pub refill: u64,
}

impl Rate {
    /// Takes so many tokens from the bucket that is full at `full_at`: returns when it is full after that.
    ///
    /// # Errors
    /// There are fewer: nothing is taken, and after this time there are as many. More than [`Self::burst`] there never
    /// are.
    pub const fn take(self, full_at: u64, now: u64, tokens: u32) -> Result<u64, u64> {
        let missing = full_at.saturating_sub(now) + self.refill * tokens as u64;
        let room = self.refill * self.burst as u64;
        if missing > room { Err(missing - room) } else { Ok(now + missing) }
    }

    /// Puts tokens back that were taken and are not to count: returns when the bucket is full after that.
    #[must_use]
    pub const fn give_back(self, full_at: u64, tokens: u32) -> u64 {
        full_at.saturating_sub(self.refill * tokens as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes tokens at times from a bucket of 3 that refills one in 10; each answers `+` or the wait.
    fn check(taken: &[(u64, u32)], expected: &str) {
        let rate = Rate { burst: 3, refill: 10 };
        let mut full_at = 0;
        let mut take = |&(now, tokens): &(u64, u32)| match rate.take(full_at, now, tokens) {
            Ok(full) => {
                full_at = full;
                "+".to_owned()
            }
            Err(wait) => wait.to_string(),
        };
        let answers: Vec<_> = taken.iter().map(&mut take).collect();
        assert_eq!(answers.join(" "), expected, "{taken:?}");
    }

    #[test]
    fn a_burst_passes_and_then_the_steady_rate() {
        check(&[(0, 1), (0, 1), (0, 1), (0, 1), (4, 1), (10, 1), (10, 1)], "+ + + 10 6 + 10");
        check(&[(0, 3), (90, 3), (90, 1), (99, 1), (100, 1)], "+ + 10 1 +");
    }

    #[test]
    fn many_are_taken_together_or_not_at_all() {
        check(&[(0, 2), (0, 2), (0, 1), (20, 3), (20, 2)], "+ 10 + 10 +");
        check(&[(0, 4), (1_000, 4)], "10 10");
    }

    #[test]
    fn what_is_given_back_does_not_count() {
        let rate = Rate { burst: 3, refill: 10 };
        let full_at = rate.take(0, 100, 2).expect("a full bucket has three");
        assert_eq!(rate.take(full_at, 100, 2), Err(10));
        assert_eq!(rate.take(rate.give_back(full_at, 2), 100, 3), Ok(130));
    }
}
