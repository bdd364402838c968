//! Limits: how many notifications of one category a user gets by one medium.
//!
//! Owns a token bucket for each user and category that has been told something lately. They are kept in memory, at the
//! worker whose partition the user is of: after a restart or a takeover each begins full.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use pace::Rate;
use schema::{UnixMs, UserId};

/// Buckets of one medium, of 48 bytes: one mail an hour for a million users.
const BUCKETS_MAX: usize = 1_000_000;

/// The buckets of one medium.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    /// By user and the category's hash: one that is not here is full.
    buckets: HashMap<(UserId, u64), Bucket>,
}

/// One user's of a category.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Time at which it is full again.
    full_at: u64,
    /// End of the time whose tokens are promised to what was put off.
    promised: u64,
}

impl Limits {
    /// Whether there is room for one more.
    pub(crate) fn has_room(&self, rate: Rate, user: UserId, category: &str, now: UnixMs) -> bool {
        let bucket = self.buckets.get(&self.key(user, category)).copied().unwrap_or_default();
        rate.take(full_at(rate, bucket, now), now.0, 1).is_ok()
    }

    /// A time at which there will be room for one that is put off: each of several has its own.
    pub(crate) fn promise(&mut self, rate: Rate, user: UserId, category: &str, now: UnixMs) -> UnixMs {
        let key = self.key(user, category);
        let bucket = self.buckets.entry(key).or_default();
        let free = now.0 + rate.take(full_at(rate, *bucket, now), now.0, 1).err().unwrap_or(0);
        bucket.promised = if bucket.promised > now.0 { free.max(bucket.promised + rate.refill) } else { free };
        UnixMs(bucket.promised)
    }

    /// Takes the room for one.
    pub(crate) fn take(&mut self, rate: Rate, user: UserId, category: &str, now: UnixMs) {
        if self.buckets.len() >= BUCKETS_MAX {
            self.make_room(now);
        }
        let key = self.key(user, category);
        let bucket = self.buckets.entry(key).or_default();
        // Who takes without asking has a bucket that stays empty for as long as if there had been room.
        let before = full_at(rate, *bucket, now);
        bucket.full_at = rate.take(before, now.0, 1).unwrap_or(before);
    }

    /// Forgets the buckets that are full by now, and if those are few every other one: some users get a burst too many
    /// then, and nobody one too few.
    fn make_room(&mut self, now: UnixMs) {
        self.buckets.retain(|_, bucket| bucket.full_at.max(bucket.promised) > now.0);
        let mut at = 0;
        if self.buckets.len() > BUCKETS_MAX / 2 {
            self.buckets.retain(|_, _| {
                at += 1;
                at % 2 == 0
            });
        }
    }

    fn key(&self, user: UserId, category: &str) -> (UserId, u64) {
        (user, self.buckets.hasher().hash_one(category))
    }
}

/// When a bucket is full again: no later than an empty one, whatever a clock said that was set back since.
fn full_at(rate: Rate, bucket: Bucket, now: UnixMs) -> u64 {
    bucket.full_at.min(now.0 + rate.refill * u64::from(rate.burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 2, refill: 1_000 };

    #[test]
    fn each_user_and_category_has_its_own() {
        let mut limits = Limits::default();
        // After how long one is told that comes now.
        let mut told = |user, category, now| {
            if limits.has_room(RATE, UserId(user), category, UnixMs(now)) {
                limits.take(RATE, UserId(user), category, UnixMs(now));
                return 0;
            }
            limits.promise(RATE, UserId(user), category, UnixMs(now)).since_ms(UnixMs(now))
        };
        assert_eq!([told(1, "a", 5_000), told(1, "a", 5_000), told(1, "a", 5_000)], [0, 0, 1_000]);
        assert_eq!([told(1, "b", 5_000), told(2, "a", 5_000)], [0, 0]);
        // Each that waits has its own time, and what comes at it is told.
        assert_eq!([told(1, "a", 5_400), told(1, "a", 5_400), told(1, "a", 6_000)], [1_600, 2_600, 0]);
        assert_eq!([told(1, "a", 7_000), told(1, "a", 8_000), told(1, "a", 8_000)], [0, 0, 1_000]);
    }

    #[test]
    fn a_clock_that_was_set_back_silences_nobody() {
        let mut limits = Limits::default();
        for now in [900_000, 900_000, 5_000] {
            limits.take(RATE, UserId(1), "a", UnixMs(now));
        }
        assert!(!limits.has_room(RATE, UserId(1), "a", UnixMs(5_000)));
        assert!(limits.has_room(RATE, UserId(1), "a", UnixMs(7_000)));
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let mut limits = Limits::default();
        for user in 0..BUCKETS_MAX as u64 + 10 {
            limits.take(RATE, UserId(user), "a", UnixMs(5_000));
        }
        assert!(limits.buckets.len() <= BUCKETS_MAX, "{}", limits.buckets.len());
        // Those that are full again go first.
        limits.take(RATE, UserId(0), "new", UnixMs(5_500));
        for user in 0..BUCKETS_MAX as u64 {
            limits.take(RATE, UserId(user), "b", UnixMs(90_000));
        }
        assert_eq!(limits.buckets.len(), BUCKETS_MAX);
    }
}
