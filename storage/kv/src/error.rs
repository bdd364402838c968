//! Errors of transactions, the same in every engine.
//!
//! Owns the error type and what a caller may conclude from each variant. Knows no engine.
//! The questions that matter to a retry are [`Error::is_retryable`] and [`Error::maybe_committed`].

use std::sync::Arc;

use crate::transaction::Version;

/// The cause of a [`Error::Fatal`], shared because one failure ends every transaction in flight.
pub type Cause = Arc<dyn std::error::Error + Send + Sync + 'static>;

/// Why a read or a commit failed.
///
/// Unless the variant says otherwise nothing was stored, and nothing of this transaction will be.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nobody's fault: another transaction wrote what this one read. Begin again.
    #[error("another transaction wrote what this one read")]
    Conflict,

    /// The commit may or may not have happened, and it can no longer happen later. Read what would prove it
    /// (the batch row) before deciding; in a retry that knowledge is sticky, see [`crate::retry`].
    #[error("the commit's outcome is unknown; it can no longer change")]
    UnknownResult,

    /// The transaction outlived [`crate::limits::TRANSACTION_LIFE_MS`], or its version is no longer kept.
    #[error("the transaction or its read version is too old")]
    TooOld,

    /// The version asked for is ahead of what is durable here.
    #[error("version {asked} is ahead of the store, which is at {durable}")]
    FutureVersion {
        /// What `Begin` named.
        asked: Version,
        /// The newest version that may be read.
        durable: Version,
    },

    /// The store has more work than it takes on: its commit queue or its table of watches is full. Wait, then begin
    /// again.
    #[error("the store is overloaded")]
    Throttled,

    /// The store does not answer: it is away, or cannot be reached from here. Reads end so after
    /// [`crate::limits::TRANSACTION_LIFE_MS`]; a commit that was handed in never does, since it may still happen.
    #[error("the store does not answer")]
    Unavailable,

    /// Only watches end so: the transaction that asked for the watch was dropped or did not commit.
    #[error("the transaction of this watch did not commit")]
    WatchCancelled,

    /// Caller's fault.
    #[error("a key is {len_bytes} bytes, the limit is {limit_bytes}")]
    KeyTooLarge {
        /// The key's length.
        len_bytes: usize,
        /// [`crate::limits::KEY_BYTES_MAX`].
        limit_bytes: usize,
    },

    /// Caller's fault.
    #[error("a value is {len_bytes} bytes, the limit is {limit_bytes}")]
    ValueTooLarge {
        /// The value's length.
        len_bytes: usize,
        /// [`crate::limits::VALUE_BYTES_MAX`].
        limit_bytes: usize,
    },

    /// Caller's fault: mutations and conflict ranges together.
    #[error("the transaction is {len_bytes} bytes, the limit is {limit_bytes}")]
    TransactionTooLarge {
        /// Size when the limit was passed; more may have followed.
        len_bytes: usize,
        /// [`crate::limits::TRANSACTION_BYTES_MAX`].
        limit_bytes: usize,
    },

    /// Caller's fault: a range whose begin is after its end.
    #[error("the range ends before it begins")]
    InvertedRange,

    /// Caller's fault: the byte `0xFF` begins keys that belong to the store itself.
    #[error("keys that begin with 0xFF belong to the store")]
    ReservedKey,

    /// Caller's fault: what is read was written by this same transaction with a versionstamp, which it gets at commit.
    #[error("what this transaction writes with a versionstamp cannot be read before it commits")]
    Unreadable,

    /// The store cannot go on: closed, corrupt, or its disk failed. A retry will not help.
    ///
    /// A commit that ends so has an unknown outcome.
    #[error("the store failed")]
    Fatal(#[source] Cause),
}

impl Error {
    /// Whether beginning the same transaction again may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Conflict
            | Self::UnknownResult
            | Self::TooOld
            | Self::FutureVersion { .. }
            | Self::Throttled
            | Self::WatchCancelled => true,
            // Whoever asked has waited long enough already.
            Self::Unavailable
            | Self::KeyTooLarge { .. }
            | Self::ValueTooLarge { .. }
            | Self::TransactionTooLarge { .. }
            | Self::InvertedRange
            | Self::ReservedKey
            | Self::Unreadable
            | Self::Fatal(_) => false,
        }
    }

    /// Whether a commit that ended so may have taken effect.
    #[must_use]
    pub fn maybe_committed(&self) -> bool {
        match self {
            Self::UnknownResult | Self::Fatal(_) => true,
            Self::Conflict
            | Self::TooOld
            | Self::FutureVersion { .. }
            | Self::Throttled
            | Self::Unavailable
            | Self::WatchCancelled
            | Self::KeyTooLarge { .. }
            | Self::ValueTooLarge { .. }
            | Self::TransactionTooLarge { .. }
            | Self::InvertedRange
            | Self::ReservedKey
            | Self::Unreadable => false,
        }
    }

    /// [`Error::Fatal`] around `cause`.
    pub fn fatal(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Fatal(Arc::new(cause))
    }
}
