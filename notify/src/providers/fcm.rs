//! Firebase Cloud Messaging, HTTP v1.
//!
//! Owns the request and what each answer comes to; tokens are fetched by [`super::access`]. By Google's reference of
//! `projects.messages` and "FCM error codes". The service knows no id of ours: the application does, by `data.id`.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use schema::Medium;
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{AccessToken, AccessTokens};
use super::fit::fit;
use super::http::{Answer, HttpClient, Versions};
use super::jwt::RsaKey;
use super::setup::{KeyError, Setup};
use super::{Attempt, Provider, bounded};
use crate::message::Message;
use crate::outcome::{Fault, Outcome};

/// Google's limit for a message, here of the whole request.
const PAYLOAD_BYTES_MAX: usize = 4_096;
/// Messages are kept for four weeks at most.
const TTL_S_MAX: u64 = 28 * 24 * 3_600;
/// Registration tokens have some 170 characters today; Google names no limit.
const REGISTRATION_CHARS_MAX: usize = 1_024;

/// Its keys in the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    key_file: PathBuf,
    #[serde(default = "url")]
    url: String,
}

fn url() -> String {
    "https://fcm.googleapis.com".to_owned()
}

/// What is used of a service account's key file. No `Debug`: a key is in it.
#[derive(Deserialize)]
struct Account {
    project_id: String,
    private_key_id: String,
    private_key: String,
    client_email: String,
    token_uri: String,
}

/// The service for one project.
pub(super) struct Fcm {
    name: String,
    project: String,
    url: String,
    tokens: AccessTokens,
    client: HttpClient,
    attempt_ms_max: u64,
}

impl Fcm {
    /// # Errors
    /// A key of the configuration that does not do.
    pub(super) fn new(name: String, settings: Settings, setup: &Setup) -> Result<Self, KeyError> {
        let wrong = |why: String| KeyError::new("key_file", why);
        let secret = setup.secret("key_file", &settings.key_file)?;
        let account: Account = serde_json::from_str(secret.expose())
            // The error's own words may quote what stands there.
            .map_err(|_| {
                wrong("is no service account's key: download the JSON from the Firebase console".to_owned())
            })?;
        let key =
            RsaKey::from_pem(&account.private_key).map_err(|why| wrong(format!("has a private_key that {why}")))?;
        let token_uri = setup
            .url("key_file", &account.token_uri)
            .map_err(|error| wrong(format!("has a token_uri that {}", error.why)))?;
        let is_project =
            |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-:.".contains(&byte));
        if !is_project(&account.project_id) {
            return Err(wrong("has a project_id that is none".to_owned()));
        }
        let client = HttpClient::new(&setup.tls, None, Versions::Any);
        let Account { project_id, private_key_id, client_email, .. } = account;
        Ok(Self {
            name,
            project: project_id,
            url: setup.url("url", &settings.url)?,
            tokens: AccessTokens::new(key, private_key_id, client_email, token_uri, client.clone()),
            client,
            attempt_ms_max: setup.attempt_ms_max,
        })
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        let target = &message.target;
        if !(1..=REGISTRATION_CHARS_MAX).contains(&target.address.len()) {
            return Outcome::failed(Fault::Gone, "no registration token");
        }
        if !target.app.is_empty() && target.app != self.project {
            return Outcome::failed(Fault::Gone, "of another project");
        }
        let Some(payload) = payload(message, SystemTime::now()) else {
            return Outcome::failed(Fault::Payload, "its data are too large");
        };
        self.deliver(Bytes::from(payload)).await.unwrap_or_else(|outcome| outcome)
    }

    /// Sends, and if the access token does not count any more, which the service may decide at any time, once more with
    /// another.
    async fn deliver(&self, payload: Bytes) -> Result<Outcome, Outcome> {
        let token = self.tokens.current().await?;
        let mut answer = self.post(payload.clone(), &token).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            self.tokens.refused(&token).await;
            answer = self.post(payload, &*self.tokens.current().await?).await?;
        }
        Ok(outcome(&answer))
    }

    async fn post(&self, payload: Bytes, token: &AccessToken) -> Result<Answer, Outcome> {
        let request = Request::post(format!("{}/v1/projects/{}/messages:send", self.url, self.project))
            .header("authorization", &token.authorization)
            .header("content-type", "application/json")
            .body(Full::from(payload))
            .map_err(|_| Outcome::failed(Fault::Credential, "the access token is none"))?;
        self.client.send(request).await
    }
}

impl Provider for Fcm {
    fn name(&self) -> &str {
        &self.name
    }

    fn medium(&self) -> Medium {
        Medium::Fcm
    }

    fn send<'a>(&'a self, message: &'a Message) -> Attempt<'a> {
        bounded(self.attempt_ms_max, self.attempt(message))
    }
}

/// What is posted; `None` if it is too large with no text at all.
fn payload(message: &Message, now: SystemTime) -> Option<Vec<u8>> {
    let now_s = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let ttl_s = (message.expires_ms.0 / 1_000).saturating_sub(now_s).min(TTL_S_MAX);
    let mut data = message.data.clone();
    data.insert("id".to_owned(), message.id.to_string());
    fit(&message.title, &message.body, PAYLOAD_BYTES_MAX, |title, body| {
        let mut notification = json!({ "title": title, "body": body });
        let mut shown = json!({});
        let mut android = json!({
            "priority": if message.is_urgent { "HIGH" } else { "NORMAL" },
            "ttl": format!("{ttl_s}s"),
        });
        if !message.collapse.is_empty() {
            android["collapse_key"] = message.collapse.as_str().into();
            shown["tag"] = message.collapse.as_str().into();
        }
        if let Some(badge) = message.badge {
            // 32 bits there.
            shown["notification_count"] = badge.min(i32::MAX as u64).into();
        }
        if let Some(media) = &message.media {
            notification["image"] = media.as_str().into();
        }
        android["notification"] = shown;
        let message = json!({
            "token": message.target.address,
            "notification": notification,
            "data": data,
            "android": android,
        });
        json!({ "message": message }).to_string().into_bytes()
    })
}

fn outcome(answer: &Answer) -> Outcome {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status.is_success() {
        let name = body["name"].as_str().and_then(|name| name.rsplit('/').next());
        return Outcome::Sent { provider_id: name.map(str::to_owned) };
    }
    let details = || body["error"]["details"].as_array().into_iter().flatten();
    let code = details().find_map(|detail| detail["errorCode"].as_str());
    let code = code.or(body["error"]["status"].as_str()).unwrap_or_default();
    let violations = details().filter_map(|detail| detail["fieldViolations"].as_array()).flatten();
    let is_of_token = violations.into_iter().any(|violation| violation["field"] == "message.token");
    answer.failed(fault(answer.status.as_u16(), code, is_of_token), code)
}

/// What an answer that is none of success comes to. An argument that is invalid may be the target.
fn fault(status: u16, code: &str, is_of_token: bool) -> Fault {
    match (status, code) {
        (_, "UNREGISTERED" | "SENDER_ID_MISMATCH") => Fault::Gone,
        (_, "INVALID_ARGUMENT") if is_of_token => Fault::Gone,
        (_, "INVALID_ARGUMENT") => Fault::Payload,
        (_, "QUOTA_EXCEEDED" | "RESOURCE_EXHAUSTED") | (429, _) => Fault::Quota,
        (_, "UNAVAILABLE" | "INTERNAL") | (500.., _) => Fault::Transient,
        (_, "THIRD_PARTY_AUTH_ERROR") | (401 | 403, _) => Fault::Credential,
        (400..500, _) => Fault::Payload,
        _ => Fault::Network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_google_has_a_class() {
        let check = |status, code: &str, is_of_token, expected| {
            assert_eq!(fault(status, code, is_of_token), expected, "{status} {code} {is_of_token}");
        };
        check(404, "UNREGISTERED", false, Fault::Gone);
        check(403, "SENDER_ID_MISMATCH", false, Fault::Gone);
        check(400, "INVALID_ARGUMENT", true, Fault::Gone);
        check(400, "INVALID_ARGUMENT", false, Fault::Payload);
        check(404, "NOT_FOUND", false, Fault::Payload);
        check(413, "", false, Fault::Payload);
        check(429, "QUOTA_EXCEEDED", false, Fault::Quota);
        check(429, "", false, Fault::Quota);
        check(503, "UNAVAILABLE", false, Fault::Transient);
        check(500, "INTERNAL", false, Fault::Transient);
        check(502, "", false, Fault::Transient);
        check(401, "UNAUTHENTICATED", false, Fault::Credential);
        check(401, "THIRD_PARTY_AUTH_ERROR", false, Fault::Credential);
        check(403, "PERMISSION_DENIED", false, Fault::Credential);
        check(302, "", false, Fault::Network);
    }
}
