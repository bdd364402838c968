//! Names of things: users, channels, devices, sessions, messages.
//!
//! Owns their widths and their text forms. 64-bit ids are decimal strings in JSON, because a JavaScript
//! number holds 53 bits.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Serialize};

use crate::limits::DEVICE_ID_BYTES_MAX;
use crate::time::UnixMs;
use crate::uuid;

/// Milliseconds from 1970-01-01 to 2026-01-01 UTC, where the clock inside ids starts.
const ID_EPOCH_MS: u64 = 1_767_225_600_000;
/// Random bits below an id's milliseconds. With 1,000 ids made in one millisecond, two are equal with a chance of
/// about 0.11, so the transaction that creates an id checks that it is absent and draws again.
const ID_RANDOM_BITS: u32 = 22;
/// 41 bits of milliseconds last until the year 2095.
const ID_TIME_BITS: u32 = 41;
const _: () = assert!(ID_TIME_BITS + ID_RANDOM_BITS == 63, "an id is positive also where it is read as signed");

/// The milliseconds in ids of applications' own accounts.
const SYSTEM_TIME: u64 = (1 << ID_TIME_BITS) - 1;

/// A text that is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a {what}")]
pub struct ParseIdError {
    pub(crate) what: &'static str,
}

/// Serializes what is a text by its `Display` and `FromStr`; a regular expression says in the API's document which texts are.
macro_rules! text_in_serde {
    ($name:ident, $what:literal, $pattern:expr) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = deserializer.deserialize_str($crate::id::Text($what))?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                use utoipa::openapi::schema::{ObjectBuilder, Type};
                let text = ObjectBuilder::new().schema_type(Type::String).description(Some($what));
                text.pattern::<&str>($pattern).into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

pub(crate) use text_in_serde;

macro_rules! timed_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// Makes an id from the wall clock and 22 of the caller's random bits.
            ///
            /// Times before 2026 count as 2026-01-01. The caller's transaction must check that the id is absent.
            #[must_use]
            pub fn new(wall: UnixMs, entropy: u64) -> Self {
                let ms = wall.0.saturating_sub(ID_EPOCH_MS) & ((1 << ID_TIME_BITS) - 1);
                Self((ms << ID_RANDOM_BITS) | (entropy & ((1 << ID_RANDOM_BITS) - 1)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                decimal(text).map(Self).ok_or(ParseIdError { what: $what })
            }
        }

        text_in_serde! { $name, $what, Some("^(0|[1-9][0-9]{0,19})$") }
    };
}

timed_id! {
    /// An account: 41 bits of milliseconds since 2026-01-01 and 22 random bits.
    UserId, "user id: a decimal string"
}
impl UserId {
    /// The id of an application's own account, of 22 of the caller's random bits: of a time that no account is made in,
    /// the last that ids have. Nobody logs in to it, and what it asks of a channel is its operator's wish.
    #[must_use]
    pub fn system(entropy: u64) -> Self {
        Self((SYSTEM_TIME << ID_RANDOM_BITS) | (entropy & ((1 << ID_RANDOM_BITS) - 1)))
    }

    /// Whether this is the id of an application's own account.
    #[must_use]
    pub fn is_system(self) -> bool {
        self.0 >> ID_RANDOM_BITS == SYSTEM_TIME
    }
}

timed_id! {
    /// A channel, made like a [`UserId`].
    ChannelId, "channel id: a decimal string"
}

timed_id! {
    /// A picture or another file that was uploaded, made like a [`UserId`].
    MediaId, "media id: a decimal string"
}

/// Canonical decimal: what [`fmt::Display`] prints, so that one id has one text.
fn decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || (text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

/// A message's dense number in its channel, from 1. 0 stands before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
#[derive(utoipa::ToSchema)]
pub struct Seq(pub u64);

impl Seq {
    /// The place before the first message.
    pub const ZERO: Seq = Seq(0);

    /// The seq after this one.
    #[must_use]
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// One live connection of a device, unique in its shard's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl FromStr for SessionId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

text_in_serde! { SessionId, "session id: a hexadecimal string", Some("^[0-9a-f]{1,16}$") }

/// One installation of a client, named by the client: 1 to 64 of `[A-Za-z0-9_-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(Box<str>);

impl DeviceId {
    /// The name as the client wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DeviceId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if (1..=DEVICE_ID_BYTES_MAX as usize).contains(&text.len()) && text.bytes().all(legal) {
            Ok(Self(text.into()))
        } else {
            Err(ParseIdError { what: "device_id of 1 to 64 characters of [A-Za-z0-9_-]" })
        }
    }
}

text_in_serde! { DeviceId, "device_id", Some("^[A-Za-z0-9_-]{1,64}$") }

/// A UUID of version 7 that names a message, or an operation, before the server has seen it.
///
/// Made once per message that a user writes and repeated on every retry; its leading 48 bits are the client's
/// wall clock, which bounds how long the server must remember it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientMsgId(pub [u8; 16]);

impl ClientMsgId {
    /// Makes one from a wall time and 74 of the caller's random bits.
    #[must_use]
    pub fn new(wall: UnixMs, entropy: u128) -> Self {
        Self(uuid::of(7, wall, entropy))
    }

    /// The time that its maker wrote into it.
    #[must_use]
    pub fn made_at(self) -> UnixMs {
        uuid::made_at(self.0)
    }

    /// Whether version and variant are those of a UUID of version 7.
    #[must_use]
    pub fn is_v7(self) -> bool {
        self.0[6] >> 4 == 7 && self.0[8] >> 6 == 0b10
    }
}

impl fmt::Display for ClientMsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::write(self.0, f)
    }
}

impl fmt::Debug for ClientMsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ClientMsgId {
    type Err = ParseIdError;
    /// The hyphenated form of 36 characters, in either case, and version 7 alone.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let id = uuid::parse(text).map(Self).filter(|id| id.is_v7());
        id.ok_or(ParseIdError { what: "UUID of version 7, hyphenated" })
    }
}

text_in_serde! {
    ClientMsgId, "UUID of version 7",
    Some("^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
}

/// Takes a text out of a deserializer, borrowed or owned, without asking which.
pub(crate) struct Text(pub(crate) &'static str);

impl<'de> Visitor<'de> for Text {
    type Value = std::borrow::Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(text.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(text.to_owned().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_applications_own_account_is_told_by_its_id() {
        for entropy in [0, 1, u64::MAX] {
            assert!(UserId::system(entropy).is_system(), "{entropy}");
            assert!(!UserId::new(UnixMs(1_800_000_000_000), entropy).is_system(), "{entropy}");
            assert!(UserId::system(entropy).0 < 1 << 63, "an id is positive also where it is read as signed");
        }
        assert!(!UserId(0).is_system() && !UserId(u64::MAX).is_system());
    }

    #[test]
    fn an_id_carries_its_time_above_its_random_bits() {
        let check = |wall_ms, entropy, expected| {
            assert_eq!(UserId::new(UnixMs(wall_ms), entropy), UserId(expected), "{wall_ms} {entropy:x}");
        };
        check(ID_EPOCH_MS, 0, 0);
        check(ID_EPOCH_MS, u64::MAX, (1 << 22) - 1);
        check(ID_EPOCH_MS + 1, 5, (1 << 22) | 5);
        check(0, 7, 7);
    }

    #[test]
    fn one_id_has_one_text() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(text.parse::<UserId>().ok(), expected.map(UserId), "{text:?}");
        };
        check("0", Some(0));
        check("18446744073709551615", Some(u64::MAX));
        check("18446744073709551616", None);
        check("007", None);
        check("+7", None);
        check("", None);
        check(" 7", None);
    }

    #[test]
    fn a_client_msg_id_is_a_uuid_of_version_7() {
        let check = |text: &str, legal: bool| assert_eq!(text.parse::<ClientMsgId>().is_ok(), legal, "{text}");
        check("019b76da-a800-7000-8000-000000000000", true);
        check("019B76DA-A800-7FFF-BFFF-FFFFFFFFFFFF", true);
        check("019b76da-a800-4000-8000-000000000000", false);
        check("019b76da-a800-7000-c000-000000000000", false);
        check("019b76daa80070008000000000000000", false);
        check("019b76da-a800-7000-8000-00000000000g", false);
    }

    #[test]
    fn a_client_msg_id_keeps_its_time_and_its_text() {
        let id = ClientMsgId::new(UnixMs(1_767_225_600_123), 0xdead_beef_dead_beef_dead_beef);
        assert_eq!(id.made_at(), UnixMs(1_767_225_600_123));
        assert!(id.is_v7());
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_device_id_is_short_and_plain() {
        let check = |text: &str, legal: bool| assert_eq!(text.parse::<DeviceId>().is_ok(), legal, "{text}");
        check("phone-1_A", true);
        check("", false);
        check("with space", false);
        check(&"a".repeat(64), true);
        check(&"a".repeat(65), false);
    }
}
