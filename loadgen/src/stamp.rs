//! Stamp at the start of a chat message: when it was due, whose it is and which of theirs.
//!
//! Owns its form and length, which is the least that a message may have.

use std::sync::Arc;

/// Characters of the shortest message: when it was due, whose it is, its number, in hexadecimal and each followed by a
/// space.
pub(crate) const BODY_CHARS_MIN: u32 = 16 + 1 + 8 + 1 + 16 + 1;

/// What a message says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// On the engine's clock.
    pub(crate) intended_ns: u64,
    /// Who wrote it.
    pub(crate) connection: usize,
    /// Which of its messages it is, from 0.
    pub(crate) number: u64,
}

impl Stamp {
    /// The message with this stamp.
    pub(crate) fn body(&self, filler: &str) -> Arc<str> {
        let Self { intended_ns, connection, number } = self;
        format!("{intended_ns:016x} {connection:08x} {number:016x} {filler}").into()
    }

    /// The stamp of a message, if it has one.
    pub(crate) fn of(body: &str) -> Option<Self> {
        let word = |from: usize, to: usize| u64::from_str_radix(body.get(from..to)?, 16).ok();
        let connection = usize::try_from(word(17, 25)?).ok()?;
        Some(Self { intended_ns: word(0, 16)?, connection, number: word(26, 42)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_and_nothing_else_is_one() {
        let stamp = Stamp { intended_ns: u64::MAX, connection: 0x00ab_cdef, number: 7 };
        let body = stamp.body("abc");
        assert_eq!(body.len(), BODY_CHARS_MIN as usize + 3);
        assert_eq!(Stamp::of(&body), Some(stamp));
        for other in ["", "hello", "ffffffffffffffff 0000001", "äöüäöüäöüäöüäöüäöüäöüäöüäöü"]
        {
            assert_eq!(Stamp::of(other), None, "{other}");
        }
    }
}
