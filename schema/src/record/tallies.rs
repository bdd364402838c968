//! How often each emoji was put to one message. Packed.
//!
//! Owns the record and its bytes. Who put it there are rows of their own.

use super::RecordError;
use super::packed::{Reader, Writer};
use crate::emoji::Emoji;
use crate::limits::EMOJIS_OF_MESSAGE_MAX;

const FORMAT: u8 = 1;

/// `tallies`: the emojis of one message and how many users put each there, in the order in which they first came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TalliesRecord {
    /// None has a count of 0.
    pub counts: Vec<(Emoji, u32)>,
}

impl TalliesRecord {
    /// How many put this one there.
    #[must_use]
    pub fn count(&self, emoji: &Emoji) -> u32 {
        self.counts.iter().find(|(one, _)| one == emoji).map_or(0, |&(_, count)| count)
    }

    /// As it lies in the store.
    ///
    /// # Panics
    /// If there are more emojis than a message may have, or a count is 0.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.counts.len() <= EMOJIS_OF_MESSAGE_MAX as usize, "{} emojis of one message", self.counts.len());
        let mut writer = Writer::new(FORMAT, 3 + self.counts.len() * 16);
        writer.u16(u16::try_from(self.counts.len()).expect("checked above"));
        for (emoji, count) in &self.counts {
            assert!(*count > 0, "nobody put {emoji} there");
            writer.u32(*count).short_text(emoji.as_str());
        }
        writer.finish()
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged: a count of 0 and more emojis than a message may have are damage too.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("tallies", FORMAT, bytes)?;
        let emojis = reader.count(4 + 1)?;
        if emojis > EMOJIS_OF_MESSAGE_MAX as usize {
            return Err(reader.damaged(format!("{emojis} emojis of one message")));
        }
        let mut counts = Vec::with_capacity(emojis);
        for _ in 0..emojis {
            let count = reader.u32()?;
            if count == 0 {
                return Err(reader.damaged("an emoji that nobody put there"));
            }
            let emoji = Emoji::accepted(reader.short_text()?).map_err(|error| reader.damaged(format!("{error}")))?;
            counts.push((emoji, count));
        }
        reader.finish().map(|()| Self { counts })
    }
}
