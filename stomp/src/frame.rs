//! STOMP frames: verbs, headers, the escapes of each version, and the bytes of one frame.

use std::fmt::{self, Write as _};

/// A version of STOMP. They differ in how headers are escaped and in what an acknowledgement names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// 1.0: no escapes, no heart-beats. What is spoken until another is agreed.
    #[default]
    V10,
    /// 1.1.
    V11,
    /// 1.2.
    V12,
}

impl Version {
    /// All, the newest first.
    pub const ALL: [Self; 3] = [Self::V12, Self::V11, Self::V10];

    /// Its name in `Sec-WebSocket-Protocol`.
    #[must_use]
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::V10 => "v10.stomp",
            Self::V11 => "v11.stomp",
            Self::V12 => "v12.stomp",
        }
    }

    /// Its number in headers.
    #[must_use]
    pub fn number(self) -> &'static str {
        match self {
            Self::V10 => "1.0",
            Self::V11 => "1.1",
            Self::V12 => "1.2",
        }
    }

    /// The newest of those that a client accepts; 1.0 of one that does not say. `None` if it accepts none of ours.
    #[must_use]
    pub fn agreed(accepted: Option<&str>) -> Option<Self> {
        let Some(accepted) = accepted else { return Some(Self::V10) };
        Self::ALL.into_iter().find(|version| accepted.split(',').any(|number| number.trim() == version.number()))
    }
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Verb of a frame.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Verb { $($(#[$doc])* $name,)* }

        impl Verb {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The first line of a frame.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

verbs! {
    /// A client logs in.
    Connect = "CONNECT",
    /// The same, of 1.1 and later.
    Stomp = "STOMP",
    /// A message of a client.
    Send = "SEND",
    /// A client wants what comes to a destination.
    Subscribe = "SUBSCRIBE",
    /// And no longer.
    Unsubscribe = "UNSUBSCRIBE",
    /// A message is dealt with.
    Ack = "ACK",
    /// A message is not dealt with.
    Nack = "NACK",
    /// A transaction begins.
    Begin = "BEGIN",
    /// End of a transaction: the frames that it held are carried out.
    Commit = "COMMIT",
    /// End of a transaction: the frames that it held are forgotten.
    Abort = "ABORT",
    /// A client goes.
    Disconnect = "DISCONNECT",
    /// A server has logged a client in.
    Connected = "CONNECTED",
    /// Message that came to a destination.
    Message = "MESSAGE",
    /// A client's frame was done.
    Receipt = "RECEIPT",
    /// Something is wrong, and the connection ends.
    Error = "ERROR",
}

/// Escapes in header texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// As they are.
    None,
    /// Of 1.1: `\n`, `\c` and `\\`.
    V11,
    /// Of 1.2: `\r` too.
    V12,
}

impl Escapes {
    /// CONNECT and CONNECTED are as in 1.0, whatever the version. STOMP is of 1.1 or later, and comes before a version is
    /// agreed.
    pub(crate) fn of(verb: Verb, version: Version) -> Self {
        match (verb, version) {
            (Verb::Connect | Verb::Connected, _) => Self::None,
            (Verb::Stomp, _) => Self::V12,
            (_, Version::V10) => Self::None,
            (_, Version::V11) => Self::V11,
            (_, Version::V12) => Self::V12,
        }
    }
}

/// A whole frame, its headers without escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Verb of the frame.
    pub verb: Verb,
    /// Its headers in their order, `content-length` left out. Of a repeated one the first counts.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Frame {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| &**value)
    }

    /// Its bytes, the NUL at its end included.
    #[must_use]
    pub fn to_bytes(&self, version: Version) -> Vec<u8> {
        let writer = FrameWriter::new(version, self.verb);
        let writer = self.headers.iter().fold(writer, |writer, (name, value)| writer.header(name, value));
        if self.body.is_empty() { writer.end() } else { writer.body(&self.body) }
    }
}

/// Bytes for which a frame that is written has room: a message's headers take some 300.
const FRAME_BYTES: usize = 512;

/// A frame that is being written.
#[derive(Debug)]
pub struct FrameWriter {
    escapes: Escapes,
    text: String,
}

impl FrameWriter {
    /// A frame without headers.
    #[must_use]
    pub fn new(version: Version, verb: Verb) -> Self {
        let mut text = String::with_capacity(FRAME_BYTES);
        text.push_str(verb.text());
        text.push('\n');
        Self { escapes: Escapes::of(verb, version), text }
    }

    /// One more header. What a version has no escape for is a blank in it: NUL in all, line ends in 1.0.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl fmt::Display) -> Self {
        let escapes = self.escapes;
        let to_memory = "writing to memory cannot fail";
        Escaping { escapes, is_name: true, text: &mut self.text }.write_str(name).expect(to_memory);
        self.text.push(':');
        write!(Escaping { escapes, is_name: false, text: &mut self.text }, "{value}").expect(to_memory);
        self.text.push('\n');
        self
    }

    /// The same, if there is a value.
    #[must_use]
    pub fn header_if(self, name: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// The bytes of the frame with this body and its length.
    #[must_use]
    pub fn body(self, body: &[u8]) -> Vec<u8> {
        let mut bytes = self.header("content-length", body.len()).text.into_bytes();
        bytes.reserve_exact(body.len() + 2);
        bytes.push(b'\n');
        bytes.extend_from_slice(body);
        bytes.push(0);
        bytes
    }

    /// The bytes of the frame without a body.
    #[must_use]
    pub fn end(mut self) -> Vec<u8> {
        self.text.push_str("\n\0");
        self.text.into_bytes()
    }
}

struct Escaping<'a> {
    escapes: Escapes,
    is_name: bool,
    text: &'a mut String,
}

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Most have nothing to be escaped, and a character at a time costs half of what a message's frame does.
        if !text.bytes().any(|byte| matches!(byte, b'\n' | b'\r' | b':' | b'\\' | 0)) {
            self.text.push_str(text);
            return Ok(());
        }
        for c in text.chars() {
            match (c, self.escapes) {
                ('\n', Escapes::V11 | Escapes::V12) => self.text.push_str("\\n"),
                ('\r', Escapes::V12) => self.text.push_str("\\r"),
                (':', Escapes::V11 | Escapes::V12) => self.text.push_str("\\c"),
                ('\\', Escapes::V11 | Escapes::V12) => self.text.push_str("\\\\"),
                ('\n' | '\r' | '\0', _) => self.text.push(' '),
                (':', Escapes::None) if self.is_name => self.text.push(' '),
                (c, _) => self.text.push(c),
            }
        }
        Ok(())
    }
}
