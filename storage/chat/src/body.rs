//! Long texts in the store: compressed as a whole, then cut into parts.
//!
//! Owns the form of a body beside its message and apart from it. Texts up to 8 KB lie in the message's own row.

use std::sync::Arc;

use bytes::Bytes;
use schema::limits::{BODY_BYTES_MAX, BODY_INLINE_BYTES_MAX, BODY_PART_BYTES};
use schema::record::{BodyRecord, RecordError};

/// Parts of the longest body, were it random: LZ4 adds a byte in 255 and some more to what it cannot compress.
pub(super) const PARTS_MAX: u32 = (BODY_BYTES_MAX + BODY_BYTES_MAX / 255 + 16).div_ceil(BODY_PART_BYTES);

/// What a message's row says of its text, and the parts that lie elsewhere.
pub(super) fn cut(text: &Arc<str>) -> (BodyRecord, Vec<Bytes>) {
    if text.len() <= BODY_INLINE_BYTES_MAX as usize {
        return (BodyRecord::Inline(Arc::clone(text)), Vec::new());
    }
    let whole = Bytes::from(lz4_flex::block::compress(text.as_bytes()));
    let part = BODY_PART_BYTES as usize;
    let parts: Vec<Bytes> =
        (0..whole.len()).step_by(part).map(|at| whole.slice(at..whole.len().min(at + part))).collect();
    let record = BodyRecord::Parts {
        parts: u32::try_from(parts.len()).expect("some seven parts"),
        bytes: u32::try_from(text.len()).expect("a text is at most 400 KB"),
    };
    (record, parts)
}

/// How many parts [`cut`] makes of a text at most.
pub(super) fn parts_at_most(text: &str) -> usize {
    if text.len() <= BODY_INLINE_BYTES_MAX as usize {
        return 0;
    }
    (text.len() + text.len() / 255 + 16).div_ceil(BODY_PART_BYTES as usize)
}

/// The text of `bytes` bytes from its parts.
pub(super) fn join(parts: &[Bytes], bytes: u32) -> Result<Arc<str>, RecordError> {
    let length = parts.iter().map(Bytes::len).sum();
    let damaged = |why: String| RecordError::Damaged { what: "body", bytes: length, why };
    if bytes > BODY_BYTES_MAX {
        return Err(damaged(format!("it says that it has {bytes} bytes, the limit is {BODY_BYTES_MAX}")));
    }
    let whole = parts.concat();
    let text = lz4_flex::block::decompress(&whole, bytes as usize).map_err(|error| damaged(error.to_string()))?;
    if text.len() != bytes as usize {
        return Err(damaged(format!("{} bytes came out where {bytes} went in", text.len())));
    }
    String::from_utf8(text).map(Arc::from).map_err(|error| damaged(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, parts_expected: std::ops::RangeInclusive<usize>) {
        let text: Arc<str> = text.into();
        let (record, parts) = cut(&text);
        assert!(parts_expected.contains(&parts.len()), "{} bytes in {} parts", text.len(), parts.len());
        assert!(parts.len() <= parts_at_most(&text), "{} parts, not {}", parts.len(), parts_at_most(&text));
        assert!(parts.iter().all(|part| part.len() <= BODY_PART_BYTES as usize));
        match record {
            BodyRecord::Inline(inline) => assert_eq!(inline, text),
            BodyRecord::Parts { bytes, .. } => assert_eq!(join(&parts, bytes).expect("its own parts"), text),
        }
    }

    /// Text that LZ4 finds nothing in: four bytes of UTF-8 a character, drawn by a multiplicative hash.
    fn noise(chars: u32) -> String {
        (0..chars)
            .map(|at| char::from_u32(0x1_0000 + at.wrapping_mul(2_654_435_761) % 0xF_0000).expect("a plane"))
            .collect()
    }

    #[test]
    fn a_body_comes_back_whatever_its_length() {
        let inline = BODY_INLINE_BYTES_MAX as usize;
        check("", 0..=0);
        check(&"a".repeat(inline), 0..=0);
        check(&"a".repeat(inline + 1), 1..=1);
        check(&"가".repeat(100_000), 1..=1);
        check(&noise(20_000), 1..=2);
        check(&noise(100_000), 5..=PARTS_MAX as usize);
    }

    #[test]
    fn a_body_that_is_not_what_it_says_is_damage() {
        let (_, parts) = cut(&noise(50_000).into());
        for (parts, bytes) in [(&parts[1..], 200_000), (&parts[..], 199_999), (&parts[..], u32::MAX), (&[], 1)] {
            assert!(matches!(join(parts, bytes), Err(RecordError::Damaged { .. })), "{} parts, {bytes}", parts.len());
        }
    }
}
