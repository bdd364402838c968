//! WebSocket (RFC 6455) over byte slices, for both ends of a connection.
//!
//! Owns the handshake, requests that ask for no upgrade and answers to them, the frames in both directions, fragments, UTF-8 across them and the codes of the close
//! handshake. Knows nothing of sockets, clocks, randomness or what a message means: bytes come in, events and
//! bytes come out. Extensions are not negotiated, so reserved bits are always an error.
//!
//! A connection that waits costs one word here: a [`Decoder`] is a null pointer unless part of a frame or of a
//! fragmented message is outstanding.

mod code;
mod decode;
mod encode;
mod fault;
mod handshake;
mod header;
mod mask;
mod partial;

pub use code::{CloseCode, Opcode};
pub use decode::{Decoder, Event, Role, Rules};
pub use encode::{CONTROL_PAYLOAD_BYTES_MAX, FrameBuf, HEADROOM_BYTES, SharedFrame, encode_close_into, encode_into};
pub use fault::Fault;
pub use handshake::client::{Agreed, ClientHandshake, HandshakeError};
pub use handshake::plain::{Answer, PlainRequest};
pub use handshake::server::{HandshakeProgress, Refusal, Request, ServerHandshake};
pub use tungstenite::http::HeaderMap;
