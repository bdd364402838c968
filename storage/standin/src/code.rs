//! FoundationDB's error numbers, as far as the stand-in gives them, and their words, which are ours.

use std::ffi::CStr;

use serde::{Deserialize, Serialize};

/// An error by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Code(pub(crate) u16);

/// Makes a constant of each error, and the table of their words.
macro_rules! codes {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        impl Code {
            $(pub(crate) const $name: Self = Self($number);)*

            /// What it means, in a few words; of numbers that the stand-in never gives, that.
            pub(crate) fn text(self) -> &'static CStr {
                match self.0 {
                    $($number => $text,)*
                    _ => c"an error that the stand-in does not know",
                }
            }
        }
    };
}

codes! {
    TRANSACTION_TOO_OLD = 1007, c"the transaction is older than the store remembers";
    FUTURE_VERSION = 1009, c"the read version is ahead of the store";
    NOT_COMMITTED = 1020, c"not committed: another transaction wrote what this one read";
    COMMIT_UNKNOWN_RESULT = 1021, c"the commit may or may not have happened";
    TRANSACTION_CANCELLED = 1025, c"the transaction was cancelled";
    TRANSACTION_TIMED_OUT = 1031, c"the transaction's timeout has passed";
    TOO_MANY_WATCHES = 1032, c"too many watches";
    ACCESSED_UNREADABLE = 1036, c"what is written with a versionstamp cannot be read before the commit";
    PROCESS_BEHIND = 1037, c"the store is behind with its work";
    OPERATION_CANCELLED = 1101, c"the operation was cancelled";
    TAG_THROTTLED = 1213, c"transactions of this kind are throttled";
    PLATFORM_ERROR = 1500, c"the operating system refused";
    NO_CLUSTER_FILE_FOUND = 1515, c"the cluster file is missing or cannot be read";
    CLIENT_INVALID_OPERATION = 2000, c"this call is not for here, or not in the stand-in";
    KEY_OUTSIDE_LEGAL_RANGE = 2004, c"the key belongs to the store";
    INVERTED_RANGE = 2005, c"the range ends before it begins";
    INVALID_OPTION_VALUE = 2006, c"the option's value is not valid";
    INVALID_OPTION = 2007, c"there is no such option, or not in the stand-in";
    NETWORK_NOT_SETUP = 2008, c"the network is not set up";
    NETWORK_ALREADY_SETUP = 2009, c"the network is set up already";
    READ_VERSION_ALREADY_SET = 2010, c"the transaction has a read version already";
    FUTURE_NOT_SET = 2015, c"the future is not ready";
    USED_DURING_COMMIT = 2017, c"the transaction was used during or after its commit";
    INVALID_MUTATION_TYPE = 2018, c"there is no such atomic operation, or not in the stand-in";
    NO_COMMIT_VERSION = 2021, c"a transaction that wrote nothing has no commit version";
    NETWORK_CANNOT_BE_RESTARTED = 2025, c"the network cannot be run again";
    TRANSACTION_TOO_LARGE = 2101, c"the transaction is too large";
    KEY_TOO_LARGE = 2102, c"a key is too large";
    VALUE_TOO_LARGE = 2103, c"a value is too large";
    CONNECTION_STRING_INVALID = 2104, c"the cluster file does not parse, or is not a stand-in's";
    API_VERSION_NOT_SUPPORTED = 2203, c"the API version is not supported";
    INTERNAL_ERROR = 4100, c"the stand-in's store has failed";
}

impl Code {
    /// Nothing was committed, and the same transaction may succeed if it is begun again.
    pub(crate) fn is_retryable_not_committed(self) -> bool {
        let retryable = [
            Self::TRANSACTION_TOO_OLD,
            Self::FUTURE_VERSION,
            Self::NOT_COMMITTED,
            Self::PROCESS_BEHIND,
            Self::TAG_THROTTLED,
        ];
        retryable.contains(&self)
    }

    /// The commit may have happened.
    pub(crate) fn is_maybe_committed(self) -> bool {
        self == Self::COMMIT_UNKNOWN_RESULT
    }
}

impl From<kv::Error> for Code {
    fn from(error: kv::Error) -> Self {
        use kv::Error;
        match error {
            Error::Conflict => Self::NOT_COMMITTED,
            Error::UnknownResult => Self::COMMIT_UNKNOWN_RESULT,
            Error::TooOld => Self::TRANSACTION_TOO_OLD,
            Error::FutureVersion { .. } => Self::FUTURE_VERSION,
            Error::Throttled => Self::PROCESS_BEHIND,
            Error::Unavailable => Self::TRANSACTION_TIMED_OUT,
            Error::WatchCancelled => Self::OPERATION_CANCELLED,
            Error::KeyTooLarge { .. } => Self::KEY_TOO_LARGE,
            Error::ValueTooLarge { .. } => Self::VALUE_TOO_LARGE,
            Error::TransactionTooLarge { .. } => Self::TRANSACTION_TOO_LARGE,
            Error::InvertedRange => Self::INVERTED_RANGE,
            Error::ReservedKey => Self::KEY_OUTSIDE_LEGAL_RANGE,
            Error::Unreadable => Self::ACCESSED_UNREADABLE,
            Error::Fatal(_) => Self::INTERNAL_ERROR,
        }
    }
}
