//! The server's side: a request in any pieces, then exactly one answer; a request without an upgrade is [`plain`](super::plain)'s.
//!
//! Which endpoint a path names and which subprotocol is spoken there is the caller's to decide.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tungstenite::error::{CapacityError, Error, ProtocolError};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::{derive_accept_key, server};
use tungstenite::http::StatusCode;
use tungstenite::http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use tungstenite::http::uri::Authority;

use super::plain::PlainRequest;
use super::{has_token, tokens};

/// A request that is still arriving.
#[derive(Debug, Default)]
pub struct ServerHandshake {
    bytes: Vec<u8>,
}

/// The progress of a handshake after some bytes.
#[derive(Debug)]
pub enum HandshakeProgress {
    /// The request is not whole; all input was taken.
    More,
    /// The request is whole. The input from `consumed` on, if any, is frames already.
    Request {
        /// The request.
        request: Box<Request>,
        /// Bytes of this input that belong to the request.
        consumed: usize,
    },
    /// The request is whole, and asks for no upgrade. The input from `consumed` on, if any, is of its body.
    Plain {
        /// The request.
        request: Box<PlainRequest>,
        /// Bytes of this input that belong to its head.
        consumed: usize,
    },
    /// Not a request, or not one that can be answered. Send it and close.
    Refused(Refusal),
}

impl ServerHandshake {
    /// Before the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in bytes. `request_bytes_max` bounds the request, and so what is held here.
    pub fn feed(&mut self, input: &[u8], request_bytes_max: usize) -> HandshakeProgress {
        let before = self.bytes.len();
        let room = request_bytes_max.saturating_sub(before).min(input.len());
        self.bytes.extend_from_slice(&input[..room]);
        // A request ends in an empty line, so bytes without a line's end cannot end it: do not parse again.
        if !input[..room].contains(&b'\n') {
            return if room < input.len() { too_long(request_bytes_max) } else { HandshakeProgress::More };
        }
        match server::Request::try_parse(&self.bytes) {
            Ok(Some((_, request))) if !has_token(request.headers(), UPGRADE, "websocket") => self.plain(before, None),
            Ok(Some((request_bytes, request))) => match Request::new(request) {
                Ok(request) => {
                    HandshakeProgress::Request { request: Box::new(request), consumed: request_bytes - before }
                }
                Err(refusal) => HandshakeProgress::Refused(refusal),
            },
            Ok(None) if room < input.len() => too_long(request_bytes_max),
            Ok(None) => HandshakeProgress::More,
            // What no handshake may have, another request may: a method, an earlier HTTP.
            Err(error) => self.plain(before, Some(Refusal::of(&error))),
        }
    }

    /// The request as one that asks for no upgrade; what it is refused if it is none.
    fn plain(&self, before: usize, refusal: Option<Refusal>) -> HandshakeProgress {
        match (PlainRequest::parse(&self.bytes), refusal) {
            (Ok(Some((_, request))), Some(refusal)) if request.asks_for_websocket() => {
                HandshakeProgress::Refused(refusal)
            }
            (Ok(Some((head_bytes, request))), _) => {
                HandshakeProgress::Plain { request: Box::new(request), consumed: head_bytes - before }
            }
            (Ok(None), _) => HandshakeProgress::More,
            (Err(refusal), _) => HandshakeProgress::Refused(refusal),
        }
    }

    /// Bytes of memory held.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

fn too_long(request_bytes_max: usize) -> HandshakeProgress {
    HandshakeProgress::Refused(Refusal::new(
        431,
        format!("The request is longer than {request_bytes_max} bytes. Send fewer or shorter headers."),
    ))
}

/// A valid WebSocket request (RFC 6455, section 4.2.1).
///
/// A header that comes in several lines is one list (RFC 9110, section 5.3); what may be said once is refused if it is
/// said twice, even if both say the same.
#[derive(Debug)]
pub struct Request {
    raw: server::Request,
    accept: String,
}

const UPGRADE: &str = "upgrade";
const PROTOCOL: &str = "sec-websocket-protocol";
const ORIGIN: &str = "origin";

impl Request {
    fn new(raw: server::Request) -> Result<Request, Refusal> {
        let headers = raw.headers();
        match single(headers, "host", "Host has to be there once.")?.map(str::parse::<Authority>) {
            Some(Ok(host)) if !host.as_str().contains('@') => {}
            Some(_) => return Err(Refusal::new(400, "Host has to be a name or an address, and a port.")),
            None => return Err(Refusal::new(400, "Host has to be there once.")),
        }
        if !raw.uri().path().starts_with('/') {
            return Err(Refusal::new(400, "The target of the request has no path."));
        }
        // What follows the request are frames: a body would be taken for some.
        if headers.contains_key(TRANSFER_ENCODING) || headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0")
        {
            return Err(Refusal::new(400, "A WebSocket handshake has no body."));
        }
        if !has_token(headers, "connection", "upgrade") || !has_token(headers, "upgrade", "websocket") {
            return Err(Refusal::no_websocket());
        }
        if !has_token(headers, "sec-websocket-version", "13") {
            let only = "Only version 13 of WebSocket is spoken here. Send Sec-WebSocket-Version: 13.";
            return Err(Refusal::new(426, only));
        }
        const KEY: &str = "Sec-WebSocket-Key has to be 16 random bytes in base64, once.";
        let accept = match single(headers, "sec-websocket-key", KEY)? {
            Some(key) if STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16) => derive_accept_key(key.as_bytes()),
            Some(_) | None => return Err(Refusal::new(400, KEY)),
        };
        if headers.get_all(PROTOCOL).iter().any(|offer| offer.to_str().is_err()) {
            return Err(Refusal::new(400, "Sec-WebSocket-Protocol has to be ASCII."));
        }
        single(headers, ORIGIN, "Origin has to be ASCII, and there once.")?;
        Ok(Request { accept, raw })
    }

    /// The path, without the query; begins with `/`.
    pub fn path(&self) -> &str {
        self.raw.uri().path()
    }

    /// The query: the part after the `?`, undecoded.
    pub fn query(&self) -> Option<&str> {
        self.raw.uri().query()
    }

    /// The subprotocols that the client speaks, in its order of preference.
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        tokens(self.raw.headers(), PROTOCOL)
            .map(|name| str::from_utf8(name).expect("offers are ASCII, or the request was refused"))
    }

    /// The page that a browser connects from. None of a client that is no page.
    pub fn origin(&self) -> Option<&str> {
        self.header(ORIGIN)
    }

    /// By which name or address, and port, the client reached us.
    pub fn host(&self) -> &str {
        self.header("host").expect("a request without Host was refused")
    }

    /// The first header of that name, in any case, if it is ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.raw.headers().get(name)?.to_str().ok()
    }

    /// All headers.
    pub fn headers(&self) -> &HeaderMap {
        self.raw.headers()
    }

    /// The bytes that accept: status 101, and the subprotocol if one was agreed on.
    ///
    /// # Panics
    /// If the client did not offer `protocol`: it would have to fail the connection.
    pub fn accept(&self, protocol: Option<&str>) -> Vec<u8> {
        let agreed = protocol.map_or_else(String::new, |name| {
            assert!(self.protocols().any(|offer| offer == name), "{name} was not offered");
            format!("sec-websocket-protocol: {name}\r\n")
        });
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {}\r\n{agreed}\r\n",
            self.accept
        )
        .into_bytes()
    }
}

/// The value of a header that may be there once; `refusal` says so if it is there twice, or is not ASCII.
fn single<'a>(headers: &'a HeaderMap, name: &str, refusal: &str) -> Result<Option<&'a str>, Refusal> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next().map(HeaderValue::to_str), lines.next()) {
        (None, _) => Ok(None),
        (Some(Ok(value)), None) => Ok(Some(value)),
        (Some(_), _) => Err(Refusal::new(400, refusal)),
    }
}

/// The answer to what is no acceptable handshake: a status and a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    body: String,
}

impl Refusal {
    /// # Panics
    /// If the status is not one of an error, 400 to 599.
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).expect("a status has three digits");
        assert!(status.is_client_error() || status.is_server_error(), "{status} refuses nothing");
        Refusal { status, body: body.into() }
    }

    /// The answer to who wants something else of an endpoint of WebSockets.
    pub fn no_websocket() -> Self {
        Refusal::new(426, "This is a WebSocket endpoint. Connect with a ws:// or wss:// URL.")
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The bytes to send before closing the connection.
    pub fn to_bytes(&self) -> Vec<u8> {
        let more = match self.status {
            StatusCode::UPGRADE_REQUIRED => {
                "connection: Upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
            }
            StatusCode::METHOD_NOT_ALLOWED => "connection: close\r\nallow: GET\r\n",
            _ => "connection: close\r\n",
        };
        let (status, body) = (self.status, &self.body);
        let length = body.len() + 1;
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n{more}\r\n{body}\n"
        )
        .into_bytes()
    }

    fn of(error: &Error) -> Refusal {
        match error {
            Error::Protocol(ProtocolError::WrongHttpMethod) => {
                Refusal::new(405, "A WebSocket handshake is a GET request.")
            }
            Error::Protocol(ProtocolError::WrongHttpVersion) => {
                Refusal::new(505, "A WebSocket handshake needs HTTP/1.1.")
            }
            Error::Capacity(CapacityError::TooManyHeaders) => {
                Refusal::new(431, "The request has too many headers. Send fewer.")
            }
            error => Refusal::new(400, format!("Not a valid HTTP request ({error}).")),
        }
    }
}
