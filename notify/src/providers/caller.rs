//! Calls of applications' own servers: a body of lines, signed, to a URL that an operator has set.
//!
//! Owns the request, its signature and what counts as taken. Goes through the guard as what users name does, since a URL
//! is given to operators by others: https, no private address, no redirect.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use ring::hmac;
use rustls::ClientConfig;
use schema::UnixMs;
use tokio::time::timeout;

use super::ATTEMPT_MS_MAX;
use super::guard::Guard;
use super::http::{HttpClient, Versions};
use super::setup::{Keys, Setup};
use crate::outcome::Outcome;

/// What a webhook's secret begins with, before its bytes in base64.
const HOOK_SECRET: &str = "whsec_";
/// The header that a call is signed in: `t=SECONDS,v1=HEX`.
pub(super) const SIGNATURE: &str = "rookery-signature";

/// How long a webhook may take to answer.
const HOOK_MS_MAX: u64 = 20_000;

/// What a webhook answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookAnswer {
    /// Its status; 0 without an answer.
    pub status: u16,
    /// Why it has not taken what it was told; `None` if it has.
    pub why: Option<String>,
    /// How long it wants to be left alone, if it says so.
    pub retry_after_ms: Option<u64>,
}

impl HookAnswer {
    fn failed(why: impl Into<String>) -> Self {
        Self { status: 0, why: Some(why.into()), retry_after_ms: None }
    }
}

/// Who calls.
pub struct Caller {
    client: HttpClient,
    tls: Arc<ClientConfig>,
    guard: Guard,
    attempt_ms_max: u64,
}

impl Caller {
    pub(super) fn new(setup: &Setup) -> Self {
        let client = HttpClient::new(&setup.tls, Some(setup.guard), Versions::Any);
        let tls = Arc::new(setup.tls.clone());
        Self { client, tls, guard: setup.guard, attempt_ms_max: setup.attempt_ms_max }
    }

    /// One of a node without a configuration: it believes the authorities that the world believes, and reaches public addresses
    /// alone.
    #[must_use]
    pub fn plain() -> Self {
        let keys = Keys { allow_loopback: false, ca_file: None, attempt_ms_max: ATTEMPT_MS_MAX };
        Self::new(&Setup::new(Path::new(""), &keys).expect("legal keys, and no file"))
    }

    /// One that calls as this does, with connections of its own: for another runtime.
    #[must_use]
    pub fn again(&self) -> Self {
        let Self { client: _, tls, guard, attempt_ms_max } = self;
        let client = HttpClient::new(tls, Some(*guard), Versions::Any);
        Self { client, tls: Arc::clone(tls), guard: *guard, attempt_ms_max: *attempt_ms_max }
    }

    /// Posts lines of JSON. Whoever is called has taken them where its answer is one of success.
    ///
    /// # Errors
    /// Why they were not taken, as far as is known: they may have been all the same.
    pub async fn post(&self, url: &str, secret: &str, lines: Vec<u8>, now: UnixMs) -> Result<(), String> {
        let uri = self.guard.check_endpoint(url).map_err(|error| error.to_string())?;
        let request = Request::post(uri)
            .header("content-type", "application/x-ndjson")
            .header(SIGNATURE, signature(secret, now, &lines))
            .body(Full::from(Bytes::from(lines)))
            .map_err(|_| "the URL makes no request".to_owned())?;
        let answer = timeout(Duration::from_millis(self.attempt_ms_max), self.client.send(request)).await;
        match answer {
            Ok(Ok(answer)) if answer.status.is_success() => Ok(()),
            Ok(Ok(answer)) => Err(format!("it answers {}", answer.status.as_u16())),
            Ok(Err(Outcome::Failed { detail, .. })) => Err(detail),
            Ok(Err(Outcome::Sent { .. })) => Err("no answer".to_owned()),
            Err(_) => Err(format!("no answer within {} ms", self.attempt_ms_max)),
        }
    }

    /// Calls a webhook with a body of JSON, as Standard Webhooks says. It has taken it where its answer is one of success; a
    /// redirect is none, and is not followed. Without an answer of success it may have taken it all the same.
    pub async fn call_hook(&self, url: &str, secret: &str, id: &str, body: Vec<u8>, now: UnixMs) -> HookAnswer {
        let request = match hook_request(self.guard, (url, secret), id, body, now) {
            Ok(request) => request,
            Err(why) => return HookAnswer::failed(why),
        };
        match timeout(Duration::from_millis(HOOK_MS_MAX), self.client.send(request)).await {
            Ok(Ok(answer)) => {
                let status = answer.status.as_u16();
                let why = (!answer.status.is_success()).then(|| format!("it answers {status}"));
                HookAnswer { status, why, retry_after_ms: answer.retry_after_ms() }
            }
            Ok(Err(Outcome::Failed { detail, .. })) => HookAnswer::failed(detail),
            Ok(Err(Outcome::Sent { .. })) => HookAnswer::failed("no answer"),
            Err(_) => HookAnswer::failed(format!("no answer within {HOOK_MS_MAX} ms")),
        }
    }

    /// Asks a webhook, as Standard Webhooks says: the status of its answer and its body. Whoever asks gives it up at `until` by
    /// dropping it, or earlier: what was not answered by then was the last that went by its connection, which may be dead without
    /// anybody's having said so. HTTP/2 would find that out by a ping, half a minute later.
    ///
    /// # Errors
    /// Why there is no answer, or that it has more than `bytes_max` bytes.
    pub async fn ask_hook(
        &self,
        hook: (&str, &str),
        id: &str,
        body: Vec<u8>,
        bytes_max: usize,
        now: UnixMs,
        until: Instant,
    ) -> Result<(u16, Bytes), String> {
        let mut request = hook_request(self.guard, hook, id, body, now)?;
        let _leaving = LeaveUnanswered { connection: capture_connection(&mut request), until };
        let answer = self.client.begin(request).await.map_err(|outcome| match outcome {
            Outcome::Failed { detail, .. } => detail,
            Outcome::Sent { .. } => "no answer".to_owned(),
        })?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), bytes_max).collect().await;
        let body = body.map_err(|_| format!("its answer is cut short, or has more than {bytes_max} bytes"))?;
        Ok((status, body.to_bytes()))
    }
}

/// Keeps other requests off the connection of one that is dropped at its time.
struct LeaveUnanswered {
    connection: CaptureConnection,
    until: Instant,
}

impl Drop for LeaveUnanswered {
    fn drop(&mut self) {
        if Instant::now() < self.until {
            return;
        }
        if let Some(connection) = self.connection.connection_metadata().as_ref() {
            connection.poison();
        }
    }
}

/// A request to a webhook, as Standard Webhooks says.
///
/// # Errors
/// Why there is none.
fn hook_request(
    guard: Guard,
    (url, secret): (&str, &str),
    id: &str,
    body: Vec<u8>,
    now: UnixMs,
) -> Result<Request<Full<Bytes>>, String> {
    let uri = guard.check_endpoint(url).map_err(|error| error.to_string())?;
    let seconds = now.0 / 1_000;
    let signature = hook_signature(secret, id, seconds, &body).ok_or("its secret is none")?;
    let request = Request::post(uri)
        .header("content-type", "application/json")
        .header("user-agent", "rookery")
        .header("webhook-id", id)
        .header("webhook-timestamp", seconds)
        .header("webhook-signature", signature)
        .body(Full::from(Bytes::from(body)));
    request.map_err(|_| "the URL makes no request".to_owned())
}

/// The signature of Standard Webhooks: HMAC-SHA-256 in base64 over the call's id, the time in Unix seconds and the body, with a
/// full stop between them. `None` if the secret is not `whsec_` and base64.
fn hook_signature(secret: &str, id: &str, seconds: u64, body: &[u8]) -> Option<String> {
    let key = STANDARD.decode(secret.strip_prefix(HOOK_SECRET)?).ok()?;
    let mut signing = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
    signing.update(format!("{id}.{seconds}.").as_bytes());
    signing.update(body);
    Some(format!("v1,{}", STANDARD.encode(signing.sign().as_ref())))
}

/// HMAC-SHA-256 over the time in Unix seconds, a full stop and the body: who checks it also refuses what is old.
pub(super) fn signature(secret: &str, now: UnixMs, body: &[u8]) -> String {
    let seconds = now.0 / 1_000;
    let mut signing = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
    signing.update(format!("{seconds}.").as_bytes());
    signing.update(body);
    let hex: String = signing.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_question_that_ran_out_of_time_is_the_last_of_its_connection() {
        // Takes connections, and never says anything.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let (at, accepted) = (listener.local_addr().expect("bound"), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Relaxed);
                tokio::spawn(async move { while stream.read(&mut [0; 1024]).await.is_ok_and(|bytes| bytes > 0) {} });
            }
        });
        let caller = Caller::plain();
        let guard = Guard { allow_loopback: true };
        let client = HttpClient::new(&caller.tls, Some(guard), Versions::Http2);
        let caller = Caller { client, guard, ..caller };
        let url = format!("http://{at}/");
        // The time that it has, and how long it is waited for; the connections that there have been then.
        let check = async |has_ms: u64, waited_ms: u64, connections: u32| {
            let until = Instant::now() + Duration::from_millis(has_ms);
            let asking = caller.ask_hook((&url, "whsec_MfKQ"), "ask_1", b"{}".to_vec(), 1_024, UnixMs(0), until);
            let answer = timeout(Duration::from_millis(waited_ms), asking).await;
            assert!(answer.is_err(), "{answer:?}");
            assert_eq!(accepted.load(Relaxed), connections, "{waited_ms} ms of {has_ms}");
        };
        check(5_000, 100, 1).await;
        check(5_000, 100, 1).await;
        check(100, 100, 1).await;
        check(5_000, 100, 2).await;
        check(100, 100, 2).await;
        check(100, 100, 3).await;
    }

    #[test]
    fn a_webhook_is_signed_as_standard_webhooks_says() {
        // The example of that specification.
        let (secret, id) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek");
        let found = hook_signature(secret, id, 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(found.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(hook_signature("MfKQ", id, 1, b""), None);
        assert_eq!(hook_signature("whsec_?", id, 1, b""), None);
    }

    #[test]
    fn a_call_is_signed_as_the_manual_says() {
        // printf '1800000000.{"a":1}\n' | openssl dgst -sha256 -hmac secret
        let expected = "t=1800000000,v1=856323da5ffc5237b1a543c30f697dd49657318fda5b9e424eb048fd54ff1f6d";
        assert_eq!(signature("secret", UnixMs(1_800_000_000_999), b"{\"a\":1}\n"), expected);
    }
}
