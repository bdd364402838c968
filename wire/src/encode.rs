//! Frames to send: a server's are encoded once and shared by reference count, what goes to one socket is appended.
//!
//! A shared payload is written behind headroom that its header goes into afterwards, so that header and payload are
//! one contiguous slice without a copy, and a message to a thousand sockets exists once.

use std::fmt;
use std::io::{self, Write};

use bytes::Bytes;
use tungstenite::protocol::frame::FrameHeader;

use crate::code::{CloseCode, Opcode};
use crate::header::HEADER_BYTES_MAX;
use crate::mask::Mask;

/// Room before the payload: the longest header is 14 bytes, and 16 keep an aligned payload aligned.
pub const HEADROOM_BYTES: usize = 16;

/// The longest payload of a close, ping or pong.
pub const CONTROL_PAYLOAD_BYTES_MAX: usize = 125;

/// A payload being written, with headroom for its header. Takes bytes by [`Write`], which never fails.
#[derive(Clone, PartialEq, Eq)]
pub struct FrameBuf {
    bytes: Vec<u8>,
}

impl FrameBuf {
    /// An empty payload.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty payload with room for `payload_bytes`.
    pub fn with_capacity(payload_bytes: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADROOM_BYTES + payload_bytes);
        bytes.resize(HEADROOM_BYTES, 0);
        FrameBuf { bytes }
    }

    /// A payload whose encoder left `HEADROOM_BYTES` of anything in front of it, taken without a copy.
    ///
    /// # Panics
    /// If there are fewer bytes than that.
    pub fn from_headroom(bytes: Vec<u8>) -> Self {
        assert!(bytes.len() >= HEADROOM_BYTES, "{} bytes have no headroom", bytes.len());
        FrameBuf { bytes }
    }

    /// Appends to the payload.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The bytes written so far.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[HEADROOM_BYTES..]
    }

    /// The frame as a server sends it.
    ///
    /// # Panics
    /// If a control frame's payload is longer than [`CONTROL_PAYLOAD_BYTES_MAX`].
    pub fn finish(mut self, opcode: Opcode) -> SharedFrame {
        let (header, header_bytes) = header(opcode, self.payload().len(), None);
        let start = HEADROOM_BYTES - header_bytes;
        self.bytes[start..HEADROOM_BYTES].copy_from_slice(&header[..header_bytes]);
        SharedFrame { bytes: Bytes::from(self.bytes).slice(start..) }
    }
}

impl Default for FrameBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for FrameBuf {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for FrameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameBuf({} bytes of payload)", self.payload().len())
    }
}

/// A whole frame, header and payload in one slice. A clone shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedFrame {
    bytes: Bytes,
}

impl SharedFrame {
    /// A frame of a payload that exists already; copies it once.
    ///
    /// # Panics
    /// As [`FrameBuf::finish`].
    pub fn copied(opcode: Opcode, payload: &[u8]) -> Self {
        let mut buf = FrameBuf::with_capacity(payload.len());
        buf.extend_from_slice(payload);
        buf.finish(opcode)
    }

    /// Header and payload, to be shared further.
    pub fn as_shared(&self) -> &Bytes {
        &self.bytes
    }

    /// Header and payload, as they go out.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The payload, for who translates it.
    pub fn payload(&self) -> &[u8] {
        let header_bytes = match self.bytes[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        &self.bytes[header_bytes..]
    }

    /// Length of header and payload in bytes; never 0.
    #[expect(clippy::len_without_is_empty, reason = "a frame has a header")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl fmt::Debug for SharedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedFrame({} bytes)", self.bytes.len())
    }
}

/// Appends one whole frame to `out`: for what goes to one socket only.
///
/// # Panics
/// As [`FrameBuf::finish`].
#[inline]
pub fn encode_into(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) {
    let (header, header_bytes) = header(opcode, payload.len(), mask);
    out.reserve(header_bytes + payload.len());
    out.extend_from_slice(&header[..header_bytes]);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        Mask::new(key).apply(&mut out[start..]);
    }
}

/// Appends a close frame. Without a code it is empty, as the answer to an empty one is.
///
/// A reason that does not fit is cut before the character that would not: a close frame has room for 123 bytes.
pub fn encode_close_into(out: &mut Vec<u8>, code: Option<CloseCode>, reason: &str, mask: Option<[u8; 4]>) {
    let mut payload = [0; CONTROL_PAYLOAD_BYTES_MAX];
    let payload_bytes = match code {
        None => 0,
        Some(code) => {
            let reason = &reason[..reason.floor_char_boundary(CONTROL_PAYLOAD_BYTES_MAX - 2)];
            payload[..2].copy_from_slice(&code.get().to_be_bytes());
            payload[2..2 + reason.len()].copy_from_slice(reason.as_bytes());
            2 + reason.len()
        }
    };
    encode_into(out, Opcode::Close, &payload[..payload_bytes], mask);
}

#[inline]
fn header(opcode: Opcode, payload_bytes: usize, mask: Option<[u8; 4]>) -> ([u8; HEADER_BYTES_MAX], usize) {
    assert!(
        !opcode.is_control() || payload_bytes <= CONTROL_PAYLOAD_BYTES_MAX,
        "a {opcode:?} frame of {payload_bytes} bytes, the limit is {CONTROL_PAYLOAD_BYTES_MAX}"
    );
    let raw = FrameHeader { opcode: opcode.to_tungstenite(), mask, ..FrameHeader::default() };
    let mut bytes = [0; HEADER_BYTES_MAX];
    let mut rest = &mut bytes[..];
    raw.format(payload_bytes as u64, &mut rest).expect("the longest header fits");
    let header_bytes = HEADER_BYTES_MAX - rest.len();
    (bytes, header_bytes)
}
