//! Frames between the client library and the server.
//!
//! Owns the frames of both ways. A frame is a length (4 bytes, little-endian) and so many bytes in postcard's format.
//! Knows no transaction. Decoding trusts nothing: what does not parse is `InvalidData`, and ends the connection.

use std::io;

use kv::transaction::STAMP_BYTES;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::code::Code;

/// Longest frame. A transaction's 10 MB of writes are less here, since FoundationDB counts 40 bytes for each beside its
/// key and value; a page of rows is at most [`PAGE_BYTES_MAX`] and its last row.
pub(crate) const FRAME_BYTES_MAX: usize = 16 << 20;

/// Most bytes of rows in one page, whatever was asked. Rookery asks for 1.3 MB at most.
pub(crate) const PAGE_BYTES_MAX: u32 = 2 << 20;

/// Most rows in one page, whatever was asked.
pub(crate) const PAGE_ROWS_MAX: u32 = 100_000;

const _: () = assert!(
    PAGE_BYTES_MAX as usize + 8 * PAGE_ROWS_MAX as usize + 110_000 < FRAME_BYTES_MAX,
    "a page fits with the lengths of its rows' keys and values, and with a last row of the largest size"
);

/// A client's number, which outlives its connections.
pub(crate) type Session = [u8; 16];

/// The first frame of a connection, and the server's answer to it, which names the same session.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// [`Self::PROTOCOL`], by which both sides know that they speak to the other.
    pub(crate) protocol: [u8; 8],
    pub(crate) session: Session,
}

impl Hello {
    /// The protocol and its version.
    pub(crate) const PROTOCOL: [u8; 8] = *b"standin2";

    pub(crate) fn of(session: Session) -> Self {
        Self { protocol: Self::PROTOCOL, session }
    }
}

/// Where a transaction reads, in its first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Begin {
    /// The server knows it from an earlier request.
    Continue,
    /// At the newest version.
    Fresh,
    /// At this version.
    At(u64),
}

/// One thing to do for a transaction, after the writes that came before it were made.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Unique in the session; the reply bears it.
    pub(crate) id: u64,
    /// The transaction, unique in the session.
    pub(crate) transaction: u64,
    /// Whether this is its first request.
    pub(crate) begin: Begin,
    /// In their order.
    pub(crate) writes: Vec<Write>,
    /// What to do then.
    pub(crate) operation: Operation,
}

/// A write of a transaction, or what it declares to have read.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Write {
    /// Key, value.
    Set(ByteBuf, ByteBuf),
    /// Key.
    Clear(ByteBuf),
    /// First key, first key that stays.
    ClearRange(ByteBuf, ByteBuf),
    /// Key, operand.
    Add(ByteBuf, ByteBuf),
    /// Key, operand.
    Max(ByteBuf, ByteBuf),
    /// The key's part before the stamp, its part after, value.
    StampedKey(ByteBuf, ByteBuf, ByteBuf),
    /// Key, the value's part before the stamp, its part after.
    StampedValue(ByteBuf, ByteBuf, ByteBuf),
    /// First key, end.
    Reads(ByteBuf, ByteBuf),
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Operation {
    /// [`Reply::Version`].
    ReadVersion,
    /// [`Reply::Value`].
    Get { key: ByteBuf, snapshot: bool },
    /// [`Reply::Rows`].
    Range(Range),
    /// [`Reply::Done`] once the key has changed.
    Watch { key: ByteBuf },
    /// [`Reply::Committed`]. The transaction is gone, whatever the reply.
    Commit,
    /// Forget the transaction. No reply.
    End,
    /// Forget the watch with this request's id. No reply.
    Unwatch { request: u64 },
}

/// A page to read.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Range {
    /// First key.
    pub(crate) begin: ByteBuf,
    /// First key that is not read.
    pub(crate) end: ByteBuf,
    /// At most so many rows.
    pub(crate) limit_rows: u32,
    /// Stop with the row that reaches so many bytes.
    pub(crate) limit_bytes: u32,
    /// From the end downwards.
    pub(crate) reverse: bool,
    /// Does not conflict.
    pub(crate) snapshot: bool,
}

/// What a request comes to.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// It failed.
    Failed(Code),
    /// The read version.
    Version(u64),
    /// A key's value, if it has one.
    Value(Option<ByteBuf>),
    /// Keys with their values, and whether a limit ended the page.
    Rows(Vec<(ByteBuf, ByteBuf)>, bool),
    /// A watched key has changed.
    Done,
    /// The commit's versionstamp.
    Committed([u8; STAMP_BYTES]),
}

/// The frame that holds `content`, with its length.
pub(crate) fn encode(content: &impl Serialize) -> Vec<u8> {
    let content = postcard::to_extend(content, Vec::new()).expect("memory takes it");
    let len_bytes = u32::try_from(content.len()).expect("frames are shorter than 4 GiB");
    [len_bytes.to_le_bytes().as_slice(), &content].concat()
}

/// Reads the next frame's content.
///
/// # Errors
/// The system's; `InvalidData` if the frame is too long, or its content is anything else than a `T`.
pub(crate) async fn read<T: DeserializeOwned>(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let malformed = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("a frame is malformed: {what}"));
    let len_bytes = socket.read_u32_le().await? as usize;
    if len_bytes > FRAME_BYTES_MAX {
        return Err(malformed(format!("it is {len_bytes} bytes long, the limit is {FRAME_BYTES_MAX}")));
    }
    let mut content = vec![0; len_bytes];
    socket.read_exact(&mut content).await?;
    match postcard::take_from_bytes(&content) {
        Ok((content, [])) => Ok(content),
        Ok(_) => Err(malformed("it goes on after its end".to_owned())),
        Err(error) => Err(malformed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::*;

    #[test]
    fn a_frame_is_read_whole_or_not_at_all() {
        let request = Request {
            id: 1,
            transaction: 2,
            begin: Begin::At(u64::MAX),
            writes: vec![
                Write::Set(ByteBuf::from("k"), ByteBuf::from("v")),
                Write::Reads(ByteBuf::from("a"), ByteBuf::from("b")),
            ],
            operation: Operation::Get { key: ByteBuf::from("k"), snapshot: true },
        };
        let frame = encode(&request);
        let read = |mut frame: &[u8]| block_on(read::<Request>(&mut frame)).map_err(|error| error.kind());
        assert_eq!(read(&frame), Ok(request));
        for len_bytes in 0..frame.len() {
            assert_eq!(read(&frame[..len_bytes]), Err(io::ErrorKind::UnexpectedEof), "{len_bytes} bytes of it");
        }
        let content = &frame[4..];
        let framed = |content: &[u8]| {
            read(&[u32::try_from(content.len()).expect("short").to_le_bytes().as_slice(), content].concat())
        };
        for len_bytes in 0..content.len() {
            assert_eq!(
                framed(&content[..len_bytes]),
                Err(io::ErrorKind::InvalidData),
                "a content of {len_bytes} bytes"
            );
        }
        assert_eq!(framed(&[content, b"!"].concat()), Err(io::ErrorKind::InvalidData), "a byte more");
        assert_eq!(read(&u32::MAX.to_le_bytes()), Err(io::ErrorKind::InvalidData), "longer than the limit");
    }
}
