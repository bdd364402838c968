//! The server's side: a request in any pieces, then exactly one answer.
//!
//! Which endpoint a path names and which subprotocol is spoken there is the caller's to decide.

use tungstenite::error::{Error, ProtocolError};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server;
use tungstenite::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use tungstenite::http::{Response, StatusCode};

/// A request that is still arriving.
#[derive(Debug, Default)]
pub struct ServerHandshake {
    bytes: Vec<u8>,
}

/// Where a handshake stands after some bytes.
#[derive(Debug)]
pub enum HandshakeProgress {
    /// The request is not whole; all input was taken.
    More,
    /// The request is whole. The input from `consumed` on, if any, is frames already.
    Request {
        /// What was asked for.
        request: Box<Request>,
        /// Bytes of this input that belong to the request.
        consumed: usize,
    },
    /// Not a WebSocket handshake, or not one that can be answered. Send it and close.
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
            Ok(Some((request_bytes, request))) => match Request::new(request) {
                Ok(request) => {
                    HandshakeProgress::Request { request: Box::new(request), consumed: request_bytes - before }
                }
                Err(refusal) => HandshakeProgress::Refused(refusal),
            },
            Ok(None) if room < input.len() => too_long(request_bytes_max),
            Ok(None) => HandshakeProgress::More,
            Err(error) => HandshakeProgress::Refused(Refusal::of(&error)),
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

/// A valid WebSocket request.
#[derive(Debug)]
pub struct Request {
    raw: server::Request,
    /// All but the subprotocol.
    answer: server::Response,
}

const PROTOCOL: HeaderName = HeaderName::from_static("sec-websocket-protocol");

impl Request {
    fn new(raw: server::Request) -> Result<Request, Refusal> {
        let answer = server::create_response(&raw).map_err(|error| Refusal::of(&error))?;
        if raw.headers().get_all(PROTOCOL).iter().any(|offer| offer.to_str().is_err()) {
            return Err(Refusal::new(400, "Sec-WebSocket-Protocol has to be ASCII."));
        }
        Ok(Request { raw, answer })
    }

    /// The path, without the query; begins with `/`.
    pub fn path(&self) -> &str {
        self.raw.uri().path()
    }

    /// What follows the `?`, undecoded.
    pub fn query(&self) -> Option<&str> {
        self.raw.uri().query()
    }

    /// The subprotocols that the client speaks, in its order of preference.
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        self.raw
            .headers()
            .get_all(PROTOCOL)
            .iter()
            .filter_map(|offer| offer.to_str().ok())
            .flat_map(|offer| offer.split(','))
            .map(str::trim)
            .filter(|name| !name.is_empty())
    }

    /// The page that a browser connects from.
    pub fn origin(&self) -> Option<&str> {
        self.header("origin")
    }

    /// The first header of that name, in any case, if it is ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.raw.headers().get(name)?.to_str().ok()
    }

    /// The bytes that accept: status 101, and the subprotocol if one was agreed on.
    ///
    /// # Panics
    /// If the client did not offer `protocol`: it would have to fail the connection.
    pub fn accept(&self, protocol: Option<&str>) -> Vec<u8> {
        let mut answer = self.answer.clone();
        if let Some(name) = protocol {
            assert!(self.protocols().any(|offer| offer == name), "{name} was not offered");
            answer.headers_mut().insert(PROTOCOL, HeaderValue::from_str(name).expect("was a header's part"));
        }
        to_bytes(&answer, "")
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

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The bytes to send before closing the connection.
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = format!("{}\n", self.body);
        let mut answer = Response::new(());
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers.insert("connection", HeaderValue::from_static("close"));
        match self.status {
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert("upgrade", HeaderValue::from_static("websocket"));
                headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert("allow", HeaderValue::from_static("GET"));
            }
            _ => {}
        }
        to_bytes(&answer, &body)
    }

    fn of(error: &Error) -> Refusal {
        match error {
            Error::Protocol(ProtocolError::WrongHttpMethod) => {
                Refusal::new(405, "A WebSocket handshake is a GET request.")
            }
            Error::Protocol(ProtocolError::WrongHttpVersion) => {
                Refusal::new(505, "A WebSocket handshake needs HTTP/1.1.")
            }
            Error::Protocol(
                ProtocolError::MissingConnectionUpgradeHeader | ProtocolError::MissingUpgradeWebSocketHeader,
            ) => Refusal::new(426, "This is a WebSocket endpoint. Connect with a ws:// or wss:// URL."),
            Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => {
                Refusal::new(426, "Only version 13 of WebSocket is spoken here. Send Sec-WebSocket-Version: 13.")
            }
            Error::Protocol(ProtocolError::MissingSecWebSocketKey | ProtocolError::InvalidSecWebSocketKey) => {
                Refusal::new(400, "Sec-WebSocket-Key has to be 16 random bytes in base64.")
            }
            error => Refusal::new(400, format!("Not a valid HTTP request ({error}).")),
        }
    }
}

fn to_bytes(answer: &server::Response, body: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    server::write_response(&mut bytes, answer).expect("our own headers are ASCII and memory takes them");
    bytes.extend_from_slice(body.as_bytes());
    bytes
}
