//! Hellos: the first bytes of either end.
//!
//! Owns their form, which is the same in all versions but for what is appended to it. Numbers are little-endian.
//!
//! ```text
//! magic [8] | length u16 | from u64, to u64, link u16, oldest u16, newest u16, shards u16, nonce [32], later fields
//! ```

use schema::Incarnation;

use super::{HandshakeError, NONCE_BYTES, Versions};

/// The first bytes of a link. The first of them begins no text.
const MAGIC: [u8; 8] = *b"\x89Rookery";
const HEAD_BYTES: usize = MAGIC.len() + 2;
/// Bytes of the fields of this version.
const FIELDS_BYTES: usize = 8 + 8 + 4 * 2 + NONCE_BYTES;
/// Bytes of a hello's fields in any version.
pub const HELLO_BYTES_MAX: u16 = 512;

/// What one end says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) from: Incarnation,
    pub(super) to: Incarnation,
    pub(super) link: u16,
    pub(super) versions: Versions,
    pub(super) shards: u16,
    pub(super) nonce: [u8; NONCE_BYTES],
}

impl Hello {
    /// All bytes of it, magic and length included.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + FIELDS_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&(FIELDS_BYTES as u16).to_le_bytes());
        bytes.extend_from_slice(&self.from.0.to_le_bytes());
        bytes.extend_from_slice(&self.to.0.to_le_bytes());
        for number in [self.link, self.versions.oldest, self.versions.newest, self.shards] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.nonce);
        bytes
    }

    fn decode(fields: &[u8]) -> Result<Self, HandshakeError> {
        let malformed = |what| HandshakeError::Malformed { what };
        let hello = Self::fields(fields).ok_or_else(|| malformed("it is shorter than its fields"))?;
        if hello.versions.oldest > hello.versions.newest {
            return Err(malformed("its oldest version is newer than its newest"));
        }
        if hello.shards == 0 {
            return Err(malformed("its node has no shards"));
        }
        Ok(hello)
    }

    fn fields(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let [from, to] = [take(bytes)?, take(bytes)?].map(u64::from_le_bytes).map(Incarnation);
        let [link, oldest, newest, shards] =
            [take(bytes)?, take(bytes)?, take(bytes)?, take(bytes)?].map(u16::from_le_bytes);
        Some(Self { from, to, link, versions: Versions { oldest, newest }, shards, nonce: take(bytes)? })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// What has arrived of a message that is not whole.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// The other end's hello with its bytes, once it is whole. Takes no byte behind it.
    pub(super) fn hello(&mut self, input: &mut &[u8]) -> Result<Option<(Hello, Vec<u8>)>, HandshakeError> {
        let is_whole = self.fill(HEAD_BYTES, input);
        let wrong = MAGIC.iter().zip(&self.bytes).position(|(due, byte)| due != byte);
        if let Some(at) = wrong {
            return Err(HandshakeError::Garbage { at, byte: self.bytes[at] });
        }
        if !is_whole {
            return Ok(None);
        }
        let length = u16::from_le_bytes([self.bytes[MAGIC.len()], self.bytes[MAGIC.len() + 1]]);
        if length > HELLO_BYTES_MAX {
            return Err(HandshakeError::TooLong { bytes: length, bytes_max: HELLO_BYTES_MAX });
        }
        if !self.fill(HEAD_BYTES + usize::from(length), input) {
            return Ok(None);
        }
        let bytes = std::mem::take(&mut self.bytes);
        Ok(Some((Hello::decode(&bytes[HEAD_BYTES..])?, bytes)))
    }

    /// So many bytes, once they are there. Takes none behind them.
    pub(super) fn exactly(&mut self, bytes: usize, input: &mut &[u8]) -> Option<Vec<u8>> {
        self.fill(bytes, input).then(|| std::mem::take(&mut self.bytes))
    }

    fn fill(&mut self, bytes: usize, input: &mut &[u8]) -> bool {
        let missing = bytes.saturating_sub(self.bytes.len()).min(input.len());
        let (taken, rest) = input.split_at(missing);
        self.bytes.extend_from_slice(taken);
        *input = rest;
        self.bytes.len() >= bytes
    }
}
