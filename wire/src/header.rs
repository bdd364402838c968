//! Frame headers, parsed by tungstenite and then held to what this end may receive.

use std::io::Cursor;

use tungstenite::error::ProtocolError;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::decode::Role;
use crate::encode::CONTROL_PAYLOAD_BYTES_MAX;
use crate::fault::Fault;
use crate::mask::Mask;

/// The longest header: two bytes, eight of length, four of mask.
pub(crate) const HEADER_BYTES_MAX: usize = 14;

/// A header that is legal by itself; whether it fits the message so far is the decoder's to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) is_final: bool,
    pub(crate) mask: Option<Mask>,
    pub(crate) payload_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Header {
    /// The header at the start of `bytes` and its length, or `None` if more bytes are needed.
    pub(crate) fn parse(role: Role, bytes: &[u8]) -> Result<Option<(Header, usize)>, Fault> {
        let mut cursor = Cursor::new(bytes);
        let parsed = match FrameHeader::parse(&mut cursor) {
            Ok(parsed) => parsed,
            Err(tungstenite::Error::Protocol(ProtocolError::InvalidOpcode(code))) => {
                return Err(Fault::UnknownOpcode(code));
            }
            Err(error) => unreachable!("reading a header from memory fails only for its opcode: {error}"),
        };
        let Some((raw, payload_bytes)) = parsed else { return Ok(None) };
        let header_bytes = usize::try_from(cursor.position()).expect("a header is at most 14 bytes");
        check(role, &raw, payload_bytes, header_bytes)?;
        let kind = match raw.opcode {
            OpCode::Data(Data::Continue) => Kind::Continuation,
            OpCode::Data(Data::Text) => Kind::Text,
            OpCode::Data(Data::Binary) => Kind::Binary,
            OpCode::Control(Control::Close) => Kind::Close,
            OpCode::Control(Control::Ping) => Kind::Ping,
            OpCode::Control(Control::Pong) => Kind::Pong,
            OpCode::Data(Data::Reserved(code)) | OpCode::Control(Control::Reserved(code)) => {
                return Err(Fault::UnknownOpcode(code));
            }
        };
        let header = Header { kind, is_final: raw.is_final, mask: raw.mask.map(Mask::new), payload_bytes };
        Ok(Some((header, header_bytes)))
    }
}

fn check(role: Role, raw: &FrameHeader, payload_bytes: u64, header_bytes: usize) -> Result<(), Fault> {
    if raw.rsv1 || raw.rsv2 || raw.rsv3 {
        return Err(Fault::ReservedBit);
    }
    match (role, raw.mask) {
        (Role::Server, None) => return Err(Fault::Unmasked),
        (Role::Client, Some(_)) => return Err(Fault::Masked),
        (Role::Server, Some(_)) | (Role::Client, None) => {}
    }
    if header_bytes != raw.len(payload_bytes) || payload_bytes > i64::MAX.unsigned_abs() {
        return Err(Fault::LengthEncoding { len_bytes: payload_bytes });
    }
    if let OpCode::Control(_) = raw.opcode {
        if !raw.is_final {
            return Err(Fault::ControlFragmented);
        }
        if payload_bytes > CONTROL_PAYLOAD_BYTES_MAX as u64 {
            return Err(Fault::ControlTooLong { len_bytes: payload_bytes });
        }
    }
    Ok(())
}
