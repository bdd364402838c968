//! FoundationDB's error numbers, as far as the stand-in gives them, and what a caller may conclude from each.
//!
//! The numbers are FoundationDB's; the words are ours.

use std::ffi::CStr;

/// An error by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

/// Makes a constant of each error, and the table of their words.
macro_rules! codes {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        impl Code {
            $(#[doc = concat!($number, ": ", $text, ".")] pub const $name: Self = Self($number);)*

            /// What it means, in a few words; for numbers that the stand-in never gives, that.
            #[must_use]
            pub fn text(self) -> &'static CStr {
                const TEXTS: &[(u16, &CStr)] = &[$(($number, match CStr::from_bytes_with_nul(concat!($text, "\0").as_bytes()) {
                    Ok(text) => text,
                    Err(_) => panic!("a text has no zero inside"),
                })),*];
                TEXTS.iter().find(|(number, _)| *number == self.0).map_or(c"an error that the stand-in does not know", |(_, text)| *text)
            }
        }
    };
}

codes! {
    SUCCESS = 0, "success";
    TRANSACTION_TOO_OLD = 1007, "the transaction is older than the store remembers";
    FUTURE_VERSION = 1009, "the read version is ahead of the store";
    NOT_COMMITTED = 1020, "not committed: another transaction wrote what this one read";
    COMMIT_UNKNOWN_RESULT = 1021, "the commit may or may not have happened";
    TRANSACTION_CANCELLED = 1025, "the transaction was cancelled";
    TRANSACTION_TIMED_OUT = 1031, "the transaction's timeout has passed";
    TOO_MANY_WATCHES = 1032, "too many watches";
    ACCESSED_UNREADABLE = 1036, "what is written with a versionstamp cannot be read before the commit";
    PROCESS_BEHIND = 1037, "the store is behind with its work";
    DATABASE_LOCKED = 1038, "the database is locked";
    CLUSTER_VERSION_CHANGED = 1039, "the cluster has changed its version";
    PROXY_MEMORY_LIMIT_EXCEEDED = 1042, "the commit proxy has no memory left";
    BATCH_TRANSACTION_THROTTLED = 1051, "transactions of batch priority are throttled";
    GRV_PROXY_MEMORY_LIMIT_EXCEEDED = 1078, "the proxy of read versions has no memory left";
    OPERATION_CANCELLED = 1101, "the operation was cancelled";
    FUTURE_RELEASED = 1102, "the future's memory was released";
    TAG_THROTTLED = 1213, "transactions of this kind are throttled";
    PLATFORM_ERROR = 1500, "the operating system refused";
    NO_CLUSTER_FILE_FOUND = 1515, "the cluster file is missing or cannot be read";
    CLIENT_INVALID_OPERATION = 2000, "this call is not for here, or not in the stand-in";
    KEY_OUTSIDE_LEGAL_RANGE = 2004, "the key belongs to the store";
    INVERTED_RANGE = 2005, "the range ends before it begins";
    INVALID_OPTION_VALUE = 2006, "the option's value is not valid";
    INVALID_OPTION = 2007, "there is no such option, or not in the stand-in";
    NETWORK_NOT_SETUP = 2008, "the network is not set up";
    NETWORK_ALREADY_SETUP = 2009, "the network is set up already";
    READ_VERSION_ALREADY_SET = 2010, "the transaction has a read version already";
    VERSION_INVALID = 2011, "the version is not valid";
    RANGE_LIMITS_INVALID = 2012, "the range's limits are not valid";
    FUTURE_NOT_SET = 2015, "the future is not ready";
    USED_DURING_COMMIT = 2017, "the transaction was used during or after its commit";
    INVALID_MUTATION_TYPE = 2018, "there is no such atomic operation, or not in the stand-in";
    NO_COMMIT_VERSION = 2021, "a transaction that wrote nothing has no commit version";
    NETWORK_CANNOT_BE_RESTARTED = 2025, "the network cannot be run again";
    TRANSACTION_TOO_LARGE = 2101, "the transaction is too large";
    KEY_TOO_LARGE = 2102, "a key is too large";
    VALUE_TOO_LARGE = 2103, "a value is too large";
    CONNECTION_STRING_INVALID = 2104, "the cluster file does not parse, or is not a stand-in's";
    API_VERSION_UNSET = 2200, "the API version is not selected";
    API_VERSION_ALREADY_SET = 2201, "the API version is selected already";
    API_VERSION_INVALID = 2202, "the API version is newer than its header";
    API_VERSION_NOT_SUPPORTED = 2203, "the API version is not supported";
    EXACT_MODE_WITHOUT_LIMITS = 2210, "an exact range read needs a limit";
    INTERNAL_ERROR = 4100, "the stand-in's store has failed";
}

impl Code {
    /// The commit may have happened.
    #[must_use]
    pub fn is_maybe_committed(self) -> bool {
        [Self::COMMIT_UNKNOWN_RESULT, Self::CLUSTER_VERSION_CHANGED].contains(&self)
    }

    /// Nothing was committed, and the same transaction may succeed if it is begun again.
    #[must_use]
    pub fn is_retryable_not_committed(self) -> bool {
        [
            Self::TRANSACTION_TOO_OLD,
            Self::FUTURE_VERSION,
            Self::NOT_COMMITTED,
            Self::PROCESS_BEHIND,
            Self::DATABASE_LOCKED,
            Self::PROXY_MEMORY_LIMIT_EXCEEDED,
            Self::BATCH_TRANSACTION_THROTTLED,
            Self::GRV_PROXY_MEMORY_LIMIT_EXCEEDED,
            Self::TAG_THROTTLED,
        ]
        .contains(&self)
    }

    /// Either of the two.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        self.is_maybe_committed() || self.is_retryable_not_committed()
    }
}

impl From<&kv::Error> for Code {
    fn from(error: &kv::Error) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_retried_is_what_foundationdb_says() {
        let check = |code: u16, retryable: bool, maybe_committed: bool| {
            let code = Code(code);
            let found = (code.is_retryable(), code.is_maybe_committed(), code.is_retryable_not_committed());
            assert_eq!(found, (retryable, maybe_committed, retryable && !maybe_committed), "{code:?}");
        };
        for code in [1007, 1009, 1020, 1037, 1038, 1042, 1051, 1078, 1213] {
            check(code, true, false);
        }
        for code in [1021, 1039] {
            check(code, true, true);
        }
        for code in [0, 1025, 1031, 1032, 1036, 1101, 2000, 2101, 2102, 2103, 4100] {
            check(code, false, false);
        }
    }
}
