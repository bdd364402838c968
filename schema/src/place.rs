//! Places in lists of messages that are newest first over many channels: search, mentions.
//!
//! Owns the order of such lists and the text of a place, which clients hand back as the `cursor` of the next page.
//! Messages that were sent in one millisecond have places of their own, so no page's edge can fall among equals.

use std::fmt;
use std::str::FromStr;

use crate::id::{ChannelId, Seq, text_in_serde};
use crate::time::UnixMs;

/// The place of a message. Later messages are greater, so lists descend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessagePlace {
    /// When it was sent.
    pub sent_ms: UnixMs,
    /// The channel that it was sent to.
    pub channel_id: ChannelId,
    /// Its number there.
    pub seq: Seq,
}

/// A text that is no place in a list of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list")]
pub struct ParsePlaceError;

impl fmt::Display for MessagePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.sent_ms.0, self.channel_id.0, self.seq.0)
    }
}

impl FromStr for MessagePlace {
    type Err = ParsePlaceError;

    fn from_str(text: &str) -> Result<Self, ParsePlaceError> {
        let mut numbers = text.split('-').map(|number| number.parse::<u64>());
        let mut next = || numbers.next().and_then(Result::ok).ok_or(ParsePlaceError);
        let place = Self { sent_ms: UnixMs(next()?), channel_id: ChannelId(next()?), seq: Seq(next()?) };
        if numbers.next().is_some() { Err(ParsePlaceError) } else { Ok(place) }
    }
}

text_in_serde! { MessagePlace, "cursor of this list", Some("^[0-9]{1,20}-[0-9]{1,20}-[0-9]{1,20}$") }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_its_text() {
        let place = |text: &str| text.parse::<MessagePlace>();
        for text in ["18446744073709551615-2-3", "0-0-0"] {
            assert_eq!(place(text).expect(text).to_string(), text);
        }
        for bad in ["", "1", "1-2", "1-2-x", "1-2-3-4", "-1-2-3", "1-2--3"] {
            assert_eq!(place(bad), Err(ParsePlaceError), "{bad:?}");
        }
    }
}
