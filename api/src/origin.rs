//! The addresses at which a client can reach this node, and the `Host` by which it has reached it.
//!
//! Owns one rule: a node that listens on every address does not know which of them a client can reach, but the client
//! has just reached one, and says so in `Host`.

use std::borrow::Cow;
use std::net::SocketAddr;

use axum::http::HeaderMap;
use axum::http::header::HOST;

/// `ws://HOST:PORT` or `http://HOST:PORT`, where the host may be the client's own word for us.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    configured: String,
    /// The scheme and the port, if the configured host is every address.
    anywhere: Option<(String, u16)>,
}

impl Origin {
    /// From the configuration.
    pub(crate) fn new(configured: &str) -> Self {
        let parts = configured.split_once("://");
        let address = parts.and_then(|(scheme, address)| Some((scheme, address.parse::<SocketAddr>().ok()?)));
        let anywhere = address.filter(|(_, address)| address.ip().is_unspecified());
        let anywhere = anywhere.map(|(scheme, address)| (scheme.to_owned(), address.port()));
        Self { configured: configured.to_owned(), anywhere }
    }

    /// As this client can reach it.
    pub(crate) fn for_client(&self, headers: &HeaderMap) -> Cow<'_, str> {
        match (&self.anywhere, host(headers)) {
            (Some((scheme, port)), Some(host)) => format!("{scheme}://{host}:{port}").into(),
            (Some(_), None) | (None, _) => self.configured.as_str().into(),
        }
    }
}

/// The host that a client asked for, without the port; none if it is not a plain name or address.
pub(crate) fn host(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(HOST)?.to_str().ok()?;
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let name = &host[..end];
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    (!name.is_empty() && name.bytes().all(plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_node_that_listens_everywhere_is_where_the_client_found_it() {
        let check = |configured: &str, host: &'static str, expected: &str| {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            assert_eq!(Origin::new(configured).for_client(&headers), expected, "{configured} {host}");
        };
        check("ws://127.0.0.1:8001", "chat.example.org:8000", "ws://127.0.0.1:8001");
        check("wss://chat.example.org", "10.0.0.1:8000", "wss://chat.example.org");
        check("ws://0.0.0.0:8001", "chat.example.org:8000", "ws://chat.example.org:8001");
        check("ws://0.0.0.0:8001", "chat.example.org", "ws://chat.example.org:8001");
        check("ws://[::]:8001", "[2001:db8::1]:8000", "ws://[2001:db8::1]:8001");
        check("ws://[::]:8001", "[2001:db8::1", "ws://[::]:8001");
        check("ws://0.0.0.0:8001", "a; script-src *", "ws://0.0.0.0:8001");
        check("ws://0.0.0.0:8001", "", "ws://0.0.0.0:8001");
        check("http://0.0.0.0:8000", "chat.example.org:8000", "http://chat.example.org:8000");
    }
}
