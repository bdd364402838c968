//! FoundationDB's error codes in the words of the trait.

use std::time::Duration;

use ::foundationdb::FdbError;

use crate::error::Error;
use crate::limits;
use crate::transaction::Version;

/// What FoundationDB said that is not for a retry: its code and its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("FoundationDB's error {code}: {text}")]
pub struct ClientError {
    /// The code, as FoundationDB's documentation lists it.
    pub code: i32,
    /// The client's own text for it.
    pub text: &'static str,
}

impl From<FdbError> for ClientError {
    fn from(error: FdbError) -> Self {
        Self { code: error.code(), text: error.message() }
    }
}

/// `transaction_timed_out`: the transaction lived out its 5 s, whatever it was waiting for.
pub(super) const TIMED_OUT: i32 = 1031;

/// A read that waited less than this when its transaction's time was up came too late; one that waited longer was not
/// answered. A cluster in health answers within milliseconds.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// What versions the words of an error name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Versions {
    pub(super) asked: Version,
    pub(super) durable: Version,
}

/// Why a read failed that had waited so long. Nothing is committed by a read, whatever the code.
pub(super) fn read(error: FdbError, waited: Duration, versions: Versions) -> Error {
    match error.code() {
        TIMED_OUT if waited < ANSWERED_WITHIN => Error::TooOld,
        TIMED_OUT => Error::Unavailable,
        // Another generation of the cluster's processes: what was begun with the old one is over.
        1021 | 1039 => Error::TooOld,
        _ => any(error, versions, 0),
    }
}

/// Why a commit of so many bytes failed.
pub(super) fn commit(error: FdbError, versions: Versions, len_bytes: usize) -> Error {
    match error.code() {
        // Commits have no timeout, so this is from before it was taken off and nothing was handed in; to look for the
        // commit's traces costs less than to rely on that.
        TIMED_OUT => Error::UnknownResult,
        // 1021: the client has made sure that it can no longer happen, by a commit that would conflict with it.
        // 1039: the client changed to another cluster version on the way and made sure of nothing. Until the old
        // processes are gone, or its read version is too old for them (5 s), the commit may still happen: the one case
        // in which an unknown result can change. It comes up while a cluster is upgraded.
        1021 | 1039 => Error::UnknownResult,
        _ => any(error, versions, len_bytes),
    }
}

/// Why a watch ended without its key having changed.
pub(super) fn watch(error: FdbError) -> Error {
    match error.code() {
        // Cancelled, or its transaction or the cluster's processes are gone.
        1025 | 1101 | TIMED_OUT | 1021 | 1039 => Error::WatchCancelled,
        _ => any(error, Versions { asked: Version(0), durable: Version(0) }, 0),
    }
}

/// What is to be done about where others begin, after a read or a commit that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The cluster wants to be asked less, or is not there yet.
    Wait,
    /// Nobody should begin where this could not end.
    Newer,
    Nothing,
}

impl After {
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::Throttled | Error::FutureVersion { .. } => Self::Wait,
            Error::Conflict | Error::TooOld => Self::Newer,
            Error::UnknownResult
            | Error::Unavailable
            | Error::WatchCancelled
            | Error::KeyTooLarge { .. }
            | Error::ValueTooLarge { .. }
            | Error::TransactionTooLarge { .. }
            | Error::InvertedRange
            | Error::ReservedKey
            | Error::Unreadable
            | Error::Fatal(_) => Self::Nothing,
        }
    }
}

fn any(error: FdbError, versions: Versions, len_bytes: usize) -> Error {
    match error.code() {
        1007 => Error::TooOld,
        1009 => Error::FutureVersion { asked: versions.asked, durable: versions.durable },
        1020 => Error::Conflict,
        1036 => Error::Unreadable,
        // Too many watches; a storage server behind; the proxies' memory; batch priority; a tag's quota.
        1032 | 1037 | 1042 | 1051 | 1078 | 1213 => Error::Throttled,
        2101 => Error::TransactionTooLarge { len_bytes, limit_bytes: limits::TRANSACTION_BYTES_MAX },
        2102 => Error::KeyTooLarge { len_bytes, limit_bytes: limits::KEY_BYTES_MAX },
        2103 => Error::ValueTooLarge { len_bytes, limit_bytes: limits::VALUE_BYTES_MAX },
        // What a newer client knows that this table does not, it also knows how to retry.
        _ if error.is_retryable_not_committed() => Error::Throttled,
        _ if error.is_maybe_committed() => Error::UnknownResult,
        _ => Error::fatal(ClientError::from(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSIONS: Versions = Versions { asked: Version(9), durable: Version(7) };

    /// Codes that this file knows itself; any other is asked of the client library, which is not loaded here.
    fn check(code: i32, in_read: &str, in_commit: &str, in_watch: &str) {
        let error = FdbError::from_code(code);
        let unanswered = read(error, ANSWERED_WITHIN, VERSIONS);
        let found = [unanswered, commit(error, VERSIONS, 3), watch(error)].map(|error| format!("{error:?}"));
        let begins =
            |at: usize, with: &str| assert!(found[at].starts_with(with), "{code}: {} is not {with}", found[at]);
        [in_read, in_commit, in_watch].into_iter().enumerate().for_each(|(at, with)| begins(at, with));
    }

    #[test]
    fn each_code_is_what_it_means_where_it_comes_up() {
        check(1007, "TooOld", "TooOld", "TooOld");
        check(1009, "FutureVersion", "FutureVersion", "FutureVersion");
        check(1020, "Conflict", "Conflict", "Conflict");
        check(1036, "Unreadable", "Unreadable", "Unreadable");
        for throttled in [1032, 1037, 1042, 1051, 1078, 1213] {
            check(throttled, "Throttled", "Throttled", "Throttled");
        }
        check(2101, "TransactionTooLarge", "TransactionTooLarge { len_bytes: 3", "TransactionTooLarge");
        check(2102, "KeyTooLarge", "KeyTooLarge", "KeyTooLarge");
        check(2103, "ValueTooLarge", "ValueTooLarge", "ValueTooLarge");
        // A read stores nothing, so nothing of it is unknown; a commit may have happened, whoever gave up on it.
        check(1021, "TooOld", "UnknownResult", "WatchCancelled");
        check(1039, "TooOld", "UnknownResult", "WatchCancelled");
        check(1031, "Unavailable", "UnknownResult", "WatchCancelled");
    }

    #[test]
    fn a_read_that_came_late_is_too_old_and_one_that_waited_was_not_answered() {
        let check = |waited_ms: u64, expected: &str| {
            let error = read(FdbError::from_code(TIMED_OUT), Duration::from_millis(waited_ms), VERSIONS);
            assert_eq!(format!("{error:?}"), expected, "after {waited_ms} ms");
        };
        check(0, "TooOld");
        check(999, "TooOld");
        check(1_000, "Unavailable");
        check(5_000, "Unavailable");
    }
}
