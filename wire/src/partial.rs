//! Buffers for a frame or a fragmented message whose rest has not arrived.
//!
//! Owns the bytes held between two calls of the decoder; grows with what arrived, never with what a header
//! announced, so that announcing a large message costs its sender as much as it costs us.

use crate::encode::CONTROL_PAYLOAD_BYTES_MAX;
use crate::fault::Fault;
use crate::header::{HEADER_BYTES_MAX, Header};

/// One allocation, made when input ends inside a frame or between two fragments.
#[derive(Debug, Default)]
pub(crate) struct Partial {
    /// Of a header that is not whole yet.
    pub(crate) header: Stash<HEADER_BYTES_MAX>,
    /// The frame whose payload is outstanding, with what remains of it in `payload_bytes`.
    pub(crate) frame: Option<Header>,
    /// Payload of a control frame that is not whole yet.
    pub(crate) control: Stash<CONTROL_PAYLOAD_BYTES_MAX>,
    /// The data message under way.
    pub(crate) message: Option<Message>,
}

impl Partial {
    /// Whether nothing is outstanding, so that this allocation can go.
    pub(crate) fn is_spent(&self) -> bool {
        self.header.is_empty() && self.frame.is_none() && self.message.is_none()
    }

    /// Bytes of memory held, itself included.
    pub(crate) fn held_bytes(&self) -> usize {
        let message_bytes = match &self.message {
            Some(Message { body: Body::Text(text), .. }) => text.whole.capacity(),
            Some(Message { body: Body::Binary(bytes), .. }) => bytes.capacity(),
            None => 0,
        };
        size_of::<Partial>() + message_bytes
    }
}

/// Up to `N` bytes, in place.
#[derive(Debug)]
pub(crate) struct Stash<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Default for Stash<N> {
    fn default() -> Self {
        const { assert!(N <= u8::MAX as usize, "the length is one byte") };
        Stash { bytes: [0; N], len: 0 }
    }
}

impl<const N: usize> Stash<N> {
    /// # Panics
    /// If the bytes do not fit: callers have checked the frame's length.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += u8::try_from(bytes.len()).expect("fits, as it fitted the array");
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }
}

/// A data message under way.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) body: Body,
    /// Payload bytes that the headers so far announced.
    pub(crate) announced_bytes: u64,
}

#[derive(Debug)]
pub(crate) enum Body {
    Text(Text),
    Binary(Vec<u8>),
}

impl Body {
    /// Takes in unmasked payload. Text fails at the first byte that cannot be UTF-8.
    pub(crate) fn extend(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match self {
            Body::Text(text) => text.extend(bytes),
            Body::Binary(whole) => {
                whole.extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}

/// UTF-8 that arrives cut anywhere: whole characters, and at most three bytes of the one that is not whole.
#[derive(Debug, Default)]
pub(crate) struct Text {
    whole: String,
    cut: Stash<4>,
}

impl Text {
    fn extend(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !self.cut.is_empty() {
            let Some((first, rest)) = bytes.split_first() else { return Ok(()) };
            self.cut.extend(&[*first]);
            bytes = rest;
            match str::from_utf8(self.cut.as_slice()) {
                Ok(character) => {
                    self.whole.push_str(character);
                    self.cut.clear();
                }
                Err(error) if error.error_len().is_some() => return Err(Fault::NotUtf8),
                Err(_) => {}
            }
        }
        match str::from_utf8(bytes) {
            Ok(text) => self.whole.push_str(text),
            Err(error) => {
                if error.error_len().is_some() {
                    return Err(Fault::NotUtf8);
                }
                let (valid, cut) = bytes.split_at(error.valid_up_to());
                self.whole.push_str(str::from_utf8(valid).expect("valid up to here, as just found"));
                self.cut.extend(cut);
            }
        }
        Ok(())
    }

    /// The text, at the end of its message; a character still cut there is an error.
    pub(crate) fn finish(self) -> Result<String, Fault> {
        if self.cut.is_empty() { Ok(self.whole) } else { Err(Fault::NotUtf8) }
    }
}
