//! UUIDs whose leading 48 bits are a time: versions 7 and 8 of RFC 9562.
//!
//! Owns their bytes and their text. Which types are such ids, and which versions they take, is theirs to say.

use std::fmt;

use crate::time::UnixMs;

/// One of a version, from a wall time and 74 further bits.
pub(crate) fn of(version: u8, wall: UnixMs, entropy: u128) -> [u8; 16] {
    let low = entropy & ((1 << 62) - 1);
    let middle = (entropy >> 62) & 0xfff;
    // Of a time beyond 48 bits, the year 10889, the rest would be the caller's fault, and is cut.
    let time = u128::from(wall.0) & ((1 << 48) - 1);
    ((time << 80) | (u128::from(version) << 76) | (middle << 64) | (0b10 << 62) | low).to_be_bytes()
}

/// The time in one.
pub(crate) fn made_at(id: [u8; 16]) -> UnixMs {
    UnixMs(u64::try_from(u128::from_be_bytes(id) >> 80).expect("128 - 80 = 48 bits fit in 64"))
}

/// Writes the hyphenated form of 36 characters, in small letters.
pub(crate) fn write(id: [u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, byte) in id.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

/// The bytes of a UUID in its hyphenated form of 36 characters, in either case.
pub(crate) fn parse(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    let mut id = [0; 16];
    let mut digits = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = char::from(byte).to_digit(16)?;
        id[digits / 2] = (id[digits / 2] << 4) | u8::try_from(digit).expect("a hexadecimal digit is below 16");
        digits += 1;
    }
    Some(id)
}
