//! Requests that ask for no upgrade, and answers to them: HTTP/1.0 and 1.1, one exchange a connection.
//!
//! For clients whose way to the server carries no WebSocket. Which path is served, and how, is the caller's to decide. A
//! body is counted by `Content-Length`; an answer whose length is not known beforehand ends with its connection.

use std::fmt::Write as _;

use tungstenite::http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use tungstenite::http::uri::Uri;
use tungstenite::http::{Method, StatusCode};

use super::has_token;
use super::server::Refusal;

/// Headers that a request may have, as many as a handshake.
const HEADERS_MAX: usize = 124;

/// A request as it came, without its body.
#[derive(Debug)]
pub struct PlainRequest {
    method: Method,
    target: Uri,
    headers: HeaderMap,
    body_bytes: u64,
}

impl PlainRequest {
    /// The request that these bytes begin with, and the bytes of its head; none while that is not whole.
    ///
    /// # Errors
    /// The answer to what is no request, or to one whose body has no length.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(usize, Self)>, Refusal> {
        let mut room = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut head = httparse::Request::new(&mut room);
        let head_bytes = match head.parse(bytes) {
            Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Refusal::new(431, "The request has too many headers. Send fewer."));
            }
            Err(error) => return Err(Refusal::new(400, format!("Not a valid HTTP request ({error})."))),
        };
        let no_request = |_| Refusal::new(400, "Not a valid HTTP request.");
        let method = head.method.unwrap_or_default().as_bytes();
        let method = Method::from_bytes(method).map_err(|_| Refusal::new(400, "Not a valid HTTP request."))?;
        let target: Uri = head.path.unwrap_or_default().parse().map_err(no_request)?;
        if !target.path().starts_with('/') {
            return Err(Refusal::new(400, "The target of the request has no path."));
        }
        let mut headers = HeaderMap::with_capacity(head.headers.len());
        for header in head.headers.iter() {
            let name = HeaderName::from_bytes(header.name.as_bytes());
            let value = HeaderValue::from_bytes(header.value);
            let (Ok(name), Ok(value)) = (name, value) else {
                return Err(Refusal::new(400, "Not a valid HTTP request."));
            };
            headers.append(name, value);
        }
        let body_bytes = body_bytes(&headers)?;
        Ok(Some((head_bytes, Self { method, target, headers, body_bytes })))
    }

    /// The method, in capitals.
    pub fn method(&self) -> &str {
        self.method.as_str()
    }

    /// The path, without the query; begins with `/`.
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// The query: the part after the `?`, undecoded.
    pub fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// All headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The first header of that name, in any case, if it is ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether it asks for a WebSocket after all. Who asks for another protocol, HTTP/2 say, is answered by this one (RFC 9110,
    /// section 7.8).
    pub(super) fn asks_for_websocket(&self) -> bool {
        has_token(&self.headers, "upgrade", "websocket")
    }

    /// Bytes of the body, which follow the head.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }
}

/// What `Content-Length` says; 0 where there is none.
fn body_bytes(headers: &HeaderMap) -> Result<u64, Refusal> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refusal::new(411, "A body is sent with its Content-Length here."));
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(0) };
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let bytes = length.to_str().ok().filter(is_number).and_then(|text| text.parse().ok());
    match (bytes, lengths.next()) {
        (Some(bytes), None) => Ok(bytes),
        (_, _) => Err(Refusal::new(400, "Content-Length has to be one number.")),
    }
}

/// The head of an answer. Its connection ends after it, so that no length has to be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    status: StatusCode,
    lines: String,
}

impl Answer {
    /// An answer without headers of its own.
    ///
    /// # Panics
    /// If the status is none of HTTP's, or one of those that only come before another, 100 to 199.
    pub fn new(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status has three digits");
        assert!(!status.is_informational(), "{status} answers nothing");
        Self { status, lines: String::new() }
    }

    /// The same with a header more.
    ///
    /// # Panics
    /// If the value would end the line.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        assert!(!value.contains(['\r', '\n']), "{name} has a line's end in it");
        write!(self.lines, "{name}: {value}\r\n").expect("memory is there");
        self
    }

    /// The bytes of its head; what follows them, up to the connection's end, is the body.
    pub fn head(&self) -> Vec<u8> {
        format!("HTTP/1.1 {}\r\nconnection: close\r\n{}\r\n", self.status, self.lines).into_bytes()
    }

    /// The bytes of all of it.
    pub fn whole(self, body: &[u8]) -> Vec<u8> {
        // A 204 has no body, and says nothing of one (RFC 9110, section 8.6).
        let has_body = self.status != StatusCode::NO_CONTENT;
        let answer = if has_body { self.with("content-length", &body.len().to_string()) } else { self };
        let mut bytes = answer.head();
        bytes.extend_from_slice(body);
        bytes
    }
}
