//! Apple's push notification service: token-based connections over HTTP/2.
//!
//! Owns the request, the provider token with its age, and what each answer comes to. By Apple's "Sending notification
//! requests to APNs" and "Handling notification responses from APNs". The sink knows a repetition by `apns-id`.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use schema::Medium;
use serde::Deserialize;
use serde_json::{Value, json};

use super::fit::fit;
use super::http::{Answer, HttpClient, Versions};
use super::jwt::EcKey;
use super::setup::{KeyError, Setup};
use super::{Attempt, Provider, bounded};
use crate::message::Message;
use crate::outcome::{Fault, Outcome};

/// Apple's limit for everything but VoIP.
const PAYLOAD_BYTES_MAX: usize = 4_096;
/// Apple takes a provider token for 60 minutes, and a new one not more than once in 20.
const TOKEN_AGE_MAX: Duration = Duration::from_secs(50 * 60);
const TOKEN_AGE_MIN: Duration = Duration::from_secs(20 * 60);
/// Device tokens have 32 bytes today, in hexadecimal; Apple names no limit.
const DEVICE_TOKEN_CHARS_MAX: usize = 512;

/// Its keys in the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    key_file: std::path::PathBuf,
    key_id: String,
    team_id: String,
    topic: String,
    #[serde(default = "url")]
    url: String,
    #[serde(default = "development_url")]
    development_url: String,
}

fn url() -> String {
    "https://api.push.apple.com".to_owned()
}

fn development_url() -> String {
    "https://api.sandbox.push.apple.com".to_owned()
}

/// The service for one team.
pub(super) struct Apns {
    name: String,
    topic: HeaderValue,
    url: String,
    development_url: String,
    tokens: Tokens,
    client: HttpClient,
    attempt_ms_max: u64,
}

impl Apns {
    /// # Errors
    /// A key of the configuration that does not do.
    pub(super) fn new(name: String, settings: Settings, setup: &Setup) -> Result<Self, KeyError> {
        let Settings { key_file, key_id, team_id, topic, url, development_url } = settings;
        let secret = setup.secret("key_file", &key_file)?;
        let key = EcKey::from_pem(secret.expose()).map_err(|why| KeyError::new("key_file", why))?;
        let topic = HeaderValue::from_str(&topic).ok().filter(|topic| !topic.is_empty());
        Ok(Self {
            name,
            topic: topic.ok_or_else(|| KeyError::new("topic", "is no bundle id: com.example.app"))?,
            url: setup.url("url", &url)?,
            development_url: setup.url("development_url", &development_url)?,
            tokens: Tokens { key, key_id, team_id, newest: Mutex::new(None) },
            client: HttpClient::new(&setup.tls, None, Versions::Http2),
            attempt_ms_max: setup.attempt_ms_max,
        })
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        let token = self.tokens.current(Instant::now());
        let request = match self.request(message, &token.text) {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        match self.client.send(request).await {
            Ok(answer) => self.outcome(&answer, &token),
            Err(outcome) => outcome,
        }
    }

    fn request(&self, message: &Message, token: &str) -> Result<Request<Full<Bytes>>, Outcome> {
        let target = &message.target;
        let is_token = (1..=DEVICE_TOKEN_CHARS_MAX).contains(&target.address.len())
            && target.address.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_token {
            return Err(Outcome::failed(Fault::Gone, "no device token"));
        }
        let topic = match target.app.as_str() {
            "" => self.topic.clone(),
            app => HeaderValue::from_str(app).map_err(|_| Outcome::failed(Fault::Gone, "no topic"))?,
        };
        let payload = payload(message).ok_or_else(|| Outcome::failed(Fault::Payload, "its data are too large"))?;
        let base = if target.is_development { &self.development_url } else { &self.url };
        let mut request = Request::post(format!("{base}/3/device/{}", target.address))
            .header("authorization", format!("bearer {token}"))
            .header("apns-id", message.id.hyphenated().to_string())
            .header("apns-topic", topic)
            .header("apns-push-type", "alert")
            .header("apns-priority", if message.is_urgent { "10" } else { "5" })
            .header("apns-expiration", (message.expires_ms.0 / 1_000).to_string());
        if !message.collapse.is_empty() {
            request = request.header("apns-collapse-id", &message.collapse);
        }
        request.body(Full::from(payload)).map_err(|_| Outcome::failed(Fault::Payload, "no request can be made of it"))
    }

    fn outcome(&self, answer: &Answer, token: &Arc<Token>) -> Outcome {
        if answer.status == StatusCode::OK {
            let id = answer.headers.get("apns-id").and_then(|id| id.to_str().ok());
            return Outcome::Sent { provider_id: id.map(str::to_owned) };
        }
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let reason = body["reason"].as_str().unwrap_or_default();
        let fault = match fault(answer.status.as_u16(), reason) {
            // With one that is new a newer one would fare no better: it is the key, or this machine's clock.
            Fault::Transient if reason == "ExpiredProviderToken" && !self.tokens.drop(token, Instant::now()) => {
                Fault::Credential
            }
            fault => fault,
        };
        answer.failed(fault, reason)
    }
}

impl Provider for Apns {
    fn name(&self) -> &str {
        &self.name
    }

    fn medium(&self) -> Medium {
        Medium::Apns
    }

    fn send<'a>(&'a self, message: &'a Message) -> Attempt<'a> {
        bounded(self.attempt_ms_max, self.attempt(message))
    }
}

/// What an answer that is none of success comes to.
fn fault(status: u16, reason: &str) -> Fault {
    match (status, reason) {
        (410, _) | (400, "BadDeviceToken" | "DeviceTokenNotForTopic") => Fault::Gone,
        (403, "ExpiredProviderToken") | (429, "TooManyProviderTokenUpdates") => Fault::Transient,
        (401 | 403, _) => Fault::Credential,
        (429, _) => Fault::Quota,
        // Asked of what this end does wrong with its connection, not with this message.
        (400, "IdleTimeout") | (500.., _) => Fault::Transient,
        (400..500, _) => Fault::Payload,
        _ => Fault::Network,
    }
}

/// What a device is sent; `None` if it is too large with no text at all.
fn payload(message: &Message) -> Option<Vec<u8>> {
    fit(&message.title, &message.body, PAYLOAD_BYTES_MAX, |title, body| {
        let mut aps = json!({ "alert": { "title": title, "body": body }, "sound": "default" });
        if let Some(badge) = message.badge {
            aps["badge"] = badge.into();
        }
        if !message.collapse.is_empty() {
            aps["thread-id"] = message.collapse.as_str().into();
        }
        let mut payload = json!({ "data": message.data });
        if let Some(media) = &message.media {
            // Fetched by the application's extension before it is shown.
            aps["mutable-content"] = 1.into();
            payload["media"] = media.as_str().into();
        }
        payload["aps"] = aps;
        payload.to_string().into_bytes()
    })
}

/// What proves to Apple who sends.
struct Token {
    text: String,
    made_at: Instant,
}

/// The provider token, made anew when it grows old.
struct Tokens {
    key: EcKey,
    key_id: String,
    team_id: String,
    newest: Mutex<Option<Arc<Token>>>,
}

impl Tokens {
    fn current(&self, now: Instant) -> Arc<Token> {
        let mut newest = self.newest.lock().expect("nobody panics with it");
        let is_young = |token: &&mut Arc<Token>| now.duration_since(token.made_at) < TOKEN_AGE_MAX;
        if let Some(token) = newest.as_mut().filter(is_young) {
            return Arc::clone(token);
        }
        let issued_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let header = json!({ "alg": "ES256", "kid": self.key_id });
        let text = self.key.sign(&header, &json!({ "iss": self.team_id, "iat": issued_at }));
        Arc::clone(newest.insert(Arc::new(Token { text, made_at: now })))
    }

    /// Lets go of one that Apple calls expired. False if it is too young for that: a new one would be refused too, and
    /// be one too many.
    fn drop(&self, token: &Arc<Token>, now: Instant) -> bool {
        if now.duration_since(token.made_at) < TOKEN_AGE_MIN {
            return false;
        }
        let mut newest = self.newest.lock().expect("nobody panics with it");
        newest.take_if(|newest| Arc::ptr_eq(newest, token));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_apple_has_a_class() {
        let check = |status, reason: &str, expected| assert_eq!(fault(status, reason), expected, "{status} {reason}");
        check(410, "Unregistered", Fault::Gone);
        check(410, "ExpiredToken", Fault::Gone);
        check(400, "BadDeviceToken", Fault::Gone);
        check(400, "DeviceTokenNotForTopic", Fault::Gone);
        check(403, "ExpiredProviderToken", Fault::Transient);
        check(429, "TooManyProviderTokenUpdates", Fault::Transient);
        check(400, "IdleTimeout", Fault::Transient);
        check(500, "InternalServerError", Fault::Transient);
        check(503, "ServiceUnavailable", Fault::Transient);
        check(503, "Shutdown", Fault::Transient);
        check(403, "InvalidProviderToken", Fault::Credential);
        check(403, "MissingProviderToken", Fault::Credential);
        check(403, "BadCertificate", Fault::Credential);
        check(403, "BadCertificateEnvironment", Fault::Credential);
        check(403, "Forbidden", Fault::Credential);
        check(429, "TooManyRequests", Fault::Quota);
        check(413, "PayloadTooLarge", Fault::Payload);
        check(400, "BadTopic", Fault::Payload);
        check(400, "TopicDisallowed", Fault::Payload);
        check(400, "", Fault::Payload);
        check(404, "BadPath", Fault::Payload);
        check(405, "MethodNotAllowed", Fault::Payload);
        check(302, "", Fault::Network);
    }

    #[test]
    fn a_provider_token_serves_fifty_minutes_and_is_not_dropped_before_twenty() {
        const PEM: &str = include_str!("../../fakes/keys/apns.p8");
        let key = EcKey::from_pem(PEM).expect("a key");
        let tokens = Tokens { key, key_id: "K".to_owned(), team_id: "T".to_owned(), newest: Mutex::new(None) };
        let start = Instant::now();
        let at = |minutes: u64| start + Duration::from_secs(minutes * 60);
        let first = tokens.current(at(0));
        let check = |minutes, is_first| {
            let found = tokens.current(at(minutes));
            assert_eq!(Arc::ptr_eq(&first, &found), is_first, "after {minutes} minutes");
            found
        };
        check(49, true);
        assert!(!tokens.drop(&first, at(19)), "too young");
        check(20, true);
        let second = check(50, false);
        assert!(tokens.drop(&first, at(51)), "old, and not the newest any more");
        assert!(Arc::ptr_eq(&second, &tokens.current(at(52))), "the newest has stayed");
        assert!(tokens.drop(&second, at(75)), "old");
        assert!(!Arc::ptr_eq(&second, &tokens.current(at(75))), "made anew");
    }
}
