//! Web push: RFC 8030, with messages encrypted by RFC 8291 and this sender known by VAPID, RFC 8292.
//!
//! Owns the request, the sender's tokens, and what each answer comes to. The endpoint is whatever a browser named, so
//! everything goes through the guard. The service worker knows a repetition by `id`, and `tag` takes the place of another.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use schema::Medium;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::fit::fit;
use super::guard::Guard;
use super::http::{Answer, HttpClient, Versions};
use super::jwt::EcKey;
use super::setup::{KeyError, Setup};
use super::subscription::{self, Subscription};
use super::{Attempt, Provider, bounded};
use crate::links::CLICK_URL;
use crate::message::Message;
use crate::outcome::{Fault, Outcome};

/// Of plain text, so that the body has at most 4,096 bytes, which every service takes: 86 of the header, 16 of the tag
/// and the delimiter come to it.
const PLAIN_BYTES_MAX: usize = 4_096 - 86 - 16 - 1;
/// Of a token. RFC 8292 allows a day; it is made anew in time for clocks that differ.
const TOKEN_S: u64 = 12 * 3_600;
const TOKEN_AGE_MAX: Duration = Duration::from_secs(6 * 3_600);
/// Services whose tokens are kept. There are four of weight; anybody can name more.
const ORIGINS_MAX: usize = 256;
/// Services keep a message for four weeks at most.
const TTL_S_MAX: u64 = 28 * 24 * 3_600;

/// Its keys in the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    key_file: PathBuf,
    subject: String,
}

/// Every push service, for one key.
pub(super) struct WebPush {
    name: String,
    key: EcKey,
    /// Its public half, which browsers subscribe for.
    public: String,
    subject: String,
    guard: Guard,
    client: HttpClient,
    origins: Mutex<HashMap<String, Origin>>,
    attempt_ms_max: u64,
}

/// What is known of one service.
#[derive(Clone)]
struct Origin {
    authorization: Arc<str>,
    made_at: Instant,
    /// Whether it has taken a message of this key.
    knows_key: bool,
}

impl WebPush {
    /// # Errors
    /// A key of the configuration that does not do.
    pub(super) fn new(name: String, settings: Settings, setup: &Setup) -> Result<Self, KeyError> {
        let Settings { key_file, subject } = settings;
        let secret = setup.secret("key_file", &key_file)?;
        let key = EcKey::from_pem(secret.expose()).map_err(|why| KeyError::new("key_file", why))?;
        if !subject.starts_with("mailto:") && !subject.starts_with("https:") {
            return Err(KeyError::new("subject", "is no contact: mailto:somebody@example.com, or an https URL"));
        }
        let client = HttpClient::new(&setup.tls, Some(setup.guard), Versions::Any);
        let (public, origins) = (key.public(), Mutex::default());
        let (guard, attempt_ms_max) = (setup.guard, setup.attempt_ms_max);
        Ok(Self { name, key, public, subject, guard, client, origins, attempt_ms_max })
    }

    /// What browsers subscribe for: the public key in base64url.
    pub(super) fn public_key(&self) -> &str {
        &self.public
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        let subscription = match Subscription::parse(&message.target.address, self.guard) {
            Ok(subscription) => subscription,
            Err(error) => return Outcome::failed(Fault::Gone, error.to_string()),
        };
        let origin = origin(subscription.endpoint());
        let authorization = self.authorization(&origin, Instant::now());
        let request = match request(message, &subscription, &authorization, SystemTime::now()) {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        match self.client.send(request).await {
            Ok(answer) => self.outcome(&answer, &origin),
            Err(outcome) => outcome,
        }
    }

    fn outcome(&self, answer: &Answer, origin: &str) -> Outcome {
        let mut origins = self.origins.lock().expect("nobody panics with it");
        let known = origins.get_mut(origin);
        if answer.status.is_success() {
            known.into_iter().for_each(|origin| origin.knows_key = true);
            let location = answer.headers.get("location").and_then(|location| location.to_str().ok());
            let id = location.and_then(|location| location.rsplit('/').next()).filter(|id| !id.is_empty());
            return Outcome::Sent { provider_id: id.map(str::to_owned) };
        }
        let knows_key = known.is_some_and(|origin| origin.knows_key);
        answer.failed(fault(answer.status.as_u16(), &answer.body, knows_key), "")
    }

    /// The header that proves to a service who sends.
    fn authorization(&self, origin: &str, now: Instant) -> Arc<str> {
        let mut origins = self.origins.lock().expect("nobody panics with it");
        let known = origins.get(origin);
        if let Some(origin) = known.filter(|origin| now.duration_since(origin.made_at) < TOKEN_AGE_MAX) {
            return Arc::clone(&origin.authorization);
        }
        let knows_key = known.is_some_and(|origin| origin.knows_key);
        let until = unix_s(SystemTime::now()) + TOKEN_S;
        let claims = json!({ "aud": origin, "exp": until, "sub": self.subject });
        let token = self.key.sign(&json!({ "typ": "JWT", "alg": "ES256" }), &claims);
        let authorization: Arc<str> = format!("vapid t={token}, k={}", self.public).into();
        if origins.len() >= ORIGINS_MAX {
            // They cost a signature each to make again.
            origins.clear();
        }
        let made = Origin { authorization: Arc::clone(&authorization), made_at: now, knows_key };
        origins.insert(origin.to_owned(), made);
        authorization
    }
}

impl Provider for WebPush {
    fn name(&self) -> &str {
        &self.name
    }

    fn medium(&self) -> Medium {
        Medium::WebPush
    }

    fn service(&self, message: &Message) -> Option<String> {
        // Of a subscription that is none the attempt says so.
        Some(subscription::host(&message.target.address).unwrap_or_default())
    }

    fn send<'a>(&'a self, message: &'a Message) -> Attempt<'a> {
        bounded(self.attempt_ms_max, self.attempt(message))
    }
}

fn request(
    message: &Message,
    subscription: &Subscription,
    authorization: &str,
    now: SystemTime,
) -> Result<Request<Full<Bytes>>, Outcome> {
    let plain = plain(message).ok_or_else(|| Outcome::failed(Fault::Payload, "its data are too large"))?;
    let body = subscription.encrypt(plain).map_err(|why| Outcome::failed(Fault::Payload, why))?;
    let ttl_s = (message.expires_ms.0 / 1_000).saturating_sub(unix_s(now)).min(TTL_S_MAX);
    let mut request = Request::post(subscription.endpoint().clone())
        .header("authorization", authorization)
        .header("content-encoding", "aes128gcm")
        .header("content-type", "application/octet-stream")
        .header("ttl", ttl_s)
        .header("urgency", if message.is_urgent { "high" } else { "normal" });
    if !message.collapse.is_empty() {
        request = request.header("topic", topic(&message.collapse));
    }
    request.body(Full::from(body)).map_err(|_| Outcome::failed(Fault::Payload, "no request can be made of it"))
}

/// At most 32 characters of base64url: a hash, since what is collapsed has more.
fn topic(collapse: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(collapse)[..24])
}

/// What a service worker is sent; `None` if it is too large with no text at all.
fn plain(message: &Message) -> Option<Vec<u8>> {
    fit(&message.title, &message.body, PLAIN_BYTES_MAX, |title, body| {
        let mut plain = json!({ "id": message.id.to_string(), "title": title, "body": body, "data": message.data });
        if !message.collapse.is_empty() {
            plain["tag"] = message.collapse.as_str().into();
        }
        if let Some(badge) = message.badge {
            plain["badge"] = badge.into();
        }
        if let Some(url) = message.data.get(CLICK_URL).or_else(|| message.data.get("url")) {
            plain["url"] = url.as_str().into();
        }
        if let Some(media) = &message.media {
            plain["image"] = media.as_str().into();
        }
        plain.to_string().into_bytes()
    })
}

/// The origin of a URL (RFC 6454), which a token is for: without the port that its scheme has anyway.
fn origin(endpoint: &Uri) -> String {
    let (scheme, host) = (endpoint.scheme_str().unwrap_or_default(), endpoint.host().unwrap_or_default());
    let host = host.to_ascii_lowercase();
    match (scheme, endpoint.port_u16()) {
        (_, None) | ("https", Some(443)) | ("http", Some(80)) => format!("{scheme}://{host}"),
        (_, Some(port)) => format!("{scheme}://{host}:{port}"),
    }
}

/// What an answer that is none of success comes to, of a service that has taken messages of this key, or not yet. It
/// cannot say of a key that it has taken that it does not count: there it is the subscription, made for another key, or a
/// clock. That stops nothing for others, and is no reason to forget a target.
fn fault(status: u16, body: &[u8], knows_key: bool) -> Fault {
    let names_key = || {
        let text = String::from_utf8_lossy(body).to_ascii_lowercase();
        ["vapid", "jwt", "crypto-key", "unauthorizedregistration"].iter().any(|word| text.contains(word))
    };
    let key = if knows_key { Fault::Transient } else { Fault::Credential };
    match status {
        404 | 410 => Fault::Gone,
        401 | 403 => key,
        400 if names_key() => key,
        429 => Fault::Quota,
        500.. => Fault::Transient,
        // Redirects are not followed: they would lead past what was registered.
        _ => Fault::Payload,
    }
}

fn unix_s(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_a_class() {
        let check = |status, body: &str, expected, expected_known| {
            let found = [false, true].map(|knows_key| fault(status, body.as_bytes(), knows_key));
            assert_eq!(found, [expected, expected_known], "{status} {body}");
        };
        let same = |status, body: &str, expected| check(status, body, expected, expected);
        same(404, "", Fault::Gone);
        same(410, "", Fault::Gone);
        same(413, "", Fault::Payload);
        same(400, "bad TTL", Fault::Payload);
        same(307, "", Fault::Payload);
        same(429, "", Fault::Quota);
        same(500, "", Fault::Transient);
        same(503, "vapid", Fault::Transient);
        let key = |status, body: &str| check(status, body, Fault::Credential, Fault::Transient);
        key(401, "");
        key(403, "");
        key(400, "VAPID public key mismatch");
        key(400, r#"{"reason":"VapidPkHashMismatch"}"#);
        key(400, r#"{"reason":"BadJwtToken"}"#);
        key(400, "UnauthorizedRegistration");
    }

    #[test]
    fn a_token_is_for_an_origin() {
        let check = |url: &str, expected: &str| assert_eq!(origin(&url.parse().expect("a URL")), expected);
        check("https://fcm.googleapis.com/fcm/send/x", "https://fcm.googleapis.com");
        check("https://Push.Example:443/x", "https://push.example");
        check("https://push.example:8443/x", "https://push.example:8443");
        check("http://127.0.0.1:80/x", "http://127.0.0.1");
        check("https://[2606:4700::1]:444/x", "https://[2606:4700::1]:444");
    }

    #[test]
    fn a_topic_has_32_characters_whatever_it_is_of() {
        for collapse in ["c", "a-channel-of-a-name-that-is-longer-than-thirty-two-characters-64"] {
            assert_eq!(topic(collapse).len(), 32);
        }
        assert_ne!(topic("a"), topic("b"));
    }
}
