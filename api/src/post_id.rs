//! Ids of posts: the channel and the seq, as one text.
//!
//! Owns the text, `120878821372975410-7`. A reply has one as well: it is a message of the same channel.

use std::fmt;
use std::str::FromStr;

use schema::{ChannelId, Seq};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// A post, or a reply to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PostId {
    pub(crate) channel: ChannelId,
    pub(crate) seq: Seq,
}

impl fmt::Display for PostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.channel, self.seq.0)
    }
}

/// A text that is no id of a post.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no id of a post, as 120878821372975410-7")]
pub(crate) struct NoPostId(String);

impl FromStr for PostId {
    type Err = NoPostId;

    fn from_str(text: &str) -> Result<Self, NoPostId> {
        let of = |text: &str| {
            // Digits alone: one post has one id.
            let number = |digits: &str| {
                let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
                digits.parse::<u64>().ok().filter(|_| is_plain)
            };
            let (channel, seq) = text.split_once('-')?;
            Some(Self { channel: ChannelId(number(channel)?), seq: Seq(number(seq)?) })
        };
        of(text).ok_or_else(|| NoPostId(text.chars().take(64).collect()))
    }
}

impl PartialSchema for PostId {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).description(Some("A post, or a reply to one"));
        text.pattern::<&str>(Some("^[1-9][0-9]{0,19}-[1-9][0-9]{0,19}$")).examples(["120878821372975410-7"]).into()
    }
}

impl ToSchema for PostId {}

impl Serialize for PostId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PostId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_has_one_id() {
        let check = |text: &str, expected: Option<(u64, u64)>| {
            let found = text.parse::<PostId>().ok();
            assert_eq!(found.map(|id| (id.channel.0, id.seq.0)), expected, "{text}");
            assert!(found.is_none_or(|id| id.to_string() == text), "{text}");
        };
        check("120878821372975410-7", Some((120_878_821_372_975_410, 7)));
        check("18446744073709551615-18446744073709551615", Some((u64::MAX, u64::MAX)));
        for text in
            ["", "-", "7", "7-", "-7", "7-0", "07-1", "7-01", "+7-1", "7-1-2", "7 -1", "x-1", "18446744073709551616-1"]
        {
            check(text, None);
        }
    }
}
