//! Keys that rotate: what is known of an issuer's, and when they are to be fetched.
//!
//! Owns when a token whose key is not known is invalid: once keys were fetched after it first came. Until then it may be of
//! a key that is new, and its bearer is to come again, so that a rotation loses nobody. What was fetched last counts until
//! something newer is, however long that takes. Does no I/O.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::keys::KeySet;

/// Pause between two fetches that unknown keys, or failures, ask for.
const AGAIN: Duration = Duration::from_secs(10);
/// Time that a bearer waits beyond that of the next fetch.
const FETCH_MS: u32 = 1_000;
/// Tokens of keys that are not known of which it is remembered when they first came. By token and not by key, whose next
/// name somebody may guess and show beforehand. Nobody has verified them, so anybody can fill this; who is not remembered
/// is told to come again.
const MISSING_MAX: usize = 1_024;

/// Reason for which a key is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The issuer has no such key.
    Unknown,
    /// The issuer may have it: keys are to be fetched first.
    Later {
        /// Time after which to come again.
        retry_after_ms: u32,
    },
}

/// Figures of one issuer's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingFigures {
    /// Keys that count now.
    pub keys: u64,
    /// Since they were fetched; none if they never were.
    pub age: Option<Duration>,
    /// Fetches that failed.
    pub failures: u64,
}

#[derive(Debug)]
pub(super) struct Ring {
    /// Between two fetches while all is well.
    every: Duration,
    state: Mutex<State>,
    /// Called when a fetch is wanted sooner than it was.
    pub(super) wanted: Notify,
}

#[derive(Debug, Default)]
struct State {
    keys: Arc<KeySet>,
    /// Time at which the last fetch that succeeded began.
    good_at: Option<Instant>,
    /// Time at which the last fetch began.
    tried_at: Option<Instant>,
    /// `true` while that has not ended.
    is_fetching: bool,
    is_failing: bool,
    failures: u64,
    /// `true` if a key that is not known was asked for since the last fetch began.
    is_asked: bool,
    /// Times at which tokens of keys that are not known first came, by their hashes.
    missing: HashMap<[u8; 32], Instant>,
}

impl Ring {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, state: Mutex::default(), wanted: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys that were fetched last.
    pub(super) fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.state().keys)
    }

    /// None of the keys is the one that a token is signed with.
    pub(super) fn missing(&self, token: &str, now: Instant) -> Missing {
        let hash = Sha256::digest(token).into();
        let mut state = self.state();
        if let Some(&first) = state.missing.get(&hash) {
            if state.good_at.is_some_and(|good_at| good_at >= first) {
                return Missing::Unknown;
            }
        } else {
            if state.missing.len() >= MISSING_MAX {
                // Those that are known to be nobody's may come again.
                let good_at = state.good_at;
                state.missing.retain(|_, first| good_at.is_none_or(|good_at| good_at < *first));
            }
            if state.missing.len() < MISSING_MAX {
                state.missing.insert(hash, now);
            }
        }
        if !std::mem::replace(&mut state.is_asked, true) {
            self.wanted.notify_one();
        }
        let next_at = state.tried_at.filter(|_| !state.is_fetching).map_or(now, |tried_at| tried_at + AGAIN);
        let wait = next_at.saturating_duration_since(now);
        let wait_ms = u32::try_from(wait.as_millis()).expect("it is below the pause");
        Missing::Later { retry_after_ms: wait_ms + FETCH_MS }
    }

    /// Time at which keys are to be fetched next.
    pub(super) fn due_at(&self, now: Instant) -> Instant {
        let state = self.state();
        match state.tried_at {
            None => now,
            Some(tried_at) if state.is_failing || state.is_asked => tried_at + AGAIN.min(self.every),
            Some(tried_at) => tried_at + self.every,
        }
    }

    /// Keys are being fetched from now on.
    pub(super) fn begins(&self, now: Instant) {
        let mut state = self.state();
        (state.tried_at, state.is_fetching, state.is_asked) = (Some(now), true, false);
    }

    /// End of a fetch that began then, with what it came to: `true` if that is a change, from keys to none, or back.
    pub(super) fn ends(&self, began: Instant, keys: Option<KeySet>) -> bool {
        let mut state = self.state();
        let was_failing = state.is_failing;
        state.is_fetching = false;
        match keys {
            Some(keys) => {
                (state.keys, state.good_at, state.is_failing) = (Arc::new(keys), Some(began), false);
            }
            None => {
                state.failures += 1;
                state.is_failing = true;
            }
        }
        was_failing != state.is_failing
    }

    /// Figures that are to be counted.
    pub(super) fn figures(&self) -> RingFigures {
        let state = self.state();
        RingFigures {
            keys: state.keys.len() as u64,
            age: state.good_at.map(|at| at.elapsed()),
            failures: state.failures,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SECONDS STEP`: `shows TOKEN` of a key that is not there, `due` (in seconds from the start), `begins`, `gets` and
    /// `fails` of the fetch that began last. What came of each.
    fn check(steps: &str, expected: &str) {
        let (ring, start) = (Ring::new(Duration::from_secs(300)), Instant::now());
        let (mut began, mut told) = (start, Vec::new());
        for step in steps.split(", ") {
            let words: Vec<_> = step.split(' ').collect();
            let now = start + Duration::from_secs(words[0].parse().expect("seconds"));
            match words[1..] {
                ["shows", name] => told.push(match ring.missing(name, now) {
                    Missing::Unknown => "unknown".to_owned(),
                    Missing::Later { retry_after_ms } => format!("{retry_after_ms} ms"),
                }),
                ["due"] => told.push(format!("at {}", (ring.due_at(now) - start).as_secs())),
                ["begins"] => {
                    ring.begins(now);
                    began = now;
                }
                ["gets"] => {
                    told.push(if ring.ends(began, Some(KeySet::default())) { "well again" } else { "well" }.to_owned())
                }
                ["fails"] => told.push(if ring.ends(began, None) { "ill" } else { "ill still" }.to_owned()),
                _ => panic!("no such step: {step}"),
            }
        }
        assert_eq!(told.join(", "), expected, "{steps}");
    }

    #[test]
    fn keys_are_fetched_at_once_then_at_leisure_and_soon_after_a_failure() {
        check("0 due, 0 begins, 0 gets, 1 due", "at 0, well, at 300");
        check(
            "0 begins, 0 fails, 1 due, 10 begins, 10 fails, 11 due, 20 begins, 21 gets, 22 due",
            "ill, at 10, ill still, at 20, well again, at 320",
        );
    }

    #[test]
    fn a_token_of_a_key_that_is_not_known_is_nobodys_once_keys_were_fetched_after_it_came() {
        check(
            "0 begins, 0 gets, 50 shows k, 50 due, 51 begins, 52 shows k, 53 gets, 53 shows k",
            "well, 1000 ms, at 10, 1000 ms, well, unknown",
        );
        // What was on its way when it came may be of before.
        check(
            "0 begins, 1 shows k, 2 gets, 3 shows k, 10 begins, 11 gets, 12 shows k",
            "1000 ms, well, 8000 ms, well, unknown",
        );
        // What was fetched shortly before says nothing of a rotation just now.
        check(
            "0 begins, 0 gets, 2 shows k, 2 due, 10 begins, 10 gets, 11 shows k",
            "well, 9000 ms, at 10, well, unknown",
        );
    }

    #[test]
    fn while_keys_cannot_be_fetched_nobody_is_refused_for_good() {
        check(
            "0 begins, 0 gets, 50 shows k, 51 begins, 52 fails, 53 shows k, 61 begins, 66 fails, 70 shows k",
            "well, 1000 ms, ill, 9000 ms, ill still, 2000 ms",
        );
        check("0 shows k, 0 begins, 3 shows k, 5 fails, 6 shows k", "1000 ms, 1000 ms, ill, 5000 ms");
    }

    #[test]
    fn however_many_keys_are_not_known_keys_are_fetched_once_in_ten_seconds() {
        check(
            "0 begins, 0 gets, 1 shows a, 1 shows b, 1 due, 10 begins, 10 gets, 10 due, 11 shows c, 11 due",
            "well, 10000 ms, 10000 ms, at 10, well, at 310, 10000 ms, at 20",
        );
    }

    #[test]
    fn who_is_not_remembered_comes_again() {
        let (ring, start) = (Ring::new(Duration::from_secs(300)), Instant::now());
        let later = Missing::Later { retry_after_ms: FETCH_MS };
        for name in 0..=MISSING_MAX {
            assert_eq!(ring.missing(&name.to_string(), start), later);
        }
        assert_eq!(ring.state().missing.len(), MISSING_MAX);
        ring.begins(start + AGAIN);
        ring.ends(start + AGAIN, Some(KeySet::default()));
        assert_eq!(ring.missing("0", start + AGAIN), Missing::Unknown);
        assert!(matches!(ring.missing("another", start + AGAIN), Missing::Later { .. }));
        assert_eq!(ring.state().missing.len(), 1, "those that are nobody's make room");
    }
}
