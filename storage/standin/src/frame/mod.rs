//! Frames between the client library and the server.
//!
//! Owns the frames of both ways and their codec. A frame is a length (4 bytes) and so many bytes; numbers are
//! little-endian, byte strings have a length (4 bytes) before them. Knows no socket and no transaction. Decoding
//! trusts nothing: whatever does not parse is [`Malformed`], and ends the connection.

#[cfg(test)]
mod tests;

use bytes::{Buf, Bytes};
use kv::Stamp;
use kv::transaction::STAMP_BYTES;

use crate::code::Code;

/// Longest frame. A transaction's 10 MB of writes, in the greatest case each byte string with 4 bytes of length and each
/// write with a tag, count more in FoundationDB's own arithmetic (40 bytes a write) than they take here; a page of rows
/// is bounded by what was asked, at most [`PAGE_BYTES_MAX`], and its last row.
pub(crate) const FRAME_BYTES_MAX: usize = 16 << 20;

/// Most bytes of rows in one page, whatever was asked.
pub(crate) const PAGE_BYTES_MAX: u32 = 8 << 20;

/// Most rows in one page, whatever was asked.
pub(crate) const PAGE_ROWS_MAX: u32 = 100_000;

const _: () = assert!(
    PAGE_BYTES_MAX as usize + 8 * PAGE_ROWS_MAX as usize + 110_000 < FRAME_BYTES_MAX,
    "a page fits with the lengths of its rows' keys and values, and with a last row of the largest size"
);

/// How both sides know that they speak to the other: the protocol and its version.
pub(crate) const MAGIC: &[u8; 8] = b"standin1";

/// The first frame of a connection names the client's session, which outlives connections.
pub(crate) type Session = [u8; 16];

/// The peer does not speak this protocol, or has a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame is malformed: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Where a transaction reads, in its first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// The server knows it from an earlier request.
    Continue,
    /// At the newest version.
    Fresh,
    /// At this version.
    At(u64),
}

/// One thing to do for a transaction, after the writes that came before it were made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Unique in the session; the reply bears it.
    pub(crate) id: u64,
    /// The transaction, unique in the session.
    pub(crate) transaction: u64,
    /// Whether this is its first request.
    pub(crate) begin: Begin,
    /// [`Write`]s, one after the other.
    pub(crate) writes: Bytes,
    /// What to do then.
    pub(crate) operation: Operation,
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// [`Reply::Version`].
    ReadVersion,
    /// [`Reply::Value`].
    Get { key: Bytes, snapshot: bool },
    /// [`Reply::Rows`].
    Range(Range),
    /// [`Reply::Done`] once the key has changed.
    Watch { key: Bytes },
    /// [`Reply::Committed`]. The transaction is gone, whatever the reply.
    Commit,
    /// Forget the transaction. No reply.
    End,
    /// Forget the watch with this request's id. No reply.
    Unwatch { request: u64 },
}

/// A page to read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// First key.
    pub(crate) begin: Bytes,
    /// First key that is not read.
    pub(crate) end: Bytes,
    /// At most so many rows.
    pub(crate) limit_rows: u32,
    /// Stop with the row that reaches so many bytes.
    pub(crate) limit_bytes: u32,
    /// From the end downwards.
    pub(crate) reverse: bool,
    /// Later writes of others do not matter.
    pub(crate) snapshot: bool,
}

/// What a transaction writes, or declares to have read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Write<B> {
    /// Key, value.
    Set(B, B),
    /// Key.
    Clear(B),
    /// First key, first key that stays.
    ClearRange(B, B),
    /// Key, operand.
    Add(B, B),
    /// Key, operand.
    Max(B, B),
    /// The key's part before the stamp, its part after, value.
    StampedKey(B, B, B),
    /// Key, the value's part before the stamp, its part after.
    StampedValue(B, B, B),
    /// First key, end.
    Reads(B, B),
}

/// What a request comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It failed.
    Failed(Code),
    /// The read version.
    Version(u64),
    /// A key's value, if it has one.
    Value(Option<Bytes>),
    /// Keys with their values, and whether a limit ended the page.
    Rows(Vec<(Bytes, Bytes)>, bool),
    /// A watched key has changed.
    Done,
    /// The commit's version and stamp.
    Committed(u64, Stamp),
}

/// Appends a frame that `body` fills.
pub(crate) fn put_frame(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let len_bytes = u32::try_from(out.len() - start - 4).expect("frames are shorter than 4 GiB");
    out[start..start + 4].copy_from_slice(&len_bytes.to_le_bytes());
}

/// Appends a byte string.
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    let len_bytes = u32::try_from(bytes.len()).expect("byte strings are within a frame");
    out.extend_from_slice(&len_bytes.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Appends the frame that opens a connection, or the server's answer to it, which names the same session.
pub(crate) fn put_hello(out: &mut Vec<u8>, session: &Session) {
    put_frame(out, |out| {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(session);
    });
}

/// The session of a hello.
///
/// # Errors
/// [`Malformed`] if it is none, or of another version.
pub(crate) fn hello(mut frame: Bytes) -> Result<Session, Malformed> {
    if take(&mut frame, MAGIC.len())? != MAGIC.as_slice() {
        return Err(Malformed("not a hello of this version"));
    }
    frame.as_ref().try_into().map_err(|_| Malformed("a session of another length"))
}

impl<B: AsRef<[u8]>> Write<B> {
    /// Appends it.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let (tag, parts): (u8, [Option<&B>; 3]) = match self {
            Self::Set(key, value) => (1, [Some(key), Some(value), None]),
            Self::Clear(key) => (2, [Some(key), None, None]),
            Self::ClearRange(begin, end) => (3, [Some(begin), Some(end), None]),
            Self::Add(key, operand) => (4, [Some(key), Some(operand), None]),
            Self::Max(key, operand) => (5, [Some(key), Some(operand), None]),
            Self::StampedKey(prefix, suffix, value) => (6, [Some(prefix), Some(suffix), Some(value)]),
            Self::StampedValue(key, prefix, suffix) => (7, [Some(key), Some(prefix), Some(suffix)]),
            Self::Reads(begin, end) => (8, [Some(begin), Some(end), None]),
        };
        out.push(tag);
        parts.into_iter().flatten().for_each(|part| put(out, part.as_ref()));
    }
}

impl Write<Bytes> {
    /// Takes the next of `writes`; `None` after the last.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(crate) fn take(writes: &mut Bytes) -> Result<Option<Self>, Malformed> {
        if writes.is_empty() {
            return Ok(None);
        }
        let tag = take_u8(writes)?;
        let mut part = || take_bytes(writes);
        Ok(Some(match tag {
            1 => Self::Set(part()?, part()?),
            2 => Self::Clear(part()?),
            3 => Self::ClearRange(part()?, part()?),
            4 => Self::Add(part()?, part()?),
            5 => Self::Max(part()?, part()?),
            6 => Self::StampedKey(part()?, part()?, part()?),
            7 => Self::StampedValue(part()?, part()?, part()?),
            8 => Self::Reads(part()?, part()?),
            _ => return Err(Malformed("no such write")),
        }))
    }
}

impl Request {
    /// One that is of no transaction. Its id is given where it is sent.
    pub(crate) fn without_transaction(operation: Operation) -> Self {
        Self { id: 0, transaction: 0, begin: Begin::Continue, writes: Bytes::new(), operation }
    }

    /// Appends its frame.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_frame(out, |out| {
            out.extend_from_slice(&self.id.to_le_bytes());
            out.extend_from_slice(&self.transaction.to_le_bytes());
            match self.begin {
                Begin::Continue => out.push(0),
                Begin::Fresh => out.push(1),
                Begin::At(version) => {
                    out.push(2);
                    out.extend_from_slice(&version.to_le_bytes());
                }
            }
            put(out, &self.writes);
            self.operation.put(out);
        });
    }

    /// Reads a frame's content.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(crate) fn take(mut frame: Bytes) -> Result<Self, Malformed> {
        let (id, transaction) = (take_u64(&mut frame)?, take_u64(&mut frame)?);
        let begin = match take_u8(&mut frame)? {
            0 => Begin::Continue,
            1 => Begin::Fresh,
            2 => Begin::At(take_u64(&mut frame)?),
            _ => return Err(Malformed("no such begin")),
        };
        let writes = take_bytes(&mut frame)?;
        let operation = Operation::take(&mut frame)?;
        take_end(&frame)?;
        Ok(Self { id, transaction, begin, writes, operation })
    }
}

impl Operation {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::ReadVersion => out.push(1),
            Self::Get { key, snapshot } => {
                out.extend_from_slice(&[2, u8::from(*snapshot)]);
                put(out, key);
            }
            Self::Range(range) => {
                out.extend_from_slice(&[3, u8::from(range.snapshot), u8::from(range.reverse)]);
                out.extend_from_slice(&range.limit_rows.to_le_bytes());
                out.extend_from_slice(&range.limit_bytes.to_le_bytes());
                put(out, &range.begin);
                put(out, &range.end);
            }
            Self::Watch { key } => {
                out.push(4);
                put(out, key);
            }
            Self::Commit => out.push(5),
            Self::End => out.push(6),
            Self::Unwatch { request } => {
                out.push(7);
                out.extend_from_slice(&request.to_le_bytes());
            }
        }
    }

    fn take(frame: &mut Bytes) -> Result<Self, Malformed> {
        Ok(match take_u8(frame)? {
            1 => Self::ReadVersion,
            2 => Self::Get { snapshot: take_bool(frame)?, key: take_bytes(frame)? },
            3 => {
                let (snapshot, reverse) = (take_bool(frame)?, take_bool(frame)?);
                let (limit_rows, limit_bytes) = (take_u32(frame)?, take_u32(frame)?);
                let (begin, end) = (take_bytes(frame)?, take_bytes(frame)?);
                Self::Range(Range { begin, end, limit_rows, limit_bytes, reverse, snapshot })
            }
            4 => Self::Watch { key: take_bytes(frame)? },
            5 => Self::Commit,
            6 => Self::End,
            7 => Self::Unwatch { request: take_u64(frame)? },
            _ => return Err(Malformed("no such operation")),
        })
    }
}

impl Reply {
    /// Appends the frame of the reply to the request `id`.
    pub(crate) fn put(&self, id: u64, out: &mut Vec<u8>) {
        put_frame(out, |out| {
            out.extend_from_slice(&id.to_le_bytes());
            match self {
                Self::Failed(code) => {
                    out.push(1);
                    out.extend_from_slice(&code.0.to_le_bytes());
                }
                Self::Version(version) => {
                    out.push(2);
                    out.extend_from_slice(&version.to_le_bytes());
                }
                Self::Value(None) => out.push(3),
                Self::Value(Some(value)) => {
                    out.push(4);
                    put(out, value);
                }
                Self::Rows(rows, more) => {
                    out.extend_from_slice(&[5, u8::from(*more)]);
                    for (key, value) in rows {
                        put(out, key);
                        put(out, value);
                    }
                }
                Self::Done => out.push(6),
                Self::Committed(version, stamp) => {
                    out.push(7);
                    out.extend_from_slice(&version.to_le_bytes());
                    out.extend_from_slice(&stamp.0);
                }
            }
        });
    }

    /// Reads a frame's content: the request's id and what it came to.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(crate) fn take(mut frame: Bytes) -> Result<(u64, Self), Malformed> {
        let id = take_u64(&mut frame)?;
        let reply = match take_u8(&mut frame)? {
            1 => Self::Failed(Code(frame.try_get_u16_le().map_err(|_| SHORT)?)),
            2 => Self::Version(take_u64(&mut frame)?),
            3 => Self::Value(None),
            4 => Self::Value(Some(take_bytes(&mut frame)?)),
            5 => {
                let more = take_bool(&mut frame)?;
                let mut rows = Vec::new();
                while !frame.is_empty() {
                    rows.push((take_bytes(&mut frame)?, take_bytes(&mut frame)?));
                }
                Self::Rows(rows, more)
            }
            6 => Self::Done,
            7 => {
                let version = take_u64(&mut frame)?;
                let stamp = take(&mut frame, STAMP_BYTES)?;
                Self::Committed(version, Stamp(stamp.as_ref().try_into().expect("so many were taken")))
            }
            _ => return Err(Malformed("no such reply")),
        };
        take_end(&frame)?;
        Ok((id, reply))
    }
}

const SHORT: Malformed = Malformed("it ends too early");

fn take(frame: &mut Bytes, len_bytes: usize) -> Result<Bytes, Malformed> {
    if frame.len() < len_bytes {
        return Err(SHORT);
    }
    Ok(frame.split_to(len_bytes))
}

fn take_bytes(frame: &mut Bytes) -> Result<Bytes, Malformed> {
    let len_bytes = take_u32(frame)? as usize;
    take(frame, len_bytes)
}

fn take_u8(frame: &mut Bytes) -> Result<u8, Malformed> {
    frame.try_get_u8().map_err(|_| SHORT)
}

fn take_bool(frame: &mut Bytes) -> Result<bool, Malformed> {
    match take_u8(frame)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed("neither yes nor no")),
    }
}

fn take_u32(frame: &mut Bytes) -> Result<u32, Malformed> {
    frame.try_get_u32_le().map_err(|_| SHORT)
}

fn take_u64(frame: &mut Bytes) -> Result<u64, Malformed> {
    frame.try_get_u64_le().map_err(|_| SHORT)
}

fn take_end(frame: &Bytes) -> Result<(), Malformed> {
    if frame.is_empty() { Ok(()) } else { Err(Malformed("it goes on after its end")) }
}
