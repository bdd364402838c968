//! One emoji, as reactions bear it.
//!
//! Owns what counts as one: a sequence that Unicode recommends for general interchange, in its fully qualified form, so
//! that the same picture is one reaction however a keyboard spells it: with or without U+FE0F behind any of its
//! characters.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use crate::id::text_in_serde;

/// Bytes of an emoji's text. The longest that Unicode lists, a couple with two skin tones, has 35.
pub const EMOJI_BYTES_MAX: usize = 64;

/// What a like of a post is.
pub const LIKE: &str = "\u{2764}\u{fe0f}";

/// Asks for the picture of the character before it, which a character that has one shows anyway within an emoji.
const PICTURE: char = '\u{FE0F}';
const JOINER: char = '\u{200D}';

/// The fully qualified form of each emoji, by the form without [`PICTURE`].
static QUALIFIED: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let toned = emojis::iter().filter_map(emojis::Emoji::skin_tones).flatten();
    let all = emojis::iter().chain(toned).map(emojis::Emoji::as_str);
    all.map(|emoji| (emoji.replace(PICTURE, ""), emoji)).collect()
});

/// An emoji in its fully qualified form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
        let mut bare = String::with_capacity(text.len());
        let mut before = PICTURE;
        for c in text.chars() {
            match c {
                // It stands behind a character that can have a picture, and once.
                PICTURE if matches!(before, PICTURE | JOINER) => return Err(ParseEmojiError),
                PICTURE => {}
                _ => bare.push(c),
            }
            before = c;
        }
        let found = QUALIFIED.get(&bare).ok_or(ParseEmojiError)?;
        Ok(Self((*found).into()))
    }
}

impl fmt::Display for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_in_serde! { Emoji, "emoji", None }

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
        // A tone, and the picture asked for behind it or before it.
        check("\u{1F44D}\u{1F3FD}\u{FE0F}", Some("👍🏽"));
        check("\u{261D}\u{1F3FE}\u{FE0F}", Some("\u{261D}\u{1F3FE}"));
        check("\u{261D}\u{FE0F}\u{1F3FE}", Some("\u{261D}\u{1F3FE}"));
        check("\u{1F44D}\u{FE0F}", Some("👍"));
        // Keycaps, flags, tags, joined ones.
        check("1\u{20E3}", Some("1\u{FE0F}\u{20E3}"));
        check("🇰🇷\u{FE0F}", Some("🇰🇷"));
        check(
            "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}\u{FE0F}",
            Some("🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}"),
        );
        check("\u{2764}\u{200D}\u{1F525}", Some("\u{2764}\u{FE0F}\u{200D}\u{1F525}"));
        check("\u{1F3F3}\u{200D}\u{1F308}\u{FE0F}", Some("\u{1F3F3}\u{FE0F}\u{200D}\u{1F308}"));
        check("\u{1F575}\u{1F3FD}\u{FE0F}\u{200D}\u{2642}", Some("\u{1F575}\u{1F3FD}\u{200D}\u{2642}\u{FE0F}"));
        for none in [
            "",
            "a",
            "1",
            "1\u{FE0F}",
            "👍👍",
            "👍 ",
            "<b>",
            "안녕",
            "\u{200d}",
            "\u{FE0F}",
            "\u{FE0F}👍",
            "👍\u{FE0F}\u{FE0F}",
            "\u{2764}\u{200D}\u{FE0F}\u{1F525}",
            "\u{2764}\u{FE0E}",
            "👍\u{200D}",
        ] {
            check(none, None);
        }
    }

    #[test]
    fn every_emoji_fits_and_is_itself() {
        let toned = emojis::iter().filter_map(emojis::Emoji::skin_tones).flatten();
        for emoji in emojis::iter().chain(toned) {
            assert!(emoji.as_str().len() <= EMOJI_BYTES_MAX, "{emoji:?}");
            // With the sign everywhere, and nowhere.
            let bare = emoji.as_str().replace(PICTURE, "");
            let behind = |c: char| [c, PICTURE].into_iter().take(if c == JOINER { 1 } else { 2 });
            for spelt in [emoji.as_str().to_owned(), bare.chars().flat_map(behind).collect(), bare] {
                assert_eq!(spelt.parse::<Emoji>().as_ref().map(Emoji::as_str), Ok(emoji.as_str()), "{spelt:?}");
            }
        }
    }
}
