//! Calls of applications' own servers: a body of lines, signed, to a URL that an operator has set.
//!
//! Owns the request, its signature and what counts as taken. Goes through the guard as what users name does, since a URL
//! is given to operators by others: https, no private address, no redirect.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use ring::hmac;
use schema::UnixMs;
use tokio::time::timeout;

use super::guard::Guard;
use super::http::{HttpClient, Versions};
use super::setup::Setup;
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
    guard: Guard,
    attempt_ms_max: u64,
}

impl Caller {
    pub(super) fn new(setup: &Setup) -> Self {
        let client = HttpClient::new(&setup.tls, Some(setup.guard), Versions::Any);
        Self { client, guard: setup.guard, attempt_ms_max: setup.attempt_ms_max }
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
        let uri = match self.guard.check_endpoint(url) {
            Ok(uri) => uri,
            Err(error) => return HookAnswer::failed(error.to_string()),
        };
        let seconds = now.0 / 1_000;
        let Some(signature) = hook_signature(secret, id, seconds, &body) else {
            return HookAnswer::failed("its secret is none");
        };
        let request = Request::post(uri)
            .header("content-type", "application/json")
            .header("user-agent", "rookery")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature)
            .body(Full::from(Bytes::from(body)));
        let Ok(request) = request else { return HookAnswer::failed("the URL makes no request") };
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
    use super::*;

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
