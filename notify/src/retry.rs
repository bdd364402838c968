//! What becomes of a job after an attempt: it is done, tried again and when, forgotten, or dead.
//!
//! Pure: the time and a random number are given. Knows nothing of the store; whether a provider is asked at all is
//! [`crate::breaker`]'s.
//! A notice that is not sent within a day is of no use to most, and is looked at by somebody instead; hence [`LIFE_MS`].

use schema::UnixMs;

use crate::{Fault, Outcome};

/// After the first attempt. Doubles with each.
pub const FIRST_MS: u64 = 1_000;

/// The longest wait before it is spread, whatever a provider asks for.
pub const BETWEEN_MS_MAX: u64 = 3_600_000;

/// From the first attempt on.
pub const LIFE_MS: u64 = 24 * 3_600_000;

/// For how long a job is put off while a provider does not accept our key, which no attempt mends.
pub const PUT_OFF_MS: u64 = 60_000;

/// Each wait is longer or shorter by as much as this, so that what failed together does not come back together.
pub const SPREAD_PERCENT: u64 = 20;

/// The attempt that has an outcome now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// When the first one that counts was made; without a meaning for that one itself.
    pub first_ms: UnixMs,
    /// After which the notice is of no use.
    pub expires_ms: UnixMs,
    /// Attempts that counted before this one.
    pub counted: u32,
}

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It was sent.
    Done,
    /// It is tried again, and this attempt counts.
    Again {
        /// No sooner than then.
        at: UnixMs,
    },
    /// It is tried again, and this attempt does not count: it cannot have succeeded.
    PutOff {
        /// No sooner than then.
        at: UnixMs,
    },
    /// The target is forgotten, and the job with it.
    Forget,
    /// It is not tried any more, and kept for an operator.
    Dead {
        /// Why not.
        why: Why,
    },
}

/// Why a job is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The next attempt would come after the notice has expired.
    Expired,
    /// The next attempt would come more than [`LIFE_MS`] after the first.
    TooLong,
    /// The provider does not take what is sent, and never will.
    Payload,
}

impl Why {
    /// Its word in metrics and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::TooLong => "too long",
            Self::Payload => "payload",
        }
    }
}

/// What follows from the `outcome` of an attempt at `now`. `random` is drawn for this call alone.
#[must_use]
pub fn next(now: UnixMs, attempt: Attempt, outcome: &Outcome, random: u64) -> Next {
    let (fault, retry_after_ms) = match outcome {
        Outcome::Sent { .. } => return Next::Done,
        Outcome::Failed { fault, retry_after_ms, .. } => (*fault, *retry_after_ms),
    };
    let least_ms = retry_after_ms.unwrap_or(0).min(BETWEEN_MS_MAX);
    match fault {
        Fault::Gone => Next::Forget,
        Fault::Payload => Next::Dead { why: Why::Payload },
        Fault::Credential => {
            // Not limited by its life: an operator who is slow with a key has not had a single attempt made.
            let at = now.plus_ms(wait_ms(PUT_OFF_MS, least_ms, random));
            if at < attempt.expires_ms { Next::PutOff { at } } else { Next::Dead { why: Why::Expired } }
        }
        Fault::Transient | Fault::Quota | Fault::Network => {
            let at = now.plus_ms(wait_ms(doubled_ms(attempt.counted), least_ms, random));
            let first_ms = if attempt.counted == 0 { now } else { attempt.first_ms };
            if at >= attempt.expires_ms {
                Next::Dead { why: Why::Expired }
            } else if at.since_ms(first_ms) > LIFE_MS {
                Next::Dead { why: Why::TooLong }
            } else {
                Next::Again { at }
            }
        }
    }
}

fn doubled_ms(counted: u32) -> u64 {
    // 2^12 s is more than an hour already.
    (FIRST_MS << counted.min(12)).min(BETWEEN_MS_MAX)
}

/// `usual_ms`, spread to both sides; or if that is too soon `least_ms`, spread to one.
fn wait_ms(usual_ms: u64, least_ms: u64, random: u64) -> u64 {
    let spread_ms = |ms: u64, width_percent: u64| {
        let width_ms = ms * width_percent / 100;
        random % (width_ms + 1)
    };
    if least_ms > usual_ms {
        least_ms + spread_ms(least_ms, SPREAD_PERCENT)
    } else {
        let shortest_ms = usual_ms - usual_ms * SPREAD_PERCENT / 100;
        (shortest_ms + spread_ms(usual_ms, 2 * SPREAD_PERCENT)).max(least_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const NOW: UnixMs = UnixMs(1_000 * HOUR);

    /// An attempt at [`NOW`]: made `since` after the first, `left` before it expires, after so many that counted.
    #[derive(Debug, Clone, Copy)]
    struct At {
        since: u64,
        left: u64,
        counted: u32,
    }

    const FIRST: At = At { since: 0, left: 100 * HOUR, counted: 0 };

    fn after(counted: u32) -> At {
        At { counted, ..FIRST }
    }

    #[derive(Debug)]
    enum Expected {
        Done,
        /// So long after [`NOW`] at least and at most.
        Again(u64, u64),
        PutOff(u64, u64),
        Forget,
        Dead(Why),
    }
    use Expected::{Again, Dead, Done, Forget, PutOff};

    fn failed(fault: Fault) -> Outcome {
        Outcome::failed(fault, "")
    }

    fn asked(fault: Fault, retry_after_ms: u64) -> Outcome {
        Outcome::Failed { fault, retry_after_ms: Some(retry_after_ms), detail: String::new() }
    }

    /// Of every random number the answer is within what is expected, and both ends of that are reached.
    fn check(at: At, outcome: Outcome, expected: Expected) {
        let first_ms = UnixMs(NOW.0 - at.since);
        let attempt = Attempt { first_ms, expires_ms: NOW.plus_ms(at.left), counted: at.counted };
        let waits = |of: fn(Next) -> Option<UnixMs>| {
            // Every remainder, of every width below.
            let wait = |random| of(next(NOW, attempt, &outcome, random)).map(|at| at.since_ms(NOW));
            let waits: Vec<u64> = (0..=2 * HOUR).step_by(13).chain([0, u64::MAX]).filter_map(wait).collect();
            (waits.len(), waits.iter().min().copied(), waits.iter().max().copied())
        };
        let got = next(NOW, attempt, &outcome, 0);
        let told = format!("{at:?}, {outcome:?}: {got:?} of the random number 0");
        let is_within = |(count, min, max): (usize, Option<u64>, Option<u64>), least: u64, most: u64| {
            assert_eq!(count, 553_849, "{told}");
            let (min, max) = (min.unwrap(), max.unwrap());
            assert!(least <= min && max <= most, "{told}: from {min} to {max}, not from {least} to {most}");
            assert!(min - least <= 20 && most - max <= 20, "{told}: from {min} to {max}, not from {least} to {most}");
        };
        match expected {
            Done => assert_eq!(got, Next::Done, "{told}"),
            Forget => assert_eq!(got, Next::Forget, "{told}"),
            Dead(why) => assert_eq!(got, Next::Dead { why }, "{told}"),
            Again(least, most) => {
                let again = waits(|next| if let Next::Again { at } = next { Some(at) } else { None });
                is_within(again, least, most);
            }
            PutOff(least, most) => {
                let put_off = waits(|next| if let Next::PutOff { at } = next { Some(at) } else { None });
                is_within(put_off, least, most);
            }
        }
    }

    #[test]
    fn the_class_decides() {
        check(FIRST, Outcome::Sent { provider_id: None }, Done);
        check(FIRST, failed(Fault::Gone), Forget);
        check(FIRST, asked(Fault::Gone, HOUR), Forget);
        check(FIRST, failed(Fault::Payload), Dead(Why::Payload));
        check(FIRST, failed(Fault::Transient), Again(800, 1_200));
        check(FIRST, failed(Fault::Quota), Again(800, 1_200));
        check(FIRST, failed(Fault::Network), Again(800, 1_200));
        check(FIRST, failed(Fault::Credential), PutOff(48 * SECOND, 72 * SECOND));
    }

    #[test]
    fn each_wait_is_twice_the_one_before_up_to_an_hour() {
        check(after(1), failed(Fault::Network), Again(1_600, 2_400));
        check(after(5), failed(Fault::Network), Again(25_600, 38_400));
        check(after(11), failed(Fault::Network), Again(1_638_400, 2_457_600));
        check(after(12), failed(Fault::Network), Again(48 * MINUTE, 72 * MINUTE));
        check(after(63), failed(Fault::Network), Again(48 * MINUTE, 72 * MINUTE));
        check(after(u32::MAX), failed(Fault::Network), Again(48 * MINUTE, 72 * MINUTE));
        check(after(12), failed(Fault::Credential), PutOff(48 * SECOND, 72 * SECOND));
    }

    #[test]
    fn it_is_no_sooner_than_the_provider_says_which_is_an_hour_at_most() {
        check(FIRST, asked(Fault::Quota, 0), Again(800, 1_200));
        check(FIRST, asked(Fault::Quota, 900), Again(900, 1_200));
        check(FIRST, asked(Fault::Quota, 30 * SECOND), Again(30 * SECOND, 36 * SECOND));
        check(FIRST, asked(Fault::Transient, 30 * SECOND), Again(30 * SECOND, 36 * SECOND));
        check(after(6), asked(Fault::Quota, 30 * SECOND), Again(51_200, 76_800));
        check(FIRST, asked(Fault::Quota, HOUR), Again(HOUR, 72 * MINUTE));
        check(FIRST, asked(Fault::Quota, 5 * HOUR), Again(HOUR, 72 * MINUTE));
        check(FIRST, asked(Fault::Quota, u64::MAX), Again(HOUR, 72 * MINUTE));
        check(FIRST, asked(Fault::Credential, 10 * MINUTE), PutOff(10 * MINUTE, 12 * MINUTE));
    }

    #[test]
    fn it_is_dead_once_the_next_attempt_would_be_too_late() {
        check(At { left: 1_201, ..FIRST }, failed(Fault::Network), Again(800, 1_200));
        check(At { left: 800, ..FIRST }, failed(Fault::Network), Dead(Why::Expired));
        check(At { left: 0, ..FIRST }, failed(Fault::Network), Dead(Why::Expired));
        check(At { left: 29 * SECOND, ..FIRST }, asked(Fault::Quota, 30 * SECOND), Dead(Why::Expired));
        check(At { left: 40 * SECOND, ..FIRST }, failed(Fault::Credential), Dead(Why::Expired));
        check(At { since: 24 * HOUR - 3_000, ..after(1) }, failed(Fault::Network), Again(1_600, 2_400));
        check(At { since: 24 * HOUR, ..after(1) }, failed(Fault::Network), Dead(Why::TooLong));
        check(At { since: 24 * HOUR, ..FIRST }, failed(Fault::Network), Again(800, 1_200));
        check(At { since: 24 * HOUR, left: 1, counted: 1 }, failed(Fault::Network), Dead(Why::Expired));
        check(At { since: 24 * HOUR, ..FIRST }, failed(Fault::Credential), PutOff(48 * SECOND, 72 * SECOND));
        check(At { since: 900 * HOUR, left: 0, counted: 9 }, Outcome::Sent { provider_id: None }, Done);
    }

    #[test]
    fn a_clock_that_went_back_or_is_at_its_end_is_no_fault() {
        let attempt = Attempt { first_ms: NOW.plus_ms(HOUR), expires_ms: NOW.plus_ms(2 * HOUR), counted: 0 };
        let again = next(NOW, attempt, &failed(Fault::Network), 0);
        assert_eq!(again, Next::Again { at: NOW.plus_ms(800) });
        let attempt = Attempt { first_ms: UnixMs(u64::MAX), expires_ms: UnixMs(u64::MAX), counted: 0 };
        let dead = next(UnixMs(u64::MAX), attempt, &failed(Fault::Network), u64::MAX);
        assert_eq!(dead, Next::Dead { why: Why::Expired });
    }
}
