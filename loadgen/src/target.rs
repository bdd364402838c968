//! Address of the server: the rules of `--url`.
//!
//! Owns parsing, the default path and name lookup. Opens no connection.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, bail};
use http::Uri;

/// Where a node's clients connect.
pub(crate) const SESSION_PATH: &str = "/connection/websocket";
/// Where a node in dev mode echoes every message unchanged.
pub(crate) const ECHO_PATH: &str = "/debug/echo";

/// One server and the resource on it that every connection asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The `Host` header: what the user named, not what it resolved to.
    pub(crate) host: String,
    pub(crate) path: String,
}

impl Target {
    /// Resolves `url`; a URL that names no path gets `default_path`, one that says `/` keeps it.
    pub(crate) fn parse(url: &str, default_path: &str) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("--url {url} is not a URL like ws://HOST:PORT/path"))?;
        match uri.scheme_str() {
            Some("ws") => {}
            Some("wss") => bail!("--url {url}: TLS is not spoken here; name the address behind the TLS terminator"),
            Some(other) => bail!("--url {url}: the scheme is {other}, only ws is known"),
            None => bail!("--url {url} lacks a scheme: write ws://{url}"),
        }
        let authority = uri.authority().with_context(|| format!("--url {url} names no host"))?;
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => Some(80),
            Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()),
            None => None,
        };
        let port: u16 = port.with_context(|| format!("--url {url}: {authority} is not HOST or HOST:PORT"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let address = (host, port)
            .to_socket_addrs()
            .with_context(|| format!("--url {url}: cannot look up {host}"))?
            .min_by_key(SocketAddr::is_ipv6)
            .with_context(|| format!("--url {url}: {host} has no address"))?;
        let names_a_path = url.ends_with('/') || uri.path() != "/" || uri.query().is_some();
        let path = match uri.path_and_query() {
            Some(path) if names_a_path => path.as_str(),
            _ => default_path,
        };
        Ok(Self { address, host: authority.as_str().to_owned(), path: path.to_owned() })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ws://{}{}", self.host, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_an_address_and_a_path() {
        check("ws://127.0.0.1:8001", "127.0.0.1:8001 127.0.0.1:8001 /debug/echo");
        check("ws://127.0.0.1:8001/", "127.0.0.1:8001 127.0.0.1:8001 /");
        check("ws://127.0.0.1", "127.0.0.1:80 127.0.0.1 /debug/echo");
        check("ws://127.0.0.1:9001/a/b?c=d", "127.0.0.1:9001 127.0.0.1:9001 /a/b?c=d");
        check("ws://127.0.0.1:9001/?c=d", "127.0.0.1:9001 127.0.0.1:9001 /?c=d");
        check("ws://[::1]:8001", "[::1]:8001 [::1]:8001 /debug/echo");
    }

    #[test]
    fn what_cannot_be_spoken_is_refused_with_the_reason() {
        check("wss://127.0.0.1:8001", "TLS is not spoken here");
        check("http://127.0.0.1:8001", "the scheme is http");
        check("127.0.0.1:8001", "lacks a scheme");
        check("ws://127.0.0.1:99999", "is not HOST or HOST:PORT");
        check("ws://user@127.0.0.1", "is not HOST or HOST:PORT");
        check("ws://127.0.0.1:", "is not HOST or HOST:PORT");
        check("ws://no-such-host.invalid:1", "cannot look up no-such-host.invalid");
    }

    fn check(url: &str, expected: &str) {
        match Target::parse(url, ECHO_PATH) {
            Ok(target) => assert_eq!(format!("{} {} {}", target.address, target.host, target.path), expected, "{url}"),
            Err(error) => {
                let error = format!("{error:#}");
                assert!(error.contains(expected), "{url}: {error:?} does not say {expected:?}");
            }
        }
    }
}
