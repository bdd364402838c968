//! Pages of other origins: which may use this server, and what their browsers are told (CORS).
//!
//! Owns the list and its comparison, for HTTP and for whoever opens WebSockets. Nothing here guards what is asked for:
//! that is the token's to do, which a browser sends for no page by itself.

use std::net::IpAddr;
use std::str::FromStr;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use kv::Engine;

use crate::counts::Bound;
use crate::shards::Shards;
use crate::state::Api;

/// `https://HOST[:PORT]`, as a browser writes the origin of a page; or `*`, which is every origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedOrigin(Option<Origin>);

/// In lower case, without the port that its scheme has anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

/// A text that is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an origin as in https://chat.example.org, without a path, nor *")]
pub struct ParseOriginError;

impl FromStr for AllowedOrigin {
    type Err = ParseOriginError;

    fn from_str(text: &str) -> Result<Self, ParseOriginError> {
        if text == "*" { Ok(Self(None)) } else { Origin::parse(text).map(Some).map(Self).ok_or(ParseOriginError) }
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let (host, port) = place(authority)?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            return None;
        }
        let default = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        Some(Self { port: port.filter(|&port| Some(port) != default), scheme, host })
    }
}

/// Host, in lower case, and port.
fn place(authority: &str) -> Option<(String, Option<u16>)> {
    let authority: Authority = authority.parse().ok().filter(|_| !authority.contains('@'))?;
    // What stands where a port would and is none is no port to the parser.
    if authority.port().is_none() && authority.as_str() != authority.host() {
        return None;
    }
    let port = authority.port().map(|port| port.as_str().parse()).transpose().ok()?;
    Some((authority.host().to_ascii_lowercase(), port))
}

fn is_loopback(host: &str) -> bool {
    let name = host.trim_matches(['[', ']']);
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The origins whose pages may use this server, beside its own.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    allowed: Vec<AllowedOrigin>,
    /// Whether every page of this machine may.
    loopback: bool,
}

impl Origins {
    /// These, and those on loopback names and addresses if `loopback`, which is for development.
    #[must_use]
    pub fn new(allowed: Vec<AllowedOrigin>, loopback: bool) -> Self {
        Self { allowed, loopback }
    }

    /// Whether a page of this origin may call another origin's server.
    fn allows(&self, origin: &str) -> bool {
        let origin = Origin::parse(origin);
        self.allowed.iter().any(|AllowedOrigin(allowed)| allowed.is_none() || *allowed == origin)
            || (self.loopback && origin.is_some_and(|origin| is_loopback(&origin.host)))
    }

    /// Whether a page of this origin may open a WebSocket to `host`: those of the same host always may, because the
    /// page and the WebSocket of one node have different ports; names and addresses of loopback are one host.
    #[must_use]
    pub fn may_connect(&self, origin: &str, host: &str) -> bool {
        let same = || {
            let (origin, (host, _)) = (Origin::parse(origin)?.host, place(host)?);
            Some(origin == host || (is_loopback(&origin) && is_loopback(&host)))
        };
        self.allows(origin) || same().unwrap_or(false)
    }
}

/// Answers preflights, and tells browsers that pages of allowed origins may read what is answered.
pub(crate) async fn share<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    request: Request,
    next: Next,
) -> Response {
    let mut origins = request.headers().get_all(ORIGIN).iter();
    let origin = origins.next().filter(|origin| {
        origins.next().is_none() && origin.to_str().is_ok_and(|origin| api.config.origins.allows(origin))
    });
    let origin = origin.cloned();
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if preflight && origin.is_none() {
        api.node.http_counts().add(Some(Bound::Origin));
    }
    let mut response = match &origin {
        Some(_) if preflight => preflight_answer(),
        Some(_) | None => next.run(request).await,
    };
    let headers = response.headers_mut();
    // What a cache keeps for one page is not for another.
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static(
            "ETag, Retry-After, WWW-Authenticate, Allow, Location, Content-Range, Upload-Offset, Upload-Length, Upload-Expires, \
             Tus-Resumable",
        );
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}

fn preflight_answer() -> Response {
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, PUT, PATCH, DELETE"),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type, Idempotency-Key, If-None-Match, Range, Upload-Length, Upload-Offset, \
             Upload-Metadata, Tus-Resumable",
        ),
        (ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_connect_from_its_own_host_and_from_allowed_origins() {
        let check = |allowed: &str, loopback: bool, origin: &str, host: &str, expected: bool| {
            let allowed = allowed.split_whitespace().map(|text| text.parse().expect("an origin")).collect();
            let found = Origins::new(allowed, loopback).may_connect(origin, host);
            assert_eq!(found, expected, "{origin} to {host}");
        };
        check("", false, "http://chat.example.org:8000", "chat.example.org:8001", true);
        check("", false, "https://Chat.example.org", "chat.example.ORG", true);
        check("", false, "https://evil.example.org", "chat.example.org", false);
        check("", false, "https://chat.example.org.evil.com", "chat.example.org", false);
        check("", false, "https://x@chat.example.org", "chat.example.org", false);
        check("", false, "null", "chat.example.org", false);
        check("", false, "", "chat.example.org", false);
        check("", false, "http://localhost:8000", "127.0.0.1:8001", true);
        check("", false, "http://[::1]:8000", "localhost:8001", true);
        check("", false, "http://localhost:3000", "chat.example.org", false);
        check("", true, "http://localhost:3000", "192.168.0.7:8001", true);
        check("", true, "http://localhost.evil.com", "192.168.0.7:8001", false);
        check("https://app.example.com", false, "https://app.example.com", "chat.example.org", true);
        check("https://app.example.com:443", false, "https://APP.example.com", "chat.example.org", true);
        check("https://app.example.com", false, "http://app.example.com", "chat.example.org", false);
        check("https://app.example.com", false, "https://app.example.com:8443", "chat.example.org", false);
        check("capacitor://localhost", false, "capacitor://localhost", "chat.example.org", true);
        check("*", false, "null", "chat.example.org", true);
    }

    #[test]
    fn an_allowed_origin_has_no_path() {
        for text in
            ["", "app.example.com", "https://", "https://a/", "https://a/b", "https://a@b", "null", "https://a:x"]
        {
            assert_eq!(text.parse::<AllowedOrigin>(), Err(ParseOriginError), "{text}");
        }
    }
}
