//! Errors: what the server refuses, and why a client has no answer or no session any more.
//!
//! Owns the numbers of PROTOCOL sections 6 and 7 as this client branches on them. A code of a later server is
//! [`Code::Other`], never a failure to parse.

use serde::{Deserialize, Serialize};

/// Code of a refusal by the server (PROTOCOL section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "u32", into = "u32")]
#[non_exhaustive]
pub enum Code {
    /// 100: the server's fault; the same request may be sent again.
    Internal,
    /// 101: no valid token.
    Unauthenticated,
    /// 102: no such channel, or one that the user was never in.
    UnknownChannel,
    /// 103: the user may not do that there.
    PermissionDenied,
    /// 104: the server does not know that command.
    UnknownCommand,
    /// 106: a limit of the protocol, named in the message.
    LimitExceeded,
    /// 107: the request contradicts the protocol or itself.
    BadRequest,
    /// 109: the token's time is over.
    TokenExpired,
    /// 111: too many commands for now.
    RateLimited,
    /// 112: a cursor of another store, or ahead of it. Clients handle it: see [`Event::Reset`](crate::Event::Reset).
    BadCursor,
    /// 113: the channel is moving to another node.
    Moving,
    /// 114: the server has more to do than it takes.
    Overloaded,
    /// 115: the store takes no writes now.
    StorageUnavailable,
    /// 116: the text is over the limit.
    BodyTooLong,
    /// 117: one of the two has blocked the other.
    Blocked,
    /// 119: the group has no room.
    GroupFull,
    /// 121: the id named other content before.
    IdReused,
    /// 122: an edit whose base is not the newest revision.
    StaleRevision,
    /// 123: no message with that seq.
    NoSuchMessage,
    /// 124: an id older than 30 days, or more than a day in the future.
    IdTooOld,
    /// 125: an application refuses the message; its reason is the refusal's text, for the user.
    Rejected,
    /// A code that this version of the client gives no name; 0 where an HTTP answer bore none.
    Other(u32),
}

/// Numbers and names, both ways.
macro_rules! codes {
    ($($number:literal $name:ident)*) => {
        impl From<u32> for Code {
            fn from(number: u32) -> Self {
                match number {
                    $($number => Self::$name,)*
                    other => Self::Other(other),
                }
            }
        }

        impl From<Code> for u32 {
            fn from(code: Code) -> Self {
                match code {
                    $(Code::$name => $number,)*
                    Code::Other(number) => number,
                }
            }
        }
    };
}

codes! {
    100 Internal 101 Unauthenticated 102 UnknownChannel 103 PermissionDenied 104 UnknownCommand 106 LimitExceeded
    107 BadRequest 109 TokenExpired 111 RateLimited 112 BadCursor 113 Moving 114 Overloaded 115 StorageUnavailable
    116 BodyTooLong 117 Blocked 119 GroupFull 121 IdReused 122 StaleRevision 123 NoSuchMessage 124 IdTooOld
    125 Rejected
}

/// A refusal in the server's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("refused with {}: {message}", u32::from(*code))]
pub struct Refusal {
    /// To branch on.
    pub code: Code,
    /// For a person.
    #[serde(default)]
    pub message: String,
    /// `true` if the same request may succeed when it is sent again. The outbox does that by itself.
    #[serde(default)]
    pub temporary: bool,
    /// The wait before that; 0 if at once or never.
    #[serde(default)]
    pub retry_after_ms: u64,
}

/// Reason for which a call of [`Client`](crate::Client) or [`Api`](crate::Api) has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused it. Nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no connection, or it was lost before the answer came: what was asked may be asked again. Of what is in
    /// the outbox this is never said: it waits.
    #[error("there is no connection at the moment")]
    Offline,
    /// Nobody's fault: the outbox and the events about it that nobody has fetched are as many as the configuration allows.
    #[error("the outbox holds {entries} operations and events, the most that it may")]
    OutboxFull {
        /// Entries that are there.
        entries: usize,
    },
    /// The store did not take it. Nothing was sent.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The client was closed, or has ended for the reason in its [`Event::Ended`](crate::Event::Ended).
    #[error("the client has ended")]
    Ended,
    /// No operation in the outbox has that id.
    #[error("no operation of that id is in the outbox")]
    NoSuchOperation,
    /// The server could not be reached by HTTP, or its answer was not one.
    #[error("{method} {path}: {why}")]
    Http {
        /// The method of the request.
        method: String,
        /// Its path, without its query.
        path: String,
        /// Fault, in words for a person.
        why: String,
    },
    /// The server said something that this client does not understand.
    #[error("the server's answer is not one: {0}")]
    Malformed(String),
    /// Configuration that cannot work.
    #[error("configuration: {0}")]
    Config(String),
}

/// A store could not do what it was asked. See [`Store`](crate::Store).
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

impl StoreError {
    /// An error of a file or directory.
    pub(crate) fn of(path: &std::path::Path, error: &dyn std::fmt::Display) -> Self {
        Self(format!("{}: {error}", path.display()))
    }
}

/// Reason for which a client will not connect again. PROTOCOL section 7 has the codes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// [`Client::close`](crate::Client::close), or nobody holds the client and its events any more.
    Closed,
    /// The login counts no longer.
    SignedOut {
        /// 3500; none if the application's tokens said so, or the server refused a new one in its reply.
        code: Option<u16>,
    },
    /// The device was revoked, or its login ended (3503).
    DeviceRevoked,
    /// The account was deleted (3511).
    AccountDeleted,
    /// The same device connected elsewhere (3505): two clients bear one `device_id`.
    Replaced,
    /// The account has as many devices connected as it may (3504).
    TooManyDevices,
    /// The server refused to let this client in, and would again: a device id that is none, say.
    Refused(Refusal),
    /// Another final code of the server's.
    Code {
        /// The close code.
        code: u16,
        /// The server's reason, for a person.
        reason: String,
    },
    /// Contents of the store that could not be read, so that nothing was sent.
    Store(String),
}

impl Ended {
    /// The close code, or that of the refusal, if there was one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Closed | Self::Store(_) => None,
            Self::Refused(refusal) => u16::try_from(u32::from(refusal.code)).ok(),
            Self::SignedOut { code } => *code,
            Self::DeviceRevoked => Some(3503),
            Self::TooManyDevices => Some(3504),
            Self::Replaced => Some(3505),
            Self::AccountDeleted => Some(3511),
            Self::Code { code, .. } => Some(*code),
        }
    }

    /// `true` if its user has to sign in again.
    #[must_use]
    pub fn is_signed_out(&self) -> bool {
        matches!(self, Self::SignedOut { .. } | Self::DeviceRevoked | Self::AccountDeleted)
    }

    /// End that a close code means; `None` if the client is to connect again.
    pub(crate) fn of_close(code: u16, reason: &str) -> Option<Self> {
        match code {
            3500 => Some(Self::SignedOut { code: Some(code) }),
            3503 => Some(Self::DeviceRevoked),
            3504 => Some(Self::TooManyDevices),
            3505 => Some(Self::Replaced),
            3511 => Some(Self::AccountDeleted),
            // From 3500 on the server's codes are final, those of later versions among them; of RFC 6455's those that say
            // that the client itself was at fault.
            1002 | 1007 | 1009 | 3501.. => Some(Self::Code { code, reason: reason.to_owned() }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_its_number() {
        for number in 0..200 {
            assert_eq!(u32::from(Code::from(number)), number);
        }
        assert_eq!(Code::from(105), Code::Other(105));
    }

    #[test]
    fn final_close_codes_are_those_of_the_protocol() {
        for code in [1000, 1001, 1006, 3001, 3004, 3005, 3008, 3011, 3012, 3013, 3015] {
            assert_eq!(Ended::of_close(code, ""), None, "{code}");
        }
        for code in [1002, 1007, 1009, 3500, 3501, 3502, 3503, 3504, 3505, 3509, 3511, 3599, 4000] {
            assert!(Ended::of_close(code, "").is_some(), "{code}");
        }
    }
}
