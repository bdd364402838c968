//! Records: what a connection of a link consists of after its handshake.
//!
//! Owns their bytes. A record is its length, its kind and its content; numbers are little-endian.
//!
//! ```text
//! length u32 | kind u8 | content             the length counts kind and content
//! 1 resume   birth u64, generation u64, received_through u64
//! 2 frame    seq u64, version u64, the frame as `schema::mesh` has it
//! 3 beat     sent_through u64, received_through u64, skipped u64
//! ```

use schema::limits::MESH_FRAME_BYTES_MAX;
use schema::mesh::MeshFrame;

use crate::error::LinkError;

const LENGTH_BYTES: usize = 4;
const RESUME: u8 = 1;
const FRAME: u8 = 2;
const BEAT: u8 = 3;

/// Bytes of the largest record behind its length: a kind, two numbers and a frame of the largest size.
const CONTENT_BYTES_MAX: u32 = 1 + 2 * 8 + MESH_FRAME_BYTES_MAX;
/// Bytes of the largest record.
pub const RECORD_BYTES_MAX: usize = LENGTH_BYTES + CONTENT_BYTES_MAX as usize;
/// Bytes of every record but a frame's.
pub const CONTROL_BYTES: usize = LENGTH_BYTES + 1 + 3 * 8;

/// Capacity of a buffer that is kept while a connection is busy.
pub(crate) const KEPT_BYTES_MAX: usize = 64 * 1024;

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<'a> {
    /// Where the peer is to go on. The first record of a connection, and the first of each new beginning.
    Resume {
        /// When the sender's end was made: another one knows nothing of what this one has received.
        birth: u64,
        /// The number of the sender's last new beginning.
        generation: u64,
        /// The last number that it has received in this generation.
        received_through: u64,
    },
    /// One frame.
    Frame {
        /// Its number in this direction and generation, from 1.
        seq: u64,
        /// The version of the store below which nothing may be read for it.
        version: u64,
        /// Its bytes.
        frame: &'a [u8],
    },
    /// Word of life.
    Beat {
        /// Each number up to here was sent on this connection or will not be.
        sent_through: u64,
        /// The last number that the sender has received.
        received_through: u64,
        /// Frames that it could not understand in this generation.
        skipped: u64,
    },
}

impl<'a> Record<'a> {
    /// Appends the record.
    ///
    /// # Panics
    /// If a frame has 4 GiB or more.
    pub fn put(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Resume { birth, generation, received_through } => {
                put(RESUME, &[birth, generation, received_through], out, |_| {});
            }
            Self::Frame { seq, version, frame } => put(FRAME, &[seq, version], out, |out| out.extend_from_slice(frame)),
            Self::Beat { sent_through, received_through, skipped } => {
                put(BEAT, &[sent_through, received_through, skipped], out, |_| {});
            }
        }
    }

    /// Reads a record from exactly its bytes behind the length.
    ///
    /// # Errors
    /// If it is of no known kind, or not as long as its kind is.
    pub fn take(content: &'a [u8]) -> Result<Self, LinkError> {
        let Some((&kind, content)) = content.split_first() else {
            return Err(LinkError::Length { bytes: 0, bytes_max: CONTENT_BYTES_MAX });
        };
        let malformed = || LinkError::Malformed { kind, bytes: content.len() };
        match kind {
            RESUME => {
                let [birth, generation, received_through] = exactly(content).ok_or_else(malformed)?;
                Ok(Self::Resume { birth, generation, received_through })
            }
            FRAME => {
                let ([seq, version], frame) = numbers(content).ok_or_else(malformed)?;
                Ok(Self::Frame { seq, version, frame })
            }
            BEAT => {
                let [sent_through, received_through, skipped] = exactly(content).ok_or_else(malformed)?;
                Ok(Self::Beat { sent_through, received_through, skipped })
            }
            kind => Err(LinkError::UnknownKind { kind }),
        }
    }
}

/// Encodes a frame in the place where it is sent from.
pub(crate) fn put_frame(seq: u64, version: u64, frame: &MeshFrame, out: &mut Vec<u8>) {
    put(FRAME, &[seq, version], out, |out| frame.encode(out));
}

fn put(kind: u8, numbers: &[u64], out: &mut Vec<u8>, rest: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    out.push(kind);
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
    rest(out);
    let bytes = u32::try_from(out.len() - start - LENGTH_BYTES).expect("a record is below 4 GiB");
    out[start..start + LENGTH_BYTES].copy_from_slice(&bytes.to_le_bytes());
}

fn numbers<const N: usize>(mut bytes: &[u8]) -> Option<([u64; N], &[u8])> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        let (first, rest) = bytes.split_first_chunk()?;
        *number = u64::from_le_bytes(*first);
        bytes = rest;
    }
    Some((numbers, bytes))
}

fn exactly<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    numbers(bytes).filter(|(_, rest)| rest.is_empty()).map(|(numbers, _)| numbers)
}

/// The records of a stream, however it is cut.
///
/// Holds what has arrived of a record that is not whole, and grows with what arrived, never with what was announced.
#[derive(Debug, Default)]
pub struct Reader {
    partial: Vec<u8>,
    /// The record in `partial` has been handed out.
    is_spent: bool,
}

impl Reader {
    /// The next whole record, without its length, of what was held and the front of `input`, which is taken away.
    /// Without one, all of `input` is.
    ///
    /// # Errors
    /// If a length cannot be meant. The reader is not to be used again.
    pub fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Result<Option<&'s [u8]>, LinkError> {
        if std::mem::take(&mut self.is_spent) {
            self.partial.clear();
            if self.partial.capacity() > KEPT_BYTES_MAX {
                self.partial = Vec::new();
            }
        }
        if self.partial.is_empty()
            && let Some(bytes) = record_bytes(input)?
            && let Some((record, rest)) = input.split_at_checked(bytes)
        {
            *input = rest;
            return Ok(Some(&record[LENGTH_BYTES..]));
        }
        self.fill(LENGTH_BYTES, input);
        let Some(bytes) = record_bytes(&self.partial)? else { return Ok(None) };
        self.fill(bytes, input);
        self.is_spent = self.partial.len() == bytes;
        Ok(self.is_spent.then(|| &self.partial[LENGTH_BYTES..]))
    }

    /// Bytes held of a record that is not whole.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.partial.len()
    }

    /// Holds so many bytes, or as many as there are.
    fn fill(&mut self, bytes: usize, input: &mut &[u8]) {
        let missing = bytes.saturating_sub(self.partial.len()).min(input.len());
        let (taken, rest) = input.split_at(missing);
        self.partial.extend_from_slice(taken);
        *input = rest;
    }

    /// Gives memory back that nothing needs now.
    pub(crate) fn release(&mut self) {
        if self.is_spent || self.partial.is_empty() {
            *self = Self::default();
        }
    }
}

/// Bytes of the record that begins here, once its length is there.
fn record_bytes(bytes: &[u8]) -> Result<Option<usize>, LinkError> {
    let Some(&length) = bytes.first_chunk() else { return Ok(None) };
    match u32::from_le_bytes(length) {
        bytes @ 1..=CONTENT_BYTES_MAX => Ok(Some(LENGTH_BYTES + bytes as usize)),
        bytes => Err(LinkError::Length { bytes, bytes_max: CONTENT_BYTES_MAX }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_grows_with_what_arrived_and_gives_it_back() {
        let mut bytes = Vec::new();
        Record::Frame { seq: 1, version: 2, frame: &[7; 3 * KEPT_BYTES_MAX] }.put(&mut bytes);
        let mut reader = Reader::default();
        for (arrived, byte) in (1..bytes.len()).zip(&bytes) {
            assert_eq!(reader.next(&mut &[*byte][..]), Ok(None));
            assert_eq!(reader.held_bytes(), arrived);
            assert!(reader.partial.capacity() <= 2 * arrived + 8, "{} for {arrived}", reader.partial.capacity());
        }
        let rest = [&bytes[bytes.len() - 1..], &bytes[..9]].concat();
        let mut rest = &rest[..];
        assert_eq!(reader.next(&mut rest), Ok(Some(&bytes[LENGTH_BYTES..])));
        assert_eq!(reader.next(&mut rest), Ok(None));
        assert!(reader.partial.capacity() <= KEPT_BYTES_MAX, "{}", reader.partial.capacity());
        assert_eq!((reader.held_bytes(), rest), (9, &[][..]));
    }
}
