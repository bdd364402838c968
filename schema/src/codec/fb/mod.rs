//! FlatBuffers envelopes: buffers with a 4-byte little-endian size prefix, one or more in a binary frame.
//!
//! Owns the split of a frame into buffers, and the mapping between the generated tables and the values of `command`.
//! Every inbound buffer is verified before a field of it is read. Text is copied once, to where it stays.

mod request;
mod server;

use flatbuffers::{Follow, Verifiable, WIPOffset};

use super::Unparsed;
use crate::code::ErrorCode;
use crate::command::{Request, ServerFrame};
use crate::flat::{self, Builder, VERIFIER};
use crate::limits::{HISTORY_ROWS_MAX, SNAPSHOT_CHANNELS_MAX};

/// Tables around the rows of a page: the envelope, the push or reply, and a few to grow.
const AROUND_TABLES: u32 = 8;
const _: () = assert!((HISTORY_ROWS_MAX + AROUND_TABLES) as usize <= VERIFIER.max_tables, "a page of history verifies");
const _: () = assert!((SNAPSHOT_CHANNELS_MAX + AROUND_TABLES) as usize <= VERIFIER.max_tables, "a snapshot verifies");

/// The requests of a binary frame, in order.
///
/// Lazy: a frame of many tiny buffers costs what is taken of it. A buffer that goes beyond the end of the frame is the
/// last, since what follows it cannot be told.
pub fn requests(frame: &[u8]) -> impl Iterator<Item = Result<Request, Unparsed>> + '_ {
    Buffers { rest: frame }.map(|buffer| request::read(buffer?))
}

/// Appends a request as one buffer.
pub fn put_request(request: &Request, out: &mut Vec<u8>) {
    put(out, |builder| request::build(builder, request));
}

/// Appends what a server says as one buffer.
pub fn put_server_frame(frame: &ServerFrame, out: &mut Vec<u8>) {
    put(out, |builder| server::build(builder, frame));
}

/// What a server said in one frame, in order.
///
/// # Errors
/// At the first buffer that is not of this protocol.
pub fn server_frames(frame: &[u8]) -> Result<Vec<ServerFrame>, Unparsed> {
    Buffers { rest: frame }.map(|buffer| server::read(buffer?)).collect()
}

fn put<T>(out: &mut Vec<u8>, build: impl FnOnce(&mut Builder) -> WIPOffset<T>) {
    flat::with_builder(|builder| {
        let root = build(builder);
        builder.finish_size_prefixed(root, None);
        out.extend_from_slice(builder.finished_data());
    });
}

/// The buffers of a frame, each with its prefix.
struct Buffers<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Buffers<'a> {
    type Item = Result<&'a [u8], Unparsed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        let Some((prefix, content)) = rest.split_first_chunk() else {
            return Some(Err(bad(0, format!("a buffer's size takes 4 bytes, {} are left", rest.len()))));
        };
        let size = usize::try_from(u32::from_le_bytes(*prefix)).expect("at least 32 bits to a pointer");
        if size > content.len() {
            return Some(Err(bad(0, format!("a buffer of {size} bytes where {} are left", content.len()))));
        }
        let (buffer, after) = rest.split_at(prefix.len() + size);
        self.rest = after;
        Some(Ok(buffer))
    }
}

/// Verifies one buffer, prefix and all, as a table.
fn verified<'a, T: Follow<'a> + Verifiable + 'a>(buffer: &'a [u8]) -> Result<T::Inner, String> {
    flatbuffers::size_prefixed_root_with_opts::<T>(&VERIFIER, buffer).map_err(|error| flat::one_line(&error))
}

fn bad(id: u32, message: impl Into<String>) -> Unparsed {
    Unparsed::new(id, ErrorCode::BadRequest, message)
}
