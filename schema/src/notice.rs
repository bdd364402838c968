//! Notices: what somebody is told outside of a connection, by which media, and the names of both.
//!
//! Owns the ids of notices and the list of media. What becomes of a notice is `chat::notices`.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_128;

use crate::id::{ChannelId, ParseIdError, Seq, UserId, text_in_serde};
use crate::time::UnixMs;
use crate::uuid;

/// A notice: a UUID whose leading 48 bits are the time at which it was made, or its message was sent.
///
/// Of an application's notice it is drawn (version 7); of a message for a user it follows from both (version 8), so
/// that whoever finds the same message again makes the same notice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NoticeId(pub [u8; 16]);

impl NoticeId {
    /// Makes one from a wall time and 74 of the caller's random bits.
    #[must_use]
    pub fn new(wall: UnixMs, entropy: u128) -> Self {
        Self(uuid::of(7, wall, entropy))
    }

    /// The notice of a message for one user.
    #[must_use]
    pub fn of_message(user: UserId, channel: ChannelId, seq: Seq, sent_ms: UnixMs) -> Self {
        Self(uuid::of(8, sent_ms, hash(&[user.0, channel.0, seq.0])))
    }

    /// The notice of what others do with a user's post, by the number of what they do and the end of the window in which they do it.
    #[must_use]
    pub fn of_post(user: UserId, channel: ChannelId, seq: Seq, act: u8, due: UnixMs) -> Self {
        Self(uuid::of(8, due, hash(&[user.0, channel.0, seq.0, u64::from(act)])))
    }

    /// The notice that a recurring one is at one of its times.
    #[must_use]
    pub fn at(self, due: UnixMs) -> Self {
        let (high, low) = self.0.split_at(8);
        let half = |half: &[u8]| u64::from_be_bytes(half.try_into().expect("8 of 16 bytes"));
        Self(uuid::of(8, due, hash(&[half(high), half(low), due.0])))
    }

    /// The time in it.
    #[must_use]
    pub fn made_at(self) -> UnixMs {
        uuid::made_at(self.0)
    }
}

fn hash(parts: &[u64]) -> u128 {
    let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_be_bytes()).collect();
    xxh3_128(&bytes)
}

impl fmt::Display for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::write(self.0, f)
    }
}

impl fmt::Debug for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NoticeId {
    type Err = ParseIdError;

    /// The hyphenated form of 36 characters, in either case.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        uuid::parse(text).map(Self).ok_or(ParseIdError { what: "notice id: a UUID, hyphenated" })
    }
}

text_in_serde! {
    NoticeId, "notice id: a UUID", Some("^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
}

/// Declares the media with their numbers and their words.
macro_rules! media {
    ($($(#[$doc:meta])* $medium:ident = $number:literal $word:literal,)*) => {
        /// A way by which somebody is told. Numbers are never used twice.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[derive(utoipa::ToSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum Medium {
            $($(#[$doc])* $medium = $number,)*
        }

        impl Medium {
            /// Every medium, by number.
            pub const ALL: &'static [Self] = &[$(Self::$medium,)*];

            /// Its word in configuration, metrics and JSON.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$medium => $word,)*
                }
            }
        }
    };
}

media! {
    /// Apple's push notification service.
    Apns = 1 "apns",
    /// Firebase Cloud Messaging.
    Fcm = 2 "fcm",
    /// A browser's push service (RFC 8030).
    WebPush = 3 "webpush",
    /// Mail.
    Mail = 4 "mail",
    /// A text message to a phone.
    Sms = 5 "sms",
    /// Whatever an operator's template of an HTTP request reaches.
    Webhook = 6 "webhook",
}

impl Medium {
    /// The medium of a number.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|&medium| medium as u8 == number)
    }

    /// Whether its targets are installations of a client, and go with them.
    #[must_use]
    pub fn is_of_device(self) -> bool {
        match self {
            Self::Apns | Self::Fcm | Self::WebPush | Self::Webhook => true,
            Self::Mail | Self::Sms => false,
        }
    }
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Medium {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let found = Self::ALL.iter().copied().find(|medium| medium.word() == text);
        found.ok_or(ParseIdError { what: "medium: apns, fcm, webpush, mail, sms or webhook" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_keeps_its_time_and_its_text() {
        let check = |id: NoticeId, made_at, version| {
            assert_eq!(id.made_at(), UnixMs(made_at), "{id}");
            assert_eq!(id.0[6] >> 4, version, "{id}");
            assert_eq!(id.0[8] >> 6, 0b10, "{id}");
            assert_eq!(id.to_string().parse(), Ok(id));
        };
        let drawn = NoticeId::new(UnixMs(1_767_225_600_123), u128::MAX);
        check(drawn, 1_767_225_600_123, 7);
        check(drawn.at(UnixMs(1_767_225_600_999)), 1_767_225_600_999, 8);
        check(NoticeId::of_message(UserId(1), ChannelId(2), Seq(3), UnixMs(4)), 4, 8);
    }

    #[test]
    fn a_message_is_one_notice_for_each_user() {
        let of = |user, channel, seq| NoticeId::of_message(UserId(user), ChannelId(channel), Seq(seq), UnixMs(4));
        assert_eq!(of(1, 2, 3), of(1, 2, 3));
        assert_ne!(of(1, 2, 3), of(2, 2, 3));
        assert_ne!(of(1, 2, 3), of(1, 2, 4));
    }

    #[test]
    fn a_medium_has_one_number_and_one_word() {
        for &medium in Medium::ALL {
            assert_eq!(Medium::of_number(medium as u8), Some(medium));
            assert_eq!(medium.word().parse(), Ok(medium));
            assert_eq!(serde_json::to_string(&medium).ok(), Some(format!("{:?}", medium.word())));
        }
        assert_eq!(Medium::of_number(0), None);
    }
}
