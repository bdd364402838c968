//! HTTP client of the providers: HTTP/1.1 and HTTP/2 by ALPN, TLS by rustls.
//!
//! Owns what is the same for every service: a bounded answer, no redirect followed, what `Retry-After` says, and what a
//! lost connection comes to. How long an attempt may take is the trait's ([`super::bounded`]).

use std::error::Error;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use super::connect::{ConnectError, Connector};
use super::guard::Guard;
use crate::outcome::{Fault, Outcome};

/// Bytes of an answer. Those of every service here are below 2 KB.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// What a `Retry-After` counts for at most: what is put off for longer is put off by our own rule.
const RETRY_AFTER_MS_MAX: u64 = 3_600_000;
/// Idle connections to one host that are kept, of HTTP/1.1; of HTTP/2 there is one.
const IDLE_MAX: usize = 64;
/// Before a connection is closed by a service that does not say so.
const IDLE_MS_MAX: u64 = 60_000;
/// A connection of HTTP/2 that says nothing to a ping for so long is closed, so that the next attempt makes another.
const PING_MS: u64 = 30_000;
const PING_ANSWER_MS_MAX: u64 = 10_000;

/// Which versions of HTTP a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Versions {
    /// HTTP/2 alone; over plain TCP without asking.
    Http2,
    /// Whatever TLS agrees on; HTTP/1.1 over plain TCP.
    Any,
}

/// What a service answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Empty if it was cut short or too long: the status says what happened all the same.
    pub(super) body: Bytes,
}

impl Answer {
    /// How long the service wants to be left alone.
    pub(super) fn retry_after_ms(&self) -> Option<u64> {
        retry_after_ms(self.headers.get(RETRY_AFTER)?.to_str().ok()?, SystemTime::now())
    }

    /// A failure of a class, with what the service says of when to try again.
    pub(super) fn failed(&self, fault: Fault, word: &str) -> Outcome {
        let mut outcome = Outcome::failed(fault, format!("{} {}", self.status.as_u16(), printable(word)));
        if let Outcome::Failed { retry_after_ms, .. } = &mut outcome {
            *retry_after_ms = self.retry_after_ms();
        }
        outcome
    }
}

/// Of a service's own word what is shown: codes are shown, sentences, in which addresses may be, are not.
fn printable(word: &str) -> &str {
    let is_code = word.len() <= 64 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if is_code { word } else { "" }
}

/// Seconds or a date, in milliseconds from `now`.
fn retry_after_ms(text: &str, now: SystemTime) -> Option<u64> {
    let text = text.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).min(RETRY_AFTER_MS_MAX))
}

/// A client with its connections. Cloning it shares them.
#[derive(Clone)]
pub(super) struct HttpClient {
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
}

impl HttpClient {
    /// One that believes the authorities of `tls`, and connects where the guard allows, or anywhere without one.
    pub(super) fn new(tls: &ClientConfig, guard: Option<Guard>, versions: Versions) -> Self {
        let https = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
        let https = match versions {
            Versions::Http2 => https.enable_http2().wrap_connector(Connector { guard }),
            Versions::Any => https.enable_all_versions().wrap_connector(Connector { guard }),
        };
        let client = Client::builder(TokioExecutor::new())
            .http2_only(versions == Versions::Http2)
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_millis(IDLE_MS_MAX))
            .pool_max_idle_per_host(IDLE_MAX)
            .http2_keep_alive_interval(Duration::from_millis(PING_MS))
            .http2_keep_alive_timeout(Duration::from_millis(PING_ANSWER_MS_MAX))
            .build(https);
        Self { client }
    }

    /// Sends a request, and waits for the head of its answer.
    ///
    /// # Errors
    /// There is none, as of [`Self::send`].
    pub(super) async fn begin(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Outcome> {
        self.client.request(request).await.map_err(|error| lost(&error))
    }

    /// Sends a request, and waits for its whole answer.
    ///
    /// # Errors
    /// There is none: what that comes to, as an outcome. It may have been taken all the same.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, Outcome> {
        let (head, body) = self.begin(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

/// What a request without an answer comes to. Whom the guard refuses is no trouble that passes.
fn lost(error: &(dyn Error + 'static)) -> Outcome {
    let causes = || std::iter::successors(Some(error), |&error| error.source());
    if let Some(error) = causes().find_map(|cause| cause.downcast_ref::<ConnectError>()) {
        return match error {
            ConnectError::Refused => Outcome::failed(Fault::Payload, error.to_string()),
            ConnectError::Name(_) | ConnectError::Connect(_) => Outcome::failed(Fault::Network, error.to_string()),
        };
    }
    let last = causes().last().unwrap_or(error);
    Outcome::failed(Fault::Network, format!("no answer: {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_an_hour() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        let check = |text: &str, expected| assert_eq!(retry_after_ms(text, now), expected, "{text}");
        check("0", Some(0));
        check(" 120 ", Some(120_000));
        check("86400", Some(RETRY_AFTER_MS_MAX));
        check("99999999999999999999", None);
        check("Sun, 06 Nov 1994 08:49:39 GMT", Some(2_000));
        check("Sun, 06 Nov 1994 08:49:30 GMT", Some(0));
        check("Mon, 07 Nov 1994 08:49:37 GMT", Some(RETRY_AFTER_MS_MAX));
        check("soon", None);
        check("-1", None);
        check("1.5", None);
    }

    #[test]
    fn a_code_of_a_service_is_shown_and_its_sentences_are_not() {
        let check = |word: &str, expected: &str| assert_eq!(printable(word), expected, "{word}");
        check("BadDeviceToken", "BadDeviceToken");
        check("21211", "21211");
        check("The 'To' number +15005550001 is not valid", "");
        check("", "");
        check(&"x".repeat(65), "");
    }

    #[tokio::test]
    async fn what_the_guard_refuses_is_not_tried_again_and_what_is_not_there_is() {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls = ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has suites for these")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound").local_addr().expect("bound");
        let check = async |guard, scheme: &str, expected| {
            let client = HttpClient::new(&tls, guard, Versions::Any);
            let request = Request::post(format!("{scheme}://localhost:{}/", closed.port())).body(Full::default());
            let outcome = client.send(request.expect("legal")).await.expect_err("nobody listens");
            assert!(matches!(outcome, Outcome::Failed { fault, .. } if fault == expected), "{outcome:?}");
        };
        for scheme in ["http", "https"] {
            check(Some(Guard::default()), scheme, Fault::Payload).await;
            check(Some(Guard { allow_loopback: true }), scheme, Fault::Network).await;
            check(None, scheme, Fault::Network).await;
        }
    }
}
