//! Bytes to frames: several in one WebSocket message, or one over several.
//!
//! Owns what is left of an incomplete frame, its bound (I11), and how far it was looked at, so that no byte is looked at
//! more than twice, in however small pieces it comes.

use schema::limits::MESSAGE_BYTES_MAX;

use crate::frame::{Escapes, Frame, Verb, Version};

/// Bytes of one frame, as of every message of a client.
const FRAME_BYTES_MAX: usize = MESSAGE_BYTES_MAX as usize;
/// Bytes of a frame before its body: a token of 4 KiB, 50 mentions of 21, and room.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Headers of a frame.
const HEADERS_MAX: usize = 64;
/// Bytes of a text of the client's that a fault repeats.
const QUOTED_BYTES_MAX: usize = 32;

/// Fault of bytes that are no frame. The client's: nothing can be read behind it, so the connection ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A first line that is no command.
    #[error("unknown command {0:?}")]
    Verb(String),
    /// A line before the body that is no header.
    #[error("the header {0:?} has no name, or no colon")]
    Header(String),
    /// Not UTF-8 before the body.
    #[error("the headers are not UTF-8")]
    NotUtf8,
    /// A backslash before a character that it says nothing of in this version.
    #[error("the header {0:?} has an escape that its version does not know")]
    Escape(String),
    /// More headers than a frame may have.
    #[error("more than {HEADERS_MAX} headers")]
    Headers,
    /// Headers without end.
    #[error("the headers are longer than {HEAD_BYTES_MAX} bytes")]
    HeadTooLong,
    /// A frame ends before its body begins.
    #[error("NUL before the blank line that ends the headers")]
    NulInHead,
    /// `content-length` is no number.
    #[error("content-length is no number of bytes")]
    ContentLength,
    /// No NUL where `content-length` says that the body ends.
    #[error("no NUL behind the {0} bytes of the body")]
    NoNul(usize),
    /// A frame without end.
    #[error("the frame is longer than {FRAME_BYTES_MAX} bytes")]
    TooLong,
    /// A body in a frame that has none.
    #[error("a {} frame has no body", .0.text())]
    Body(Verb),
}

/// Decoder of frames, with what is left between two messages. Empty, it holds no memory.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// Offset in these at which the next frame begins.
    start: usize,
    /// Bytes from there on that were looked at.
    seen: usize,
    /// The frame whose body is not whole yet, and how long that is if it says so.
    head: Option<Box<Head>>,
}

#[derive(Debug)]
struct Head {
    frame: Frame,
    length: Option<usize>,
}

impl Decoder {
    /// Takes bytes in. To be followed by calls of [`Self::next`] until that returns no frame.
    pub fn take(&mut self, input: &[u8]) {
        self.bytes.extend_from_slice(input);
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// `true` while part of a frame is there.
    #[must_use]
    pub fn is_amid_frame(&self) -> bool {
        self.head.is_some() || self.start < self.bytes.len()
    }

    /// The next frame that is whole, by the escapes of this version.
    ///
    /// # Errors
    /// What comes is no frame. The decoder is of no use any more.
    pub fn next(&mut self, version: Version) -> Result<Option<Frame>, Fault> {
        let frame = self.try_next(version)?;
        if self.start == self.bytes.len() {
            self.bytes = Vec::new();
            self.start = 0;
        } else if frame.is_none() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        Ok(frame)
    }

    fn try_next(&mut self, version: Version) -> Result<Option<Frame>, Fault> {
        if self.head.is_none() {
            if self.seen == 0 {
                self.skip_line_ends();
            }
            let Some(head) = self.head_bytes()? else { return Ok(None) };
            let head = Head::parse(&self.bytes[self.start..self.start + head], version)?;
            self.start += self.seen;
            self.seen = 0;
            self.head = Some(Box::new(head));
        }
        let length = self.head.as_ref().and_then(|head| head.length);
        let Some(length) = self.body_bytes(length)? else { return Ok(None) };
        let Head { mut frame, .. } = *self.head.take().expect("a body has a head");
        frame.body = self.bytes[self.start..self.start + length].to_vec();
        self.start += length + 1;
        self.seen = 0;
        let may_have_body = matches!(frame.verb, Verb::Send | Verb::Message | Verb::Error);
        if frame.body.is_empty() || may_have_body { Ok(Some(frame)) } else { Err(Fault::Body(frame.verb)) }
    }

    /// Ends of lines between frames are heart-beats, or say nothing.
    fn skip_line_ends(&mut self) {
        loop {
            match self.bytes[self.start..] {
                [b'\n', ..] => self.start += 1,
                [b'\r', b'\n', ..] => self.start += 2,
                _ => return,
            }
        }
    }

    /// The length of the lines before the blank one, once that is there; what was seen ends behind it then.
    fn head_bytes(&mut self) -> Result<Option<usize>, Fault> {
        let rest = &self.bytes[self.start..];
        if rest == b"\r" {
            // The first half of a line's end, perhaps.
            return Ok(None);
        }
        while let Some(&byte) = rest.get(self.seen) {
            if self.seen == HEAD_BYTES_MAX {
                return Err(Fault::HeadTooLong);
            }
            self.seen += 1;
            match (byte, &rest[..self.seen]) {
                (0, _) => return Err(Fault::NulInHead),
                (b'\n', [head @ .., b'\n', b'\n'] | [head @ .., b'\n', b'\r', b'\n']) => return Ok(Some(head.len())),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The length of the body, once it and its NUL are there.
    fn body_bytes(&mut self, length: Option<usize>) -> Result<Option<usize>, Fault> {
        let rest = &self.bytes[self.start..];
        let Some(length) = length else {
            match rest[self.seen..].iter().position(|&byte| byte == 0) {
                Some(at) => return Ok(Some(self.seen + at)),
                None if rest.len() > FRAME_BYTES_MAX => return Err(Fault::TooLong),
                None => self.seen = rest.len(),
            }
            return Ok(None);
        };
        if length > FRAME_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        match rest.get(length) {
            None => Ok(None),
            Some(0) => Ok(Some(length)),
            Some(_) => Err(Fault::NoNul(length)),
        }
    }
}

impl Head {
    fn parse(bytes: &[u8], version: Version) -> Result<Self, Fault> {
        let text = str::from_utf8(bytes).map_err(|_| Fault::NotUtf8)?;
        let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let first = lines.next().unwrap_or_default();
        let verb = Verb::ALL.iter().copied().find(|verb| verb.text() == first);
        let verb = verb.ok_or_else(|| Fault::Verb(quoted(first)))?;
        let escapes = Escapes::of(verb, version);
        let (mut headers, mut length) = (Vec::new(), None);
        for line in lines {
            let (name, value) = line.split_once(':').ok_or_else(|| Fault::Header(quoted(line)))?;
            if name.is_empty() {
                return Err(Fault::Header(quoted(line)));
            }
            // 1.0 says nothing of blanks, and its clients write some behind the colon; later versions keep them.
            let value = if version == Version::V10 && escapes == Escapes::None { value.trim() } else { value };
            if name == "content-length" {
                let bytes = value.trim().parse().map_err(|_| Fault::ContentLength)?;
                length.get_or_insert(bytes);
                continue;
            }
            if headers.len() == HEADERS_MAX {
                return Err(Fault::Headers);
            }
            let plain = |text| unescaped(text, escapes).ok_or_else(|| Fault::Escape(quoted(line)));
            headers.push((plain(name)?, plain(value)?));
        }
        Ok(Self { frame: Frame { verb, headers, body: Vec::new() }, length })
    }
}

/// A header's text as it was meant. `None` if a backslash means nothing.
fn unescaped(text: &str, escapes: Escapes) -> Option<String> {
    if escapes == Escapes::None || !text.contains('\\') {
        return Some(text.to_owned());
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match (chars.next()?, escapes) {
                ('n', _) => '\n',
                ('c', _) => ':',
                ('\\', _) => '\\',
                ('r', Escapes::V12) => '\r',
                _ => return None,
            },
            c => c,
        });
    }
    Some(plain)
}

fn quoted(text: &str) -> String {
    text[..text.floor_char_boundary(QUOTED_BYTES_MAX)].to_owned()
}
