//! WebSocket frames over byte slices, a client's half: masked frames out, a server's frames in.
//!
//! Does no I/O and keeps nothing but the pieces of a fragmented message. It takes what servers that conform send and
//! refuses what it could misread; judging a server's conformance is a conformance suite's work.

use std::ops::Range;

/// Longest message taken from a server: four times the longest that `--size` can ask to be echoed.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Longest header of a client's frame: 2 bytes, a length of 8, a mask of 4.
pub(crate) const HEADER_BYTES_MAX: usize = 14;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const RESERVED: u8 = 0x70;

/// What a frame is, as the wire numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// Server's fault. The connection cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame has opcode {0}, which means nothing")]
    Opcode(u8),
    #[error("a frame has reserved bits, but no extension was offered")]
    Reserved,
    #[error("a frame is masked, which only clients do")]
    Masked,
    #[error("a message has {bytes} bytes or more, at most {MESSAGE_BYTES_MAX} are taken")]
    TooLong { bytes: u64 },
    #[error("a control frame is fragmented or longer than 125 bytes")]
    Control,
    #[error("a fragment does not follow from what came before")]
    Fragment,
}

/// One message or control frame from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received<'a> {
    Text(&'a [u8]),
    Binary(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    Close(&'a [u8]),
}

/// The fragments of a message that has not ended yet.
#[derive(Debug)]
pub(crate) struct Fragments {
    text: bool,
    bytes: Vec<u8>,
}

/// Where the next frame in some bytes lies, or how many bytes are needed to tell or to hold it.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Frame { opcode: Opcode, fin: bool, payload: Range<usize> },
    Needs { bytes: usize },
}

/// What `split` left over: the bytes of an incomplete frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Where it starts.
    pub(crate) from: usize,
    /// How long it must grow before it is worth another try; 0 when nothing is left over.
    pub(crate) needed: usize,
}

/// Visits each message in `bytes`, which start at a frame's first byte. `fragments` carries an unfinished message
/// from one call to the next.
///
/// # Errors
/// The visitor's own, or a [`FrameError`] turned into it. What came before the fault has been visited.
pub(crate) fn split<E: From<FrameError>>(
    bytes: &[u8],
    fragments: &mut Option<Box<Fragments>>,
    mut visit: impl FnMut(Received<'_>) -> Result<(), E>,
) -> Result<Rest, E> {
    let mut from = 0;
    while from < bytes.len() {
        let left = &bytes[from..];
        let (opcode, fin, payload) = match next(left)? {
            Next::Frame { opcode, fin, payload } => (opcode, fin, payload),
            Next::Needs { bytes } => return Ok(Rest { from, needed: bytes }),
        };
        from += payload.end;
        let payload = &left[payload];
        match opcode {
            Opcode::Binary if fin && fragments.is_none() => visit(Received::Binary(payload))?,
            Opcode::Text if fin && fragments.is_none() => visit(Received::Text(payload))?,
            Opcode::Ping => visit(Received::Ping(payload))?,
            Opcode::Pong => visit(Received::Pong)?,
            Opcode::Close => visit(Received::Close(payload))?,
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                if let Some(whole) = Fragments::gather(fragments, opcode, fin, payload)? {
                    visit(if whole.text { Received::Text(&whole.bytes) } else { Received::Binary(&whole.bytes) })?;
                }
            }
        }
    }
    Ok(Rest { from, needed: 0 })
}

impl Fragments {
    fn gather(
        fragments: &mut Option<Box<Self>>,
        opcode: Opcode,
        fin: bool,
        payload: &[u8],
    ) -> Result<Option<Box<Self>>, FrameError> {
        if (opcode == Opcode::Continuation) != fragments.is_some() {
            return Err(FrameError::Fragment);
        }
        let gathered =
            fragments.get_or_insert_with(|| Box::new(Self { text: opcode == Opcode::Text, bytes: Vec::new() }));
        let bytes = gathered.bytes.len() + payload.len();
        if bytes > MESSAGE_BYTES_MAX {
            return Err(FrameError::TooLong { bytes: bytes as u64 });
        }
        gathered.bytes.extend_from_slice(payload);
        Ok(if fin { fragments.take() } else { None })
    }
}

fn next(bytes: &[u8]) -> Result<Next, FrameError> {
    let &[first, second, ..] = bytes else { return Ok(Next::Needs { bytes: 2 }) };
    let opcode = match first & 0x0f {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        other => return Err(FrameError::Opcode(other)),
    };
    let fin = first & FIN != 0;
    if first & RESERVED != 0 {
        return Err(FrameError::Reserved);
    }
    if second & MASKED != 0 {
        return Err(FrameError::Masked);
    }
    if opcode as u8 >= Opcode::Close as u8 && (!fin || second > 125) {
        return Err(FrameError::Control);
    }
    let (header_bytes, length) = match second {
        126 => match bytes.get(2..4) {
            Some(length) => (4, u64::from(u16::from_be_bytes(length.try_into().expect("4 - 2 = 2 bytes")))),
            None => return Ok(Next::Needs { bytes: 4 }),
        },
        127 => match bytes.get(2..10) {
            Some(length) => (10, u64::from_be_bytes(length.try_into().expect("10 - 2 = 8 bytes"))),
            None => return Ok(Next::Needs { bytes: 10 }),
        },
        length => (2, u64::from(length)),
    };
    if length > MESSAGE_BYTES_MAX as u64 {
        return Err(FrameError::TooLong { bytes: length });
    }
    let end = header_bytes + length as usize;
    if bytes.len() < end {
        return Ok(Next::Needs { bytes: end });
    }
    Ok(Next::Frame { opcode, fin, payload: header_bytes..end })
}

/// Appends the header of one whole masked frame; the payload, masked with `mask`, is the caller's to append.
pub(crate) fn put_header(out: &mut Vec<u8>, opcode: Opcode, payload_bytes: usize, mask: [u8; 4]) {
    out.push(FIN | opcode as u8);
    match payload_bytes {
        0..=125 => out.push(MASKED | payload_bytes as u8),
        126..=0xffff => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(payload_bytes as u16).to_be_bytes());
        }
        _ => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
}

/// Appends one whole masked frame.
pub(crate) fn put_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: [u8; 4]) {
    put_header(out, opcode, payload.len(), mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_they_are_packed() {
        check("82 01 61", "binary a");
        check("81 01 61", "text a");
        check("82 00", "binary ");
        check("82 01 61  82 01 62", "binary a, binary b");
        check("82 7e 0001 61", "binary a");
        check("82 7f 0000000000000001 61", "binary a");
        check("89 01 70  82 01 61", "ping p, binary a");
        check("8a 00  88 02 03e8", "pong, close 03e8");
    }

    #[test]
    fn fragments_are_one_message_with_controls_between() {
        check("02 01 61  80 01 62", "binary ab");
        check("01 01 61  00 00  80 01 62", "text ab");
        check("02 01 61  89 01 70  80 01 62", "ping p, binary ab");
        check("02 01 61  82 01 62", "Fragment");
        check("80 01 61", "Fragment");
    }

    #[test]
    fn what_could_be_misread_is_refused() {
        check("83 00", "Opcode(3)");
        check("c2 00", "Reserved");
        check("82 81 00000000 61", "Masked");
        check("09 00", "Control");
        check("89 7e 007e", "Control");
        check("82 7f 8000000000000000", "TooLong { bytes: 9223372036854775808 }");
        check("82 01 61  83 00", "binary a, Opcode(3)");
    }

    #[test]
    fn a_masked_frame_has_the_shortest_header() {
        let header = |bytes| {
            let mut out = Vec::new();
            put_header(&mut out, Opcode::Binary, bytes, [1, 2, 3, 4]);
            assert!(out.len() <= HEADER_BYTES_MAX);
            hex(&out)
        };
        assert_eq!(header(125), "82fd01020304");
        assert_eq!(header(126), "82fe007e01020304");
        assert_eq!(header(65_535), "82feffff01020304");
        assert_eq!(header(65_536), "82ff000000000001000001020304");
        let mut out = Vec::new();
        put_frame(&mut out, Opcode::Pong, &[0, 0, 0, 0, 0xff], [1, 2, 3, 4]);
        assert_eq!(hex(&out), "8a850102030401020304fe");
    }

    /// Whole, byte by byte, and split at every place, `bytes` (in hex) mean the same.
    fn check(bytes: &str, expected: &str) {
        let digits: Vec<u8> = bytes.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let bytes: Vec<u8> =
            digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
        assert_eq!(read(&[&bytes]), expected, "whole");
        assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), expected, "byte by byte");
        for at in 0..bytes.len() {
            assert_eq!(read(&[&bytes[..at], &bytes[at..]]), expected, "split at {at}");
        }
    }

    fn read(pieces: &[&[u8]]) -> String {
        let (mut seen, mut fragments, mut held) = (Vec::new(), None, Vec::new());
        for piece in pieces {
            held.extend_from_slice(piece);
            let result = split(&held, &mut fragments, |received| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                seen.push(match received {
                    Received::Text(bytes) => format!("text {}", text(bytes)),
                    Received::Binary(bytes) => format!("binary {}", text(bytes)),
                    Received::Ping(bytes) => format!("ping {}", text(bytes)),
                    Received::Pong => "pong".to_owned(),
                    Received::Close(bytes) => format!("close {}", hex(bytes)),
                });
                Ok::<_, FrameError>(())
            });
            match result {
                Ok(rest) => {
                    assert!(rest.needed == 0 || rest.needed > held.len() - rest.from, "more than is there is needed");
                    held.drain(..rest.from);
                }
                Err(error) => {
                    seen.push(format!("{error:?}"));
                    break;
                }
            }
        }
        seen.join(", ")
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
