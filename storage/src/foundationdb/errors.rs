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
        // 1039: the processes that it was handed to are gone, and a later read version is beyond them.
        1021 | 1039 => Error::UnknownResult,
        _ => any(error, versions, len_bytes),
    }
}

/// Why a watch ended without its key having changed.
pub(super) fn watch(error: FdbError) -> Error {
    match error.code() {
        1025 | 1101 => Error::WatchCancelled,
        1031 | 1021 | 1039 => Error::WatchCancelled,
        _ => any(error, Versions { asked: Version(0), durable: Version(0) }, 0),
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
