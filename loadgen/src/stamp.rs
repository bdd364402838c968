//! Stamp at the start of a chat message.
//!
//! Owns its length, which is the least that a message may have.

/// Characters that say when the message was due, in hexadecimal.
pub(crate) const STAMP_CHARS: usize = 16;
/// Characters of the shortest message: when it was due, whose it is, its number, each followed by a space.
pub(crate) const BODY_CHARS_MIN: u32 = STAMP_CHARS as u32 + 1 + 8 + 1 + 16 + 1;
