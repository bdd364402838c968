//! How much one user may post: 10 at once and then one each 6 s, and 100 in a day.
//!
//! Owns two numbers for each who has posted lately, exactly: a bucket that several shared would let one's posts count for
//! another's day. They are of this node and this life of it; a post that is sent again costs nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use pace::Rate;
use schema::limits::{POSTS_PER_DAY, POSTS_PER_MINUTE};
use schema::{UnixMs, UserId};

/// Refilled in milliseconds, as the next one.
const MINUTE: Rate = Rate { burst: POSTS_PER_MINUTE, refill: 60_000 / POSTS_PER_MINUTE as u64 };
const DAY: Rate = Rate { burst: POSTS_PER_DAY, refill: 86_400_000 / POSTS_PER_DAY as u64 };

/// Users whose numbers are kept. Some 60 bytes each: 60 MB. A user has one for a quarter of an hour after a post, so a
/// node would have to take 1,100 posts a second of different users.
const USERS_MAX: usize = 1_000_000;

/// The times at which both buckets are full again.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    minute_full_at: u64,
    day_full_at: u64,
}

/// Recent posts of users, counted.
#[derive(Debug, Default)]
pub(crate) struct Posting(Mutex<BTreeMap<UserId, Spent>>);

/// Refusal of a post for now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The user has posted too much: after so many milliseconds it may again.
    TooMany { wait_ms: u64 },
    /// Too many users post.
    Full,
}

impl Posting {
    /// Takes one post of a user.
    pub(crate) fn take(&self, user: UserId, now: UnixMs) -> Result<(), Refused> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spent = all.get(&user).copied().unwrap_or_default();
        let minute = MINUTE.take(spent.minute_full_at, now.0, 1);
        let day = DAY.take(spent.day_full_at, now.0, 1);
        let (minute_full_at, day_full_at) = match (minute, day) {
            (Ok(minute), Ok(day)) => (minute, day),
            (minute, day) => {
                let wait_ms = minute.err().into_iter().chain(day.err()).max().expect("one refused");
                return Err(Refused::TooMany { wait_ms });
            }
        };
        if all.len() >= USERS_MAX && !all.contains_key(&user) {
            all.retain(|_, spent| spent.day_full_at > now.0 || spent.minute_full_at > now.0);
            if all.len() >= USERS_MAX {
                return Err(Refused::Full);
            }
        }
        all.insert(user, Spent { minute_full_at, day_full_at });
        Ok(())
    }

    /// Puts back what was taken for a post that was refused, or had been sent before.
    pub(crate) fn give_back(&self, user: UserId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spent) = all.get_mut(&user) {
            spent.minute_full_at = MINUTE.give_back(spent.minute_full_at, 1);
            spent.day_full_at = DAY.give_back(spent.day_full_at, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BORA: UserId = UserId(1);
    const START_MS: u64 = 1_800_000_000_000;

    #[test]
    fn ten_at_once_and_a_hundred_a_day() {
        let posting = Posting::default();
        let mut at_ms = START_MS;
        let check = |at_ms: u64, expected: Result<(), u64>| {
            let expected = expected.map_err(|wait_ms| Refused::TooMany { wait_ms });
            assert_eq!(posting.take(BORA, UnixMs(at_ms)), expected, "{} ms", at_ms - START_MS);
        };
        (0..10).for_each(|_| check(at_ms, Ok(())));
        check(at_ms, Err(6_000));
        assert_eq!(posting.take(UserId(2), UnixMs(at_ms)), Ok(()), "another's posts are another's");
        for _ in 10..100 {
            at_ms += 6_000;
            check(at_ms, Ok(()));
        }
        // Nine minutes gave little of the day's back.
        at_ms += 60_000;
        check(at_ms, Err(264_000));
        at_ms += 264_000;
        check(at_ms, Ok(()));
        posting.give_back(BORA);
        check(at_ms, Ok(()));
    }
}
