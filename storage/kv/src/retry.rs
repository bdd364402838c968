//! Retry loop of transactions, so that no layer writes one by hand.
//!
//! Owns the loop and one memory: once a commit's outcome was unknown, every later attempt is told so, whatever ended
//! the attempts between. Forgetting that is how a message is stored twice. Names no timer: the pause is the caller's.

use std::future::Future;

use crate::error::Error;
use crate::transaction::{Begin, Committed, Engine, Transaction};

/// What an attempt should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// An earlier attempt may have committed: look for its trace before doing it again.
    pub maybe_committed: bool,
}

/// Why an attempt's body stopped.
#[derive(Debug)]
pub enum Abort<R> {
    /// The store's word. If it is retryable there is another attempt.
    Store(Error),
    /// The caller's own: nothing is committed, and there is no other attempt.
    Refused(R),
}

impl<R> From<Error> for Abort<R> {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// Why [`run`] gave up.
#[derive(Debug, thiserror::Error)]
pub enum Failed<R> {
    /// The body refused. With `maybe_committed` an earlier attempt may have taken effect all the same.
    #[error("refused")]
    Refused {
        /// The body's reason.
        reason: R,
        /// Whether an earlier attempt may have committed.
        maybe_committed: bool,
    },
    /// The last attempt failed and there is no other.
    #[error("the transaction failed {attempts} times")]
    Store {
        /// How often it was tried.
        attempts: u32,
        /// Whether any attempt may have committed.
        maybe_committed: bool,
        /// What ended the last.
        #[source]
        last: Error,
    },
}

/// Runs `body` in transactions of `engine` until one commits, at most `attempts_max` times (at least once).
///
/// The body is given a transaction that has just begun and gives it back to be committed, with a result. It may run
/// several times: its effects outside the transaction must bear that. `pause` is awaited before each further attempt,
/// with the number of attempts so far; [`at_once`] does not wait.
///
/// A body that is told `maybe_committed` must look for what proves the commit, and stop there if it finds it. The
/// proof may be read at any version that is no older than this transaction's.
///
/// # Errors
/// [`Failed`], with the sticky `maybe_committed`.
pub async fn run<E, T, R, Body, Running, Pause, Pausing>(
    engine: &E,
    begin: Begin,
    attempts_max: u32,
    mut pause: Pause,
    mut body: Body,
) -> Result<(Committed, T), Failed<R>>
where
    E: Engine,
    Body: FnMut(E::Tx, Attempt) -> Running,
    Running: Future<Output = Result<(E::Tx, T), Abort<R>>>,
    Pause: FnMut(u32) -> Pausing,
    Pausing: Future<Output = ()>,
{
    let mut attempt = Attempt { number: 1, maybe_committed: false };
    let mut outrun = false;
    loop {
        let from = match begin {
            // What an attempt before may have committed is seen for certain only from here.
            _ if attempt.maybe_committed => Begin::Fresh,
            // A retry at the version that was too old or in conflict would fail for the same reason. What fails
            // otherwise may not have been as far as was asked for yet.
            Begin::AtLeast(_) if outrun => Begin::Fresh,
            Begin::Cached if attempt.number > 1 => Begin::Fresh,
            Begin::Fresh | Begin::Cached | Begin::AtLeast(_) | Begin::At(_) => begin,
        };
        let error = match body(engine.begin(from), attempt).await {
            Ok((tx, result)) => match tx.commit().await {
                Ok(committed) => return Ok((committed, result)),
                Err(error) => {
                    attempt.maybe_committed |= error.maybe_committed();
                    error
                }
            },
            Err(Abort::Store(error)) => error,
            Err(Abort::Refused(reason)) => {
                let maybe_committed = attempt.maybe_committed;
                return Err(Failed::Refused { reason, maybe_committed });
            }
        };
        if attempt.number >= attempts_max || !error.is_retryable() {
            return Err(Failed::Store {
                attempts: attempt.number,
                maybe_committed: attempt.maybe_committed,
                last: error,
            });
        }
        outrun |= matches!(error, Error::Conflict | Error::TooOld);
        pause(attempt.number).await;
        attempt.number += 1;
    }
}

/// The pause that does not wait: right for the embedded engine, whose refusals come after the commit that caused them.
pub fn at_once(_attempts: u32) -> std::future::Ready<()> {
    std::future::ready(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{
        CommitFault::{self, Conflict, None, Throttled, UnknownCommitted, UnknownLost},
        MemoryEngine, MemoryOptions, MemoryStore, ScriptedFaults,
    };
    use crate::transaction::{Atomic, Generation, Version};

    /// Adds 1 to a counter in at most 5 attempts whose commits end as `fates`, unless told that an earlier one may
    /// have committed and it finds that it has. `told` is what each attempt was told; `count` the counter at the end.
    /// Wherever they begin: a version from before the first attempt does not show what that one committed.
    fn check(fates: &[CommitFault], told: &[bool], count: u8) {
        check_from(|_| Begin::Fresh, fates, told, count);
        check_from(|_| Begin::Cached, fates, told, count);
        check_from(Begin::AtLeast, fates, told, count);
        check_from(Begin::At, fates, told, count);
    }

    fn check_from(begin: impl Fn(Version) -> Begin, fates: &[CommitFault], told: &[bool], count: u8) {
        let faults = ScriptedFaults::new([None].into_iter().chain(fates.iter().copied()));
        let options = MemoryOptions { faults: Box::new(faults), ..MemoryOptions::default() };
        let engine = MemoryEngine::open(&MemoryStore::new(Generation(1)), options);
        let mut first = engine.begin(Begin::Fresh);
        first.set(b"other", b"");
        let before = futures_lite::future::block_on(first.commit()).expect("its fate is to commit").version;
        let mut found = Vec::new();
        let result = futures_lite::future::block_on(run(&engine, begin(before), 5, at_once, |mut tx, attempt| {
            found.push(attempt.maybe_committed);
            async move {
                if attempt.maybe_committed && tx.get(b"count").await?.is_some() {
                    return Err(Abort::Refused("committed before"));
                }
                tx.atomic(Atomic::Add, b"count", &[1]);
                Ok((tx, ()))
            }
        }));
        let value = futures_lite::future::block_on(engine.begin(Begin::Fresh).get(b"count"));
        let value = value.expect("no read fails").map_or(0, |value| value[0]);
        assert_eq!((found.as_slice(), value), (told, count), "{fates:?}: {result:?}");
        let maybe = fates.iter().take(told.len()).any(|fate| matches!(fate, UnknownCommitted | UnknownLost));
        match result {
            Ok(_) => assert_eq!(count, 1, "{fates:?}"),
            Err(Failed::Refused { maybe_committed, .. }) => assert!(maybe_committed, "{fates:?}"),
            Err(Failed::Store { attempts, maybe_committed, .. }) => {
                assert_eq!((attempts, maybe_committed), (5, maybe), "{fates:?}");
            }
        }
    }

    #[test]
    fn an_unknown_outcome_is_remembered_across_attempts() {
        check(&[None], &[false], 1);
        check(&[Conflict, Throttled, None], &[false, false, false], 1);
        check(&[UnknownCommitted], &[false, true], 1);
        check(&[UnknownLost, None], &[false, true], 1);
        check(&[UnknownLost, Conflict, None], &[false, true, true], 1);
        check(&[Conflict, UnknownCommitted, None], &[false, false, true], 1);
        check(&[Conflict; 6], &[false; 5], 0);
        check(&[UnknownLost; 6], &[false, true, true, true, true], 0);
    }
}
