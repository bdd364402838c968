//! Codes of refusals and closes.
//!
//! Owns the numbers of PROTOCOL sections 6 and 7, their meaning and their HTTP status.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[doc = $meaning:literal])* $variant:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "u16", try_from = "u16")]
        #[repr(u16)]
        pub enum $name { $($(#[doc = $meaning])* $variant = $code,)* }

        impl $name {
            /// Every code, in the order of their numbers.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The meaning, a sentence or two, as documents tell it.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $($name::$variant => concat!($($meaning),*).trim_ascii(),)*
                }
            }
        }

        /// The numbers, each with its meaning.
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
                let one = |code: &$name| {
                    let number = ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([u16::from(*code)]));
                    number.description(Some(code.meaning()))
                };
                $name::ALL.iter().fold(OneOfBuilder::new(), |all, code| all.item(one(code))).into()
            }
        }

        impl utoipa::ToSchema for $name {}

        impl From<$name> for u16 {
            fn from(code: $name) -> u16 {
                code as u16
            }
        }

        impl TryFrom<u16> for $name {
            type Error = UnknownCode;
            fn try_from(code: u16) -> Result<Self, UnknownCode> {
                match code {
                    $($code => Ok($name::$variant),)*
                    _ => Err(UnknownCode { code }),
                }
            }
        }
    };
}

/// A number that this version gives no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown code {code}")]
pub struct UnknownCode {
    /// The number.
    pub code: u16,
}

codes! {
    /// Error codes: why a command was refused. The session stays open.
    ErrorCode {
        /// The server's fault; the same request may be sent again.
        Internal = 100,
        /// No `connect` yet, or no valid token.
        Unauthenticated = 101,
        /// No such channel, or one that the user was never in.
        UnknownChannel = 102,
        /// The user may not do that there.
        PermissionDenied = 103,
        /// No such command in this version.
        UnknownCommand = 104,
        /// A limit of the protocol, named in the message.
        LimitExceeded = 106,
        /// The request does not parse or contradicts itself.
        BadRequest = 107,
        /// The token's hour is over: refresh it.
        TokenExpired = 109,
        /// Too many commands; `retry_after_ms` says when the next is taken.
        RateLimited = 111,
        /// The cursor is of another store, or ahead of it: forget it and what is cached, connect without one.
        BadCursor = 112,
        /// The channel is moving to another shard.
        Moving = 113,
        /// The shard has more to do than it may hold.
        Overloaded = 114,
        /// The store does not take writes now.
        StorageUnavailable = 115,
        /// The text is over the limit.
        BodyTooLong = 116,
        /// One of the two has blocked the other.
        Blocked = 117,
        /// The group has no room.
        GroupFull = 119,
        /// The client_msg_id named other content before.
        IdReused = 121,
        /// The edit's base is not the newest revision.
        StaleRevision = 122,
        /// No message with that seq.
        NoSuchMessage = 123,
        /// The client_msg_id is too old to be known for sure, or from the future.
        IdTooOld = 124,
        /// An application refuses the message; the reason is its own, for the user.
        Rejected = 125,
    }
}

impl ErrorCode {
    /// Whether the same request may succeed when sent again.
    #[must_use]
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::Internal | Self::RateLimited | Self::Moving | Self::Overloaded | Self::StorageUnavailable)
    }

    /// In a few words, as HTTP titles a problem.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Internal => "internal error",
            Self::Unauthenticated => "unauthenticated",
            Self::UnknownChannel => "not found",
            Self::PermissionDenied => "permission denied",
            Self::UnknownCommand => "no such operation",
            Self::LimitExceeded => "limit exceeded",
            Self::BadRequest => "bad request",
            Self::TokenExpired => "token expired",
            Self::RateLimited => "rate limited",
            Self::BadCursor => "cursor of another store",
            Self::Moving => "channel is moving",
            Self::Overloaded => "overloaded",
            Self::StorageUnavailable => "storage unavailable",
            Self::BodyTooLong => "body too long",
            Self::Blocked => "blocked",
            Self::GroupFull => "group full",
            Self::IdReused => "id reused",
            Self::StaleRevision => "stale revision",
            Self::NoSuchMessage => "no such message",
            Self::IdTooOld => "id too old",
            Self::Rejected => "rejected by an application",
        }
    }

    /// The status under which HTTP reports it.
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::BadRequest | Self::UnknownCommand | Self::LimitExceeded => 400,
            Self::Unauthenticated | Self::TokenExpired => 401,
            Self::PermissionDenied | Self::Blocked | Self::Rejected => 403,
            Self::UnknownChannel | Self::NoSuchMessage => 404,
            Self::GroupFull | Self::IdReused | Self::StaleRevision | Self::IdTooOld | Self::BadCursor => 409,
            Self::BodyTooLong => 413,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Moving | Self::Overloaded | Self::StorageUnavailable => 503,
        }
    }
}

codes! {
    /// Close codes: why a connection was closed: 1xxx from RFC 6455, 30xx connect again, 35xx do not.
    CloseCode {
        /// Both sides are done.
        Normal = 1000,
        /// The peer broke RFC 6455.
        ProtocolError = 1002,
        /// A text message was not UTF-8.
        NotUtf8 = 1007,
        /// A message was over its limit.
        TooBig = 1009,
        /// The node stops.
        GoingAway = 3001,
        /// The server's fault.
        Internal = 3004,
        /// The token's hour is over.
        TokenExpired = 3005,
        /// No byte drained for 30 s, or too many were asked for.
        Slow = 3008,
        /// Its home is elsewhere now.
        Moved = 3011,
        /// Nothing was heard for 60 s.
        NoLife = 3012,
        /// Rate limits were disregarded.
        Rate = 3013,
        /// The node holds as many connections as it may.
        Overloaded = 3015,
        /// The token in `connect` is not valid.
        BadToken = 3500,
        /// The other encoding's frame type.
        BadFrame = 3501,
        /// No `connect` in time.
        NotAuthenticated = 3502,
        /// The device was revoked.
        Kicked = 3503,
        /// The user has as many devices as it may.
        TooManyConnections = 3504,
        /// The same device connected elsewhere.
        Replaced = 3505,
        /// Twenty messages in a row that did not parse.
        TooManyErrors = 3509,
        /// The account is gone.
        AccountDeleted = 3511,
    }
}

impl CloseCode {
    /// Whether a client should connect again by itself.
    #[must_use]
    pub fn may_retry(self) -> bool {
        (3000..3500).contains(&u16::from(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_its_number() {
        for &code in ErrorCode::ALL {
            assert_eq!(ErrorCode::try_from(u16::from(code)), Ok(code));
        }
        for &code in CloseCode::ALL {
            assert_eq!(CloseCode::try_from(u16::from(code)), Ok(code));
        }
        assert_eq!(ErrorCode::try_from(105), Err(UnknownCode { code: 105 }));
    }

    #[test]
    fn temporary_refusals_are_those_of_the_protocol() {
        let temporary: Vec<u16> = ErrorCode::ALL.iter().filter(|c| c.is_temporary()).map(|&c| c.into()).collect();
        assert_eq!(temporary, [100, 111, 113, 114, 115]);
    }
}
