//! The opening handshake, a client's half: one request for all connections of a run, and what an answer means.
//!
//! Does no I/O. The key is the same on all connections of a run: it guards against caches and accidents, and
//! there are neither here.

use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use crate::target::Target;

/// Longest answer to the upgrade that is read, in bytes, and in header lines.
pub(crate) const RESPONSE_BYTES_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 64;

/// Server's fault, or the user's who named the wrong server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UpgradeError {
    #[error("it answered HTTP {status} {reason} and not 101; does {path} take WebSocket connections there?")]
    Status { status: u16, reason: String, path: String },
    #[error("its answer is not HTTP ({0}); is this a WebSocket server?")]
    NotHttp(#[source] httparse::Error),
    #[error("its answer is longer than {RESPONSE_BYTES_MAX} bytes or {HEADERS_MAX} header lines")]
    TooLong,
    #[error("its Sec-WebSocket-Accept is {got:?} and not {wanted:?}")]
    Accept { got: Option<String>, wanted: String },
    #[error("it chose the subprotocol {got:?}, {wanted:?} was offered")]
    Subprotocol { got: Option<String>, wanted: Option<String> },
}

/// The request, and what an answer to it must say.
#[derive(Debug)]
pub(crate) struct Upgrade {
    request: Vec<u8>,
    accept: String,
    path: String,
    subprotocol: Option<String>,
}

impl Upgrade {
    pub(crate) fn new(target: &Target, subprotocol: Option<&str>) -> Self {
        let (key, Target { host, path, .. }) = (generate_key(), target);
        let offer = subprotocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{offer}\r\n"
        );
        Self {
            request: request.into_bytes(),
            accept: derive_accept_key(key.as_bytes()),
            path: path.clone(),
            subprotocol: subprotocol.map(str::to_owned),
        }
    }

    pub(crate) fn request(&self) -> &[u8] {
        &self.request
    }

    /// How many of `bytes` are the answer, if all of it is there.
    ///
    /// # Errors
    /// The connection is of no use: see [`UpgradeError`].
    pub(crate) fn accepted(&self, bytes: &[u8]) -> Result<Option<usize>, UpgradeError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() < RESPONSE_BYTES_MAX => return Ok(None),
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => return Err(UpgradeError::TooLong),
            Err(error) => return Err(UpgradeError::NotHttp(error)),
        };
        let header = |name: &str| {
            let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            Some(String::from_utf8_lossy(found.value).trim().to_owned())
        };
        let status = response.code.unwrap_or(0);
        if status != 101 {
            let reason = response.reason.unwrap_or_default().to_owned();
            return Err(UpgradeError::Status { status, reason, path: self.path.clone() });
        }
        let accept = header("sec-websocket-accept");
        if accept.as_deref() != Some(&self.accept) {
            return Err(UpgradeError::Accept { got: accept, wanted: self.accept.clone() });
        }
        let subprotocol = header("sec-websocket-protocol");
        if subprotocol != self.subprotocol {
            return Err(UpgradeError::Subprotocol { got: subprotocol, wanted: self.subprotocol.clone() });
        }
        Ok(Some(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSEC-websocket-accept: ACCEPT\r\n";

    #[test]
    fn only_the_right_answer_opens_a_connection() {
        check(None, &format!("{OK}\r\n"), "open");
        check(None, &format!("{OK}\r\n\u{1}\u{2}"), "open");
        check(None, "", "more");
        check(None, OK, "more");
        check(None, "HTTP/1.1 404 Not Found\r\n\r\n", "HTTP 404 Not Found and not 101; does /debug/echo take");
        check(None, "SSH-2.0-OpenSSH_9.6\r\n", "is this a WebSocket server?");
        check(None, "HTTP/1.1 101 x\r\n\r\n", "Sec-WebSocket-Accept is None");
        check(None, &"HTTP/1.1 101 ".chars().cycle().take(9_000).collect::<String>(), "longer than 8192 bytes");
        check(Some("a.v1"), &format!("{OK}Sec-WebSocket-Protocol: a.v1\r\n\r\n"), "open");
        check(Some("a.v1"), &format!("{OK}\r\n"), "chose the subprotocol None");
        check(None, &format!("{OK}Sec-WebSocket-Protocol: b\r\n\r\n"), "chose the subprotocol Some(\"b\")");
    }

    fn check(subprotocol: Option<&str>, response: &str, expected: &str) {
        let target = Target::parse("ws://127.0.0.1:1", crate::target::ECHO_PATH).unwrap();
        let upgrade = Upgrade::new(&target, subprotocol);
        let response = response.replace("ACCEPT", &upgrade.accept);
        let got = match upgrade.accepted(response.as_bytes()) {
            Ok(Some(length)) => {
                assert!(response[..length].ends_with("\r\n\r\n"), "the answer ends after {length} bytes");
                "open".to_owned()
            }
            Ok(None) => "more".to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(got.contains(expected), "{response:?}: {got:?} does not say {expected:?}");
    }
}
