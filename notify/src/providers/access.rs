//! Access tokens of a service account: an assertion signed by its key (RFC 7523) is exchanged for one.
//!
//! Owns the newest token, which all attempts share. However many want one at once, one of them fetches it, and if that
//! fails all have that failure.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use super::http::{Answer, HttpClient};
use super::jwt::RsaKey;
use crate::outcome::{Fault, Outcome};

/// What a token is for.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// Of an assertion; Google allows no more.
const ASSERTION_S: u64 = 3_600;
/// A token is fetched anew so long before it ends.
const RESERVE: Duration = Duration::from_secs(300);
/// Of a token that says nothing about it.
const EXPIRES_S: u64 = 3_600;

/// A token, and until when it is used.
pub(super) struct AccessToken {
    pub(super) authorization: String,
    until: Instant,
}

#[derive(Default)]
struct Newest {
    token: Option<Arc<AccessToken>>,
    /// The last fetch that failed, when, and what it comes to.
    failed: Option<(Instant, Outcome)>,
}

/// Fetches access tokens.
pub(super) struct AccessTokens {
    pub(super) key: RsaKey,
    pub(super) key_id: String,
    pub(super) account: String,
    pub(super) token_uri: String,
    pub(super) client: HttpClient,
    newest: Mutex<Newest>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

impl AccessTokens {
    pub(super) fn new(key: RsaKey, key_id: String, account: String, token_uri: String, client: HttpClient) -> Self {
        Self { key, key_id, account, token_uri, client, newest: Mutex::default() }
    }

    /// The newest token, fetched if there is none or it ends soon.
    ///
    /// # Errors
    /// It cannot be had: as the outcome of an attempt.
    pub(super) async fn current(&self) -> Result<Arc<AccessToken>, Outcome> {
        let wanted_at = Instant::now();
        let mut newest = self.newest.lock().await;
        if let Some(token) = newest.token.as_ref().filter(|token| Instant::now() < token.until) {
            return Ok(Arc::clone(token));
        }
        if let Some((_, outcome)) = newest.failed.as_ref().filter(|&&(failed_at, _)| failed_at >= wanted_at) {
            return Err(outcome.clone());
        }
        match self.fetch().await {
            Ok(token) => Ok(Arc::clone(newest.token.insert(Arc::new(token)))),
            Err(outcome) => {
                newest.failed = Some((Instant::now(), outcome.clone()));
                Err(outcome)
            }
        }
    }

    /// Lets go of a token that the service does not take, unless there is a newer one.
    pub(super) async fn refused(&self, token: &Arc<AccessToken>) {
        self.newest.lock().await.token.take_if(|newest| Arc::ptr_eq(newest, token));
    }

    async fn fetch(&self) -> Result<AccessToken, Outcome> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = json!({
            "iss": self.account,
            "scope": SCOPE,
            "aud": self.token_uri,
            "iat": now,
            "exp": now + ASSERTION_S,
        });
        let assertion = self.key.sign(&json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id }), &claims);
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("assertion", &assertion)
            .finish();
        let request = Request::post(&self.token_uri)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(Bytes::from(form)))
            .expect("the URL was checked when it was configured");
        granted(&self.client.send(request).await?, Instant::now())
    }
}

fn granted(answer: &Answer, now: Instant) -> Result<AccessToken, Outcome> {
    if !answer.status.is_success() {
        return Err(answer.failed(fault(answer.status.as_u16()), "no access token"));
    }
    let granted: Granted = serde_json::from_slice(&answer.body)
        .map_err(|_| Outcome::failed(Fault::Network, "an access token that is not understood"))?;
    let lasts = Duration::from_secs(granted.expires_in.unwrap_or(EXPIRES_S));
    // One that ends sooner is used once and fetched again.
    let until = now + lasts.saturating_sub(RESERVE);
    Ok(AccessToken { authorization: format!("Bearer {}", granted.access_token), until })
}

/// What an answer without a token comes to: what is wrong with the assertion is wrong with the key.
fn fault(status: u16) -> Fault {
    match status {
        429 => Fault::Quota,
        500.. => Fault::Transient,
        400..500 => Fault::Credential,
        _ => Fault::Network,
    }
}
