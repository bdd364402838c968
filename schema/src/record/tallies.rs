//! Counts of each emoji on one message. Packed.
//!
//! Who put it there are rows of their own.

use super::fields::{Counted, Packed};
use super::packed::{Reader, Writer};
use super::{RecordError, record};
use crate::emoji::Emoji;
use crate::limits::EMOJIS_OF_MESSAGE_MAX;

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

    fn bounded(&self) -> Result<(), String> {
        if self.counts.len() > EMOJIS_OF_MESSAGE_MAX as usize {
            return Err(format!("{} emojis of one message", self.counts.len()));
        }
        if self.counts.iter().any(|&(_, count)| count == 0) {
            return Err("an emoji that nobody put there".into());
        }
        Ok(())
    }
}

record! { TalliesRecord "tallies" format 1 encode_packed decode_packed bounded }

impl Packed for TalliesRecord {
    fn bytes(&self) -> usize {
        2 + self.counts.iter().map(|(emoji, _)| 4 + emoji.bytes()).sum::<usize>()
    }

    fn put(&self, writer: &mut Writer) {
        writer.u16(u16::try_from(self.counts.len()).expect("no more than a message may have"));
        for (emoji, count) in &self.counts {
            count.put(writer);
            emoji.put(writer);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let counts: Vec<(u32, Emoji)> = Packed::take(reader)?;
        Ok(Self { counts: counts.into_iter().map(|(count, emoji)| (emoji, count)).collect() })
    }
}

impl Counted for (u32, Emoji) {
    const BYTES_MIN: usize = 4 + 1;
}
