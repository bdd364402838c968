//! Decision on a client's upgrade request: which path, which subprotocol.

use std::borrow::Cow;

use schema::Encoding;
use wire::{Refusal, Request};

/// Where clients of the protocol connect.
pub(super) const CONNECTION_PATH: &str = "/connection/websocket";
/// Where everything comes back as it went.
const ECHO_PATH: &str = "/debug/echo";

/// What a connection is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upgrade {
    /// A session.
    Session {
        /// How its messages are encoded; JSON of one that speaks STOMP, which is translated.
        encoding: Encoding,
        /// The subprotocol to name in the answer; none if the client offered none.
        protocol: Option<&'static str>,
    },
    /// An echo, which is the transport's own affair.
    Echo {
        /// The subprotocol to name in the answer: the first that was offered.
        protocol: Option<Cow<'static, str>>,
    },
}

/// What a request is answered.
///
/// # Errors
/// The HTTP answer, for what is not served here.
pub(super) fn decide(request: &Request, echo: bool) -> Result<Upgrade, Refusal> {
    match request.path() {
        CONNECTION_PATH => {
            let offered: Vec<&str> = request.protocols().collect();
            match Encoding::ALL.into_iter().find(|encoding| offered.contains(&encoding.subprotocol())) {
                Some(encoding) => Ok(Upgrade::Session { encoding, protocol: Some(encoding.subprotocol()) }),
                None if offered.is_empty() => Ok(Upgrade::Session { encoding: Encoding::Json, protocol: None }),
                None => match super::stomp::subprotocol(&offered) {
                    Some(protocol) => Ok(Upgrade::Session { encoding: Encoding::Json, protocol: Some(protocol) }),
                    None => {
                        let remedy = "offer rookery.json.v1, rookery.fb.v1, v12.stomp, v11.stomp or v10.stomp in \
                                      Sec-WebSocket-Protocol";
                        Err(Refusal::new(400, remedy))
                    }
                },
            }
        }
        ECHO_PATH if echo => {
            let protocol = request.protocols().next().map(|protocol| Cow::Owned(protocol.to_owned()));
            Ok(Upgrade::Echo { protocol })
        }
        _ => Err(no_such_path()),
    }
}

/// The answer where nothing is served.
pub(super) fn no_such_path() -> Refusal {
    Refusal::new(404, format!("WebSocket clients connect to {CONNECTION_PATH}"))
}
