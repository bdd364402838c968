//! Calls of applications' own servers: a body of lines, signed, to a URL that an operator has set.
//!
//! Owns the request, its signature and what counts as taken. Goes through the guard as what users name does, since a URL
//! is given to operators by others: https, no private address, no redirect.

use std::time::Duration;

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

/// The header that a call is signed in: `t=SECONDS,v1=HEX`.
pub(super) const SIGNATURE: &str = "rookery-signature";

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
    fn a_call_is_signed_as_the_manual_says() {
        // printf '1800000000.{"a":1}\n' | openssl dgst -sha256 -hmac secret
        let expected = "t=1800000000,v1=856323da5ffc5237b1a543c30f697dd49657318fda5b9e424eb048fd54ff1f6d";
        assert_eq!(signature("secret", UnixMs(1_800_000_000_999), b"{\"a\":1}\n"), expected);
    }
}
