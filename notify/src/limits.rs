//! Limits: how many notifications of one category a user gets by one medium.
//!
//! Owns a token bucket for each user and category that has been told something lately. They are kept in memory, at the
//! worker whose partition the user is of: after a restart or a takeover each begins full.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use pace::Rate;
use schema::{UnixMs, UserId};

/// Buckets of one medium, of 40 bytes: one mail an hour for a million users.
const BUCKETS_MAX: usize = 1_000_000;

/// The buckets of one medium.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    /// When each is full again, by user and the category's hash: one that is not here is full.
    full_at: HashMap<(UserId, u64), u64>,
}

impl Limits {
    /// Whether there is room for one more, or after how many milliseconds there will be.
    pub(crate) fn room(&self, rate: Rate, user: UserId, category: &str, now: UnixMs) -> Result<(), u64> {
        let full_at = self.full_at.get(&self.key(user, category)).copied().unwrap_or(0);
        rate.take(full_at, now.0, 1).map(drop)
    }

    /// Takes the room for one.
    pub(crate) fn take(&mut self, rate: Rate, user: UserId, category: &str, now: UnixMs) {
        if self.full_at.len() >= BUCKETS_MAX {
            self.make_room(now);
        }
        let key = self.key(user, category);
        let full_at = self.full_at.entry(key).or_default();
        // Who takes without asking has a bucket that stays empty for as long as if there had been room.
        *full_at = rate.take(*full_at, now.0, 1).unwrap_or(*full_at);
    }

    /// Forgets the buckets that are full by now, and if those are few every other one: some users get a burst too many
    /// then, and nobody one too few.
    fn make_room(&mut self, now: UnixMs) {
        self.full_at.retain(|_, full_at| *full_at > now.0);
        let mut at = 0;
        if self.full_at.len() > BUCKETS_MAX / 2 {
            self.full_at.retain(|_, _| {
                at += 1;
                at % 2 == 0
            });
        }
    }

    fn key(&self, user: UserId, category: &str) -> (UserId, u64) {
        (user, self.full_at.hasher().hash_one(category))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 2, refill: 1_000 };

    #[test]
    fn each_user_and_category_has_its_own() {
        let mut limits = Limits::default();
        let mut told = |user, category, now| {
            let room = limits.room(RATE, UserId(user), category, UnixMs(now));
            if room.is_ok() {
                limits.take(RATE, UserId(user), category, UnixMs(now));
            }
            room.err().unwrap_or(0)
        };
        assert_eq!([told(1, "a", 5_000), told(1, "a", 5_000), told(1, "a", 5_000)], [0, 0, 1_000]);
        assert_eq!([told(1, "b", 5_000), told(2, "a", 5_000)], [0, 0]);
        assert_eq!([told(1, "a", 5_400), told(1, "a", 6_000), told(1, "a", 6_000)], [600, 0, 1_000]);
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let mut limits = Limits::default();
        for user in 0..BUCKETS_MAX as u64 + 10 {
            limits.take(RATE, UserId(user), "a", UnixMs(5_000));
        }
        assert!(limits.full_at.len() <= BUCKETS_MAX, "{}", limits.full_at.len());
        // Those that are full again go first.
        limits.take(RATE, UserId(0), "new", UnixMs(5_500));
        for user in 0..BUCKETS_MAX as u64 {
            limits.take(RATE, UserId(user), "b", UnixMs(90_000));
        }
        assert_eq!(limits.full_at.len(), BUCKETS_MAX);
    }
}
