//! JSON and FlatBuffers encodings of the client protocol, with the same names in both.
//!
//! Owns the choice between them and the split of a frame into requests. A frame holds one or more envelopes: lines in
//! JSON, size-prefixed buffers in FlatBuffers.

pub mod fb;
pub mod json;

use crate::code::ErrorCode;
use crate::command::{Request, ServerFrame};
use crate::op::Refusal;

/// The encoding of a session's frames, chosen by `Sec-WebSocket-Protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// `rookery.json.v1`, in text frames.
    Json,
    /// `rookery.fb.v1`, in binary frames.
    Fb,
}

impl Encoding {
    /// Both, in the order in which a server prefers them when a client offers both.
    pub const ALL: [Encoding; 2] = [Encoding::Fb, Encoding::Json];

    /// Its name in `Sec-WebSocket-Protocol`.
    #[must_use]
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "rookery.json.v1",
            Self::Fb => "rookery.fb.v1",
        }
    }

    /// Whether its frames are text rather than binary.
    #[must_use]
    pub fn is_text(self) -> bool {
        match self {
            Self::Json => true,
            Self::Fb => false,
        }
    }

    /// Takes a client's frame apart. Each envelope gives a request or why it is none, in order.
    #[must_use]
    pub fn requests<'a>(self, frame: &'a [u8]) -> Box<dyn Iterator<Item = Result<Request, Unparsed>> + 'a> {
        match self {
            Self::Json => Box::new(json::requests(frame)),
            Self::Fb => Box::new(fb::requests(frame)),
        }
    }

    /// Appends a client's request, in the envelope of its encoding.
    pub fn put_request(self, request: &Request, out: &mut Vec<u8>) {
        match self {
            Self::Json => json::put_request(request, out),
            Self::Fb => fb::put_request(request, out),
        }
    }

    /// Appends what a server says, in the envelope of its encoding.
    pub fn put_server_frame(self, frame: &ServerFrame, out: &mut Vec<u8>) {
        match self {
            Self::Json => json::put_server_frame(frame, out),
            Self::Fb => fb::put_server_frame(frame, out),
        }
    }

    /// Takes a server's frame apart, for clients.
    ///
    /// # Errors
    /// At the first envelope that is not one of this protocol.
    pub fn server_frames(self, frame: &[u8]) -> Result<Vec<ServerFrame>, Unparsed> {
        match self {
            Self::Json => json::server_frames(frame),
            Self::Fb => fb::server_frames(frame),
        }
    }
}

/// An envelope that is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", refusal.message)]
pub struct Unparsed {
    /// The envelope's id, or 0 if not even that could be read.
    pub id: u32,
    /// What the client is told: 107, or 104 for a command that this version does not know.
    pub refusal: Refusal,
}

impl Unparsed {
    pub(crate) fn new(id: u32, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { id, refusal: Refusal::new(code, message) }
    }
}
