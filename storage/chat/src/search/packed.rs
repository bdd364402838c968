//! Rows of directories: numbers in as many bytes as they need, behind the format.
//!
//! Owns their bytes, and the format of all that the index stores: folding, terms, segments and directories.

use schema::record::RecordError;

/// One for everything: an index of an earlier format is made anew.
const FORMAT: u8 = 2;

/// Whether a row is of an earlier format.
pub(super) fn is_outdated(row: &[u8]) -> bool {
    row.first().is_some_and(|format| (1..FORMAT).contains(format))
}

/// Writes numbers one after the other.
#[derive(Debug)]
pub(super) struct Writer(Vec<u8>);

impl Default for Writer {
    fn default() -> Self {
        Self(vec![FORMAT])
    }
}

impl Writer {
    /// Seven bits a byte, the lowest first.
    pub(super) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Bytes behind their number.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads numbers one after the other.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    what: &'static str,
    len_bytes: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins behind the format.
    pub(super) fn new(what: &'static str, bytes: &'a [u8]) -> Result<Self, RecordError> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => Ok(Self { what, len_bytes: bytes.len(), rest }),
            Some((&found, _)) if found > FORMAT => Err(RecordError::Newer { what, found, known: FORMAT }),
            Some(_) | None => {
                Err(RecordError::Damaged { what, bytes: bytes.len(), why: "it begins with no format".into() })
            }
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, RecordError> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let Some((&byte, rest)) = self.rest.split_first() else { return Err(self.damaged("it ends in a number")) };
            self.rest = rest;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.damaged("a number is too long"))
    }

    pub(super) fn number_u32(&mut self) -> Result<u32, RecordError> {
        u32::try_from(self.number()?).map_err(|_| self.damaged("a number is too large"))
    }

    /// What lies so far above `below`.
    pub(super) fn above(&mut self, below: u64) -> Result<u64, RecordError> {
        below.checked_add(self.number()?).ok_or_else(|| self.damaged("a number is too large"))
    }

    /// A count of what takes a byte each at least, so that what it reserves is bounded by the row's size.
    pub(super) fn count(&mut self) -> Result<usize, RecordError> {
        let count = usize::try_from(self.number()?).ok().filter(|count| *count <= self.rest.len());
        count.ok_or_else(|| self.damaged("it counts more than it has"))
    }

    /// Bytes behind their number.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let count = self.count()?;
        let (bytes, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(bytes)
    }

    /// The end: nothing may be left.
    pub(super) fn finish(self) -> Result<(), RecordError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged("bytes are left over")) }
    }

    pub(super) fn damaged(&self, why: &str) -> RecordError {
        RecordError::Damaged { what: self.what, bytes: self.len_bytes, why: why.into() }
    }
}
