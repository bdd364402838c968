//! The client's side: one request, then an answer in any pieces.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::{client, derive_accept_key};

use super::has_token;

/// The longest answer that is read: a server's headers are a fraction of it.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// A handshake that waits for its answer.
#[derive(Debug)]
pub struct ClientHandshake {
    accept: String,
    protocols: Vec<String>,
    bytes: Vec<u8>,
}

/// A connection that both sides agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// One of those offered, or `None` if none was.
    pub protocol: Option<String>,
    /// Bytes of the last input that belong to the answer; what follows is frames already.
    pub consumed: usize,
}

/// The server's fault, or its refusal. The connection is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Not HTTP.
    #[error("the answer is no HTTP response: {0}")]
    NotHttp(String),
    /// Headers without end.
    #[error("the answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    /// The server said no; what of the body came with the headers says why.
    #[error("refused with status {status}: {body}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// As far as it arrived.
        body: String,
    },
    /// Status 101 with something wrong in it.
    #[error("the header {0} is missing or wrong")]
    Header(&'static str),
}

impl ClientHandshake {
    /// The handshake and the bytes to send. `key` is 16 random bytes, new for each connection.
    ///
    /// `host` as in the URL, with its port; `path` with the query. Both come from our own configuration, and are
    /// taken as they are.
    pub fn new(host: &str, path: &str, protocols: &[&str], key: [u8; 16]) -> (Self, Vec<u8>) {
        let key = STANDARD.encode(key);
        let offer = match protocols {
            [] => String::new(),
            names => format!("Sec-WebSocket-Protocol: {}\r\n", names.join(", ")),
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{offer}\r\n"
        );
        let handshake = ClientHandshake {
            accept: derive_accept_key(key.as_bytes()),
            protocols: protocols.iter().map(|&name| name.to_owned()).collect(),
            bytes: Vec::new(),
        };
        (handshake, request.into_bytes())
    }

    /// Takes in bytes; `None` until the answer is whole.
    ///
    /// # Errors
    /// The server refused, or its answer is not one that RFC 6455 lets a client accept.
    pub fn feed(&mut self, input: &[u8]) -> Result<Option<Agreed>, HandshakeError> {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&input[..input.len().min(ANSWER_BYTES_MAX - before)]);
        let parsed =
            client::Response::try_parse(&self.bytes).map_err(|error| HandshakeError::NotHttp(error.to_string()))?;
        match parsed {
            Some((answer_bytes, answer)) => {
                let protocol = self.check(&answer, &self.bytes[answer_bytes..])?;
                Ok(Some(Agreed { protocol, consumed: answer_bytes - before }))
            }
            None if self.bytes.len() >= ANSWER_BYTES_MAX => Err(HandshakeError::TooLong),
            None => Ok(None),
        }
    }

    fn check(&self, answer: &client::Response, body: &[u8]) -> Result<Option<String>, HandshakeError> {
        let status = answer.status().as_u16();
        if status != 101 {
            let body = String::from_utf8_lossy(body).trim_end().to_owned();
            return Err(HandshakeError::Refused { status, body });
        }
        let headers = answer.headers();
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        for (name, token) in [("Upgrade", "websocket"), ("Connection", "upgrade")] {
            if !has_token(headers, name, token) {
                return Err(HandshakeError::Header(name));
            }
        }
        if header("Sec-WebSocket-Accept") != Some(&*self.accept) {
            return Err(HandshakeError::Header("Sec-WebSocket-Accept"));
        }
        if headers.contains_key("Sec-WebSocket-Extensions") {
            return Err(HandshakeError::Header("Sec-WebSocket-Extensions"));
        }
        match header("Sec-WebSocket-Protocol") {
            None if self.protocols.is_empty() => Ok(None),
            Some(name) if self.protocols.iter().any(|offer| offer == name) => Ok(Some(name.to_owned())),
            None | Some(_) => Err(HandshakeError::Header("Sec-WebSocket-Protocol")),
        }
    }
}
