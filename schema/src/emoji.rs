//! One emoji, as reactions bear it.
//!
//! Owns what counts as one: a sequence that Unicode recommends for general interchange, in its fully qualified form, so
//! that the same picture is one reaction however a keyboard spells it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Bytes of an emoji's text. The longest that Unicode lists, a couple with two skin tones, has 35.
pub const EMOJI_BYTES_MAX: usize = 64;

/// An emoji in its fully qualified form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Emoji(Arc<str>);

/// A text that is not exactly one emoji.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an emoji")]
pub struct ParseEmojiError;

impl Emoji {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Emoji {
    /// One that was an emoji where it was accepted, by a version that may know more of them than this one.
    ///
    /// # Errors
    /// If it cannot have been one: empty, or longer than any.
    pub fn accepted(text: &str) -> Result<Self, ParseEmojiError> {
        if text.is_empty() || text.len() > EMOJI_BYTES_MAX { Err(ParseEmojiError) } else { Ok(Self(text.into())) }
    }
}

impl FromStr for Emoji {
    type Err = ParseEmojiError;

    fn from_str(text: &str) -> Result<Self, ParseEmojiError> {
        let found = emojis::get(text).ok_or(ParseEmojiError)?.as_str();
        assert!(found.len() <= EMOJI_BYTES_MAX, "{found:?} has {} bytes", found.len());
        Ok(Self(found.into()))
    }
}

impl TryFrom<String> for Emoji {
    type Error = ParseEmojiError;

    fn try_from(text: String) -> Result<Self, ParseEmojiError> {
        text.parse()
    }
}

impl From<Emoji> for String {
    fn from(emoji: Emoji) -> Self {
        emoji.as_str().to_owned()
    }
}

impl fmt::Display for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emoji_is_one_picture_however_it_is_spelt() {
        let check = |text: &str, expected: Option<&str>| {
            let found = text.parse::<Emoji>().ok();
            assert_eq!(found.as_ref().map(Emoji::as_str), expected, "{text:?}");
        };
        check("👍", Some("👍"));
        check("👍🏽", Some("👍🏽"));
        check("👨‍👩‍👧", Some("👨‍👩‍👧"));
        check("🇰🇷", Some("🇰🇷"));
        check("\u{2764}\u{fe0f}", Some("\u{2764}\u{fe0f}"));
        check("\u{2764}", Some("\u{2764}\u{fe0f}"));
        for none in ["", "a", "1", "👍👍", "👍 ", "<b>", "안녕", "\u{200d}"] {
            check(none, None);
        }
    }

    #[test]
    fn every_emoji_fits_and_is_itself() {
        let toned = emojis::iter().filter_map(emojis::Emoji::skin_tones).flatten();
        for emoji in emojis::iter().chain(toned) {
            assert!(emoji.as_str().len() <= EMOJI_BYTES_MAX, "{emoji:?}");
            assert_eq!(emoji.as_str().parse::<Emoji>().as_ref().map(Emoji::as_str), Ok(emoji.as_str()));
        }
    }
}
