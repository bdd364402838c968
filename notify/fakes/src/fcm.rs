//! A stand-in of Firebase Cloud Messaging (HTTP v1) and of Google's token endpoint.
//!
//! By Google's documents: `POST /token` exchanges an assertion (RS256) of a service account for an access token, and
//! `POST /v1/projects/{project}/messages:send` takes a message of at most 4,096 bytes. An unknown field is an error.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Mutex;

use bytes::Bytes;
use http::{Method, Request};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ledger::Received;
use crate::server::{Answer, Judged, Refusal, Service, header, json, retry_after, unix_ms};
use crate::token::Key;

const KEY: &str = include_str!("../keys/fcm.pem");
const KEY_ID: &str = "fakekey";
const ACCOUNT: &str = "sender@fake-project.iam.gserviceaccount.com";
/// The project that the service account may send for.
pub const PROJECT: &str = "fake-project";
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const MESSAGE_BYTES_MAX: usize = 4_096;
/// Of an access token.
const EXPIRES_S: u64 = 3_599;

pub(crate) struct Fcm {
    address: SocketAddr,
    key: Key,
    granted: Mutex<Granted>,
}

#[derive(Default)]
struct Granted {
    count: u64,
    valid: HashSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Send {
    message: Message,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    token: String,
    #[serde(default)]
    notification: Notification,
    #[serde(default)]
    data: BTreeMap<String, String>,
    #[serde(default)]
    android: Android,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Notification {
    title: String,
    body: String,
    image: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Android {
    collapse_key: String,
    priority: String,
    ttl: String,
    notification: AndroidNotification,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AndroidNotification {
    tag: String,
    notification_count: Option<i32>,
}

impl Fcm {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, key: Key::of_rsa_pem(KEY), granted: Mutex::default() }
    }

    /// The service account's key file.
    pub(crate) fn key_file(&self) -> String {
        let file = json!({
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": KEY_ID,
            "private_key": KEY,
            "client_email": ACCOUNT,
            "client_id": "100000000000000000000",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": self.token_uri(),
        });
        file.to_string()
    }

    fn token_uri(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// How many access tokens it has granted.
    pub(crate) fn granted(&self) -> u64 {
        self.granted.lock().expect("nobody panics with it").count
    }

    /// Takes none of them any more.
    pub(crate) fn revoke(&self) {
        self.granted.lock().expect("nobody panics with it").valid.clear();
    }

    /// Exchanges an assertion.
    fn grant(&self, body: &[u8]) -> Result<Answer, String> {
        let form: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if field("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
            return Err("grant_type".to_owned());
        }
        let (header, claims) = self.key.verify(field("assertion")).map_err(|error| error.to_string())?;
        let now = unix_ms() / 1_000;
        let (issued_at, until) =
            (claims["iat"].as_u64().unwrap_or_default(), claims["exp"].as_u64().unwrap_or_default());
        let checks = [
            ("kid", header.kid.as_deref() == Some(KEY_ID)),
            ("iss", claims["iss"] == ACCOUNT),
            ("scope", claims["scope"] == SCOPE),
            ("aud", claims["aud"] == self.token_uri()),
            ("iat", issued_at <= now + 60),
            ("exp", until > now && until <= issued_at + 3_600),
        ];
        if let Some((claim, _)) = checks.iter().find(|(_, is_right)| !is_right) {
            return Err((*claim).to_owned());
        }
        let mut granted = self.granted.lock().expect("nobody panics with it");
        granted.count += 1;
        let token = format!("fake.access.{}", granted.count);
        granted.valid.insert(token.clone());
        Ok(json(200, &json!({ "access_token": token, "expires_in": EXPIRES_S, "token_type": "Bearer" })))
    }

    fn is_granted(&self, authorization: &str) -> bool {
        let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
        self.granted.lock().expect("nobody panics with it").valid.contains(token)
    }

    fn send(&self, request: &Request<Bytes>) -> Judged {
        if !self.is_granted(header(request, "authorization")) {
            return Judged::Faulty("no access token".to_owned(), error(401, "UNAUTHENTICATED", &json!([])));
        }
        let invalid = |field: &str, why: String| {
            let details = json!([
                { "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "INVALID_ARGUMENT" },
                { "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{ "field": field }] },
            ]);
            Judged::Faulty(why, error(400, "INVALID_ARGUMENT", &details))
        };
        let Send { message } = match serde_json::from_slice(request.body()) {
            Ok(send) => send,
            Err(error) => return invalid("message", error.to_string()),
        };
        if message.token.is_empty() || message.token.contains(char::is_whitespace) {
            return invalid("message.token", "the token is none".to_owned());
        }
        if request.body().len() > MESSAGE_BYTES_MAX {
            return invalid("message", "more than 4096 bytes".to_owned());
        }
        let is_reserved =
            |key: &str| ["from", "message_type"].contains(&key) || key.starts_with("google") || key.starts_with("gcm");
        if message.data.keys().any(|key| is_reserved(key)) {
            return invalid("message.data", "a key of data is reserved".to_owned());
        }
        let android = &message.android;
        if !["", "NORMAL", "HIGH"].contains(&android.priority.as_str()) {
            return invalid("message.android.priority", "the priority is none".to_owned());
        }
        let is_ttl = |ttl: &str| ttl.strip_suffix('s').is_some_and(|seconds| seconds.parse::<u32>().is_ok());
        if !android.ttl.is_empty() && !is_ttl(&android.ttl) {
            return invalid("message.android.ttl", "the ttl is none".to_owned());
        }
        let name = format!("projects/{PROJECT}/messages/0:{}", unix_ms());
        let extra = [
            ("priority", &android.priority),
            ("ttl", &android.ttl),
            ("tag", &android.notification.tag),
            ("image", &message.notification.image),
        ];
        let extra = extra.map(|(key, value)| (key.to_owned(), value.clone())).into();
        let received = Received {
            id: message.data.get("id").cloned().unwrap_or_else(|| name.clone()),
            target: message.token,
            collapse: message.android.collapse_key,
            title: message.notification.title,
            body: message.notification.body,
            badge: message.android.notification.notification_count.and_then(|count| count.try_into().ok()),
            data: message.data,
            extra,
            ..Received::default()
        };
        Judged::Message(Box::new(received), json(200, &json!({ "name": name })))
    }
}

impl Service for Fcm {
    fn judge(&self, request: &Request<Bytes>) -> Judged {
        let path = request.uri().path();
        if request.method() != Method::POST {
            return Judged::Faulty("not POST".to_owned(), error(404, "NOT_FOUND", &json!([])));
        }
        if path == "/token" {
            return match self.grant(request.body()) {
                Ok(granted) => Judged::Other(granted),
                Err(why) => {
                    let body = json!({ "error": "invalid_grant", "error_description": why });
                    Judged::Faulty(format!("assertion: {why}"), json(400, &body))
                }
            };
        }
        if path == format!("/v1/projects/{PROJECT}/messages:send") {
            return self.send(request);
        }
        Judged::Faulty(format!("no such path: {path}"), error(404, "NOT_FOUND", &json!([])))
    }

    fn refuse(&self, refusal: Refusal) -> Answer {
        let fcm = |status, word, code| {
            let details =
                json!([{ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code }]);
            error(status, word, &details)
        };
        match refusal {
            Refusal::Throttled { retry_after_s } => {
                retry_after(fcm(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), retry_after_s)
            }
            Refusal::Gone => fcm(404, "NOT_FOUND", "UNREGISTERED"),
            Refusal::BadCredentials => error(403, "PERMISSION_DENIED", &json!([])),
            Refusal::Unavailable => fcm(503, "UNAVAILABLE", "UNAVAILABLE"),
        }
    }
}

fn error(status: u16, word: &str, details: &Value) -> Answer {
    let error = json!({ "code": status, "message": "as its status says", "status": word, "details": details });
    json(status, &json!({ "error": error }))
}
