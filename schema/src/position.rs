//! Places in an inbox: how the store orders events, and what clients hold of it.
//!
//! Owns the order (I6: commit version, batch, ordinal) and the text of a cursor. Knows nothing of inboxes themselves.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The place of a transaction among all of its store: a commit version and its place in that version's batch.
///
/// The 10 bytes of a versionstamp, big-endian, so that their order is the order of commits. Packed, since a session and its
/// home hold several: a position takes 12 bytes instead of 24.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(Rust, packed(2))]
pub struct Stamp {
    /// The store's version at the commit.
    pub version: u64,
    /// The number among the transactions of that version.
    pub batch: u16,
}

impl Stamp {
    /// Bytes of a stamp in keys and values.
    pub const BYTES: usize = 10;

    /// As a versionstamp lies in a key.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.version.to_be_bytes());
        bytes[8..].copy_from_slice(&self.batch.to_be_bytes());
        bytes
    }

    /// From a versionstamp as it lies in a key.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j] = bytes;
        Self { version: u64::from_be_bytes([a, b, c, d, e, f, g, h]), batch: u16::from_be_bytes([i, j]) }
    }

    /// The place of this transaction's event `ordinal`.
    #[must_use]
    pub fn at(self, ordinal: u16) -> Position {
        Position { stamp: self, ordinal }
    }
}

/// A place in an account's inbox: a transaction, and which of its events. Equal for all who share the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The transaction.
    pub stamp: Stamp,
    /// The event within it.
    pub ordinal: u16,
}

impl Position {
    /// Bytes of a position in keys and cursors.
    pub const BYTES: usize = Stamp::BYTES + 2;
    /// Before every event.
    pub const START: Position = Position { stamp: Stamp { version: 0, batch: 0 }, ordinal: 0 };

    /// After every event that committed at `version` or before it.
    #[must_use]
    pub fn end_of(version: u64) -> Self {
        Self { stamp: Stamp { version, batch: u16::MAX }, ordinal: u16::MAX }
    }

    /// After every event of this transaction and of those before it.
    #[must_use]
    pub fn end_of_stamp(stamp: Stamp) -> Self {
        Self { stamp, ordinal: u16::MAX }
    }

    /// As it lies in a key, big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..Stamp::BYTES].copy_from_slice(&self.stamp.to_bytes());
        bytes[Stamp::BYTES..].copy_from_slice(&self.ordinal.to_be_bytes());
        bytes
    }

    /// From a position as it lies in a key.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let mut stamp = [0; Stamp::BYTES];
        stamp.copy_from_slice(&bytes[..Stamp::BYTES]);
        Self {
            stamp: Stamp::from_bytes(stamp),
            ordinal: u16::from_be_bytes([bytes[Stamp::BYTES], bytes[Stamp::BYTES + 1]]),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stamp { version, batch } = self.stamp;
        write!(f, "{version}.{batch}.{}", self.ordinal)
    }
}

/// A position as clients hold it, with the store's generation, so that a cursor of another store is known as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The store's generation: drawn when one is created, imported or restored.
    pub generation: u64,
    /// The place after which the client wants to go on.
    pub position: Position,
}

/// A text that no store of ours gave out as a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this server")]
pub struct ParseCursorError;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 8 + Position::BYTES];
        bytes[..8].copy_from_slice(&self.generation.to_be_bytes());
        bytes[8..].copy_from_slice(&self.position.to_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = ParseCursorError;
    fn from_str(text: &str) -> Result<Self, ParseCursorError> {
        let mut bytes = [0; 8 + Position::BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).map_err(|_| ParseCursorError)?;
        if length != bytes.len() {
            return Err(ParseCursorError);
        }
        let (generation, position) = bytes.split_at(8);
        Ok(Self {
            generation: u64::from_be_bytes(generation.try_into().expect("split at 8")),
            position: Position::from_bytes(position.try_into().expect("20 - 8 = 12")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_order_as_their_bytes_do() {
        let place = |version, batch, ordinal| Stamp { version, batch }.at(ordinal);
        let ascending = [
            Position::START,
            place(0, 0, 1),
            place(0, 1, 0),
            place(1, 0, 0),
            place(256, 0, 0),
            Position::end_of(256),
            place(257, 0, 0),
        ];
        for pair in ascending.windows(2) {
            assert!(pair[0] < pair[1], "{} {}", pair[0], pair[1]);
            assert!(pair[0].to_bytes() < pair[1].to_bytes());
            assert_eq!(Position::from_bytes(pair[1].to_bytes()), pair[1]);
        }
    }

    #[test]
    fn a_cursor_survives_its_text_and_nothing_else_is_one() {
        let cursor = Cursor { generation: 7, position: Stamp { version: 1 << 40, batch: 3 }.at(9) };
        let text = cursor.to_string();
        assert!(text.len() <= crate::limits::CURSOR_CHARS_MAX as usize, "{text}");
        assert_eq!(text.parse(), Ok(cursor));
        for bad in ["", "AAAA", "!", &text[1..], &format!("{text}A")] {
            assert_eq!(bad.parse::<Cursor>(), Err(ParseCursorError), "{bad:?}");
        }
    }
}
