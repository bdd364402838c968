//! The small fixed records' bytes: little-endian fields without padding, behind the format version.
//!
//! Owns reading and writing them. A record ends where its last field does: bytes beyond are damage, as are bytes missing.

use super::RecordError;

/// Writes fields one after the other.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Begins with the format version. `capacity` counts it.
    pub(crate) fn new(format: u8, capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.push(format);
        Self(bytes)
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A text of at most 255 bytes, behind its length.
    ///
    /// # Panics
    /// If it is longer.
    pub(crate) fn short_text(&mut self, text: &str) -> &mut Self {
        self.u8(u8::try_from(text.len()).expect("a short text has at most 255 bytes"));
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub(crate) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// Reads fields one after the other.
pub(crate) struct Reader<'a> {
    what: &'static str,
    all: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins behind the format version, which must not be newer than `known`.
    pub(crate) fn new(what: &'static str, known: u8, bytes: &'a [u8]) -> Result<Self, RecordError> {
        let rest = super::behind_format(what, known, bytes)?;
        Ok(Self { what, all: bytes, rest })
    }

    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let Some((field, rest)) = self.rest.split_first_chunk() else {
            return Err(self.damaged("it ends within a field"));
        };
        self.rest = rest;
        Ok(*field)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, RecordError> {
        self.take().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, RecordError> {
        self.take().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, RecordError> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, RecordError> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn short_text(&mut self) -> Result<&'a str, RecordError> {
        let bytes = usize::from(self.u8()?);
        let Some((text, rest)) = self.rest.split_at_checked(bytes) else {
            return Err(self.damaged("it ends within a text"));
        };
        self.rest = rest;
        std::str::from_utf8(text).map_err(|error| self.damaged(error.to_string()))
    }

    /// A count of items of `item_bytes` at least, none of which may lie beyond the end: so what a count reserves is bounded
    /// by the record's own size.
    pub(crate) fn count(&mut self, item_bytes: usize) -> Result<usize, RecordError> {
        let count = usize::from(self.u16()?);
        if count * item_bytes > self.rest.len() {
            return Err(self.damaged(format!("it counts {count} items where {} bytes are left", self.rest.len())));
        }
        Ok(count)
    }

    /// The end: nothing may be left.
    pub(crate) fn finish(self) -> Result<(), RecordError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.damaged(format!("{} bytes are left over", self.rest.len())))
        }
    }

    pub(crate) fn damaged(&self, why: impl Into<String>) -> RecordError {
        RecordError::Damaged { what: self.what, bytes: self.all.len(), why: why.into() }
    }
}
