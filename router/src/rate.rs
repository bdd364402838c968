//! Rates of commands: a token bucket a session, and one a user.
//!
//! Owns the rate, and the buckets of users who have asked lately: the sessions that one user has on this shard share
//! one. Upholds the inbound half of I11.

use std::collections::BTreeMap;

use pace::Rate;
use schema::limits::{COMMANDS_BURST, COMMANDS_PER_S};
use schema::{Instant, UserId};

/// Commands, refilled in nanoseconds.
const RATE: Rate = Rate { burst: COMMANDS_BURST, refill: 1_000_000_000 / COMMANDS_PER_S as u64 };

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

    /// Takes so many commands out, or says after how many milliseconds they are there.
    pub(crate) fn take(&mut self, now: Instant, commands: u32) -> Result<(), u32> {
        let taken = RATE.take(self.full_at.0, now.0, commands);
        let full_at = taken.map_err(|wait_ns| u32::try_from(wait_ns.div_ceil(1_000_000)).unwrap_or(u32::MAX))?;
        self.full_at = Instant(full_at);
        Ok(())
    }

    fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

/// The buckets of users with sessions on this shard.
///
/// Only those that are not full are kept. An empty one is full again after 20 s, so there are at most as many as
/// commands were taken in that time.
#[derive(Debug, Default)]
pub(crate) struct UserBuckets {
    buckets: BTreeMap<UserId, Bucket>,
}

impl UserBuckets {
    /// As [`Bucket::take`], from the user's.
    pub(crate) fn take(&mut self, now: Instant, user: UserId, commands: u32) -> Result<(), u32> {
        self.buckets.entry(user).or_insert_with(|| Bucket::new(now)).take(now, commands)
    }

    /// Forgets full buckets: a new one is full.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.buckets.retain(|_, bucket| !bucket.is_full(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full bucket, in nanoseconds of refilling.
    const FULL_NS: u64 = RATE.refill * COMMANDS_BURST as u64;

    #[test]
    fn a_users_bucket_is_kept_until_it_is_full_again() {
        let mut users = UserBuckets::default();
        let mut taken = |now: Instant| (0..=COMMANDS_BURST).filter(|_| users.take(now, UserId(1), 1).is_ok()).count();
        assert_eq!(taken(Instant(0)), COMMANDS_BURST as usize);
        assert_eq!(taken(Instant(FULL_NS / 2)), COMMANDS_BURST as usize / 2);
        users.tick(Instant(FULL_NS));
        assert_eq!(users.buckets.len(), 1);
        users.tick(Instant(FULL_NS + FULL_NS / 2));
        assert_eq!(users.buckets.len(), 0);
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let mut bucket = Bucket::new(Instant(0));
        while bucket.take(Instant(0), 1).is_ok() {}
        for commands in [1, 20] {
            let wait_ms = bucket.take(Instant(0), commands).expect_err("it is empty");
            let before = bucket.take(Instant((u64::from(wait_ms) - 1) * 1_000_000), commands);
            assert!(before.is_err(), "{commands} commands are there before {wait_ms} ms");
            let mut later = bucket;
            assert_eq!(later.take(Instant(u64::from(wait_ms) * 1_000_000), commands), Ok(()));
        }
    }
}
