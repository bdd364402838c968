//! Counts of each emoji on one message. Packed.
//!
//! Who put it there are rows of their own.

use super::record;
use crate::emoji::Emoji;
use crate::limits::EMOJIS_OF_MESSAGE_MAX;
use crate::packed::{ByteOrder, Packed, Why};

/// `tallies`: the emojis of one message and how many users put each there, in the order in which they first came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TalliesRecord {
    /// None has a count of 0.
    pub counts: Vec<(Emoji, u32)>,
}

impl TalliesRecord {
    /// The count of one emoji.
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

/// Each count stands before its emoji.
impl Packed for TalliesRecord {
    fn put<O: ByteOrder>(&self, row: &mut Vec<u8>) {
        let counts: Vec<_> = self.counts.iter().map(|(emoji, count)| (*count, emoji.clone())).collect();
        counts.put::<O>(row);
    }

    fn take<O: ByteOrder>(rest: &mut &[u8]) -> Result<Self, Why> {
        let counts: Vec<(u32, Emoji)> = Packed::take::<O>(rest)?;
        Ok(Self { counts: counts.into_iter().map(|(count, emoji)| (emoji, count)).collect() })
    }
}
