//! A stand-in of Apple's push notification service.
//!
//! By Apple's documents: HTTP/2 alone, a provider token (ES256) of at most an hour, one topic, device tokens of 64
//! hexadecimal digits, payloads of at most 4,096 bytes with an `aps` of them.

use bytes::Bytes;
use http::{Method, Request, Version};
use serde_json::{Value, json};

use crate::ledger::Received;
use crate::server::{Answer, Judged, Refusal, Service, answer, header, json, retry_after, unix_ms};
use crate::token::Key;

/// The key file of the provider.
pub const KEY: &str = include_str!("../keys/apns.p8");
/// Its id.
pub const KEY_ID: &str = "FAKEKEY001";
/// The team that it belongs to.
pub const TEAM_ID: &str = "FAKETEAM01";
/// The only topic.
pub const TOPIC: &str = "example.rookery";
/// In the payload.
const PAYLOAD_BYTES_MAX: usize = 4_096;
/// Of a provider token.
const TOKEN_AGE_S_MAX: u64 = 3_600;

pub(crate) struct Apns {
    key: Key,
}

impl Apns {
    pub(crate) fn new() -> Self {
        Self { key: Key::of_ec_pem(KEY) }
    }

    /// What is wrong with a request: Apple's status and reason.
    fn fault(&self, request: &Request<Bytes>, device: &str) -> Option<(u16, &'static str)> {
        if request.method() != Method::POST {
            return Some((405, "MethodNotAllowed"));
        }
        if let Some(reason) = self.token_fault(header(request, "authorization")) {
            return Some((403, reason));
        }
        if device.is_empty() {
            return Some((400, "MissingDeviceToken"));
        }
        if device.len() != 64 || !device.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Some((400, "BadDeviceToken"));
        }
        match header(request, "apns-topic") {
            TOPIC => {}
            "" => return Some((400, "MissingTopic")),
            _ => return Some((400, "DeviceTokenNotForTopic")),
        }
        if header(request, "apns-push-type") != "alert" {
            return Some((400, "InvalidPushType"));
        }
        if !is_uuid(header(request, "apns-id")) {
            return Some((400, "BadMessageId"));
        }
        if !["1", "5", "10"].contains(&header(request, "apns-priority")) {
            return Some((400, "BadPriority"));
        }
        if header(request, "apns-expiration").parse::<u64>().is_err() {
            return Some((400, "BadExpirationDate"));
        }
        if header(request, "apns-collapse-id").len() > 64 {
            return Some((400, "BadCollapseId"));
        }
        match request.body().len() {
            0 => Some((400, "PayloadEmpty")),
            bytes if bytes > PAYLOAD_BYTES_MAX => Some((413, "PayloadTooLarge")),
            _ => None,
        }
    }

    fn token_fault(&self, authorization: &str) -> Option<&'static str> {
        let Some(token) = authorization.strip_prefix("bearer ") else {
            return Some("MissingProviderToken");
        };
        let Ok((header, claims)) = self.key.verify(token) else {
            return Some("InvalidProviderToken");
        };
        let is_ours = header.kid.as_deref() == Some(KEY_ID) && claims["iss"] == TEAM_ID;
        match claims["iat"].as_u64() {
            Some(issued_at) if is_ours => {
                let is_fresh = issued_at.abs_diff(unix_ms() / 1_000) <= TOKEN_AGE_S_MAX;
                (!is_fresh).then_some("ExpiredProviderToken")
            }
            _ => Some("InvalidProviderToken"),
        }
    }
}

impl Service for Apns {
    fn judge(&self, request: &Request<Bytes>) -> Judged {
        if request.version() != Version::HTTP_2 {
            return Judged::Faulty("not HTTP/2".to_owned(), answer(505, "HTTP/2 alone"));
        }
        let Some(device) = request.uri().path().strip_prefix("/3/device/") else {
            return Judged::Faulty("BadPath".to_owned(), reason(404, "BadPath"));
        };
        if let Some((status, word)) = self.fault(request, device) {
            return Judged::Faulty(word.to_owned(), reason(status, word));
        }
        let Some(payload) =
            serde_json::from_slice(request.body()).ok().filter(|payload: &Value| payload["aps"].is_object())
        else {
            return Judged::Faulty("no payload".to_owned(), reason(400, "BadMessage"));
        };
        let id = header(request, "apns-id").to_ascii_lowercase();
        let alert = &payload["aps"]["alert"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let extra = ["apns-priority", "apns-expiration", "apns-topic"];
        let received = Received {
            target: device.to_owned(),
            collapse: header(request, "apns-collapse-id").to_owned(),
            title: text(&alert["title"]),
            body: text(&alert["body"]),
            badge: payload["aps"]["badge"].as_u64(),
            data: serde_json::from_value(payload["data"].clone()).unwrap_or_default(),
            extra: extra.iter().map(|&name| (name.to_owned(), header(request, name).to_owned())).collect(),
            id: id.clone(),
            ..Received::default()
        };
        let mut ok = answer(200, "");
        ok.headers_mut().insert("apns-id", id.parse().expect("a UUID"));
        Judged::Message(Box::new(received), ok)
    }

    fn refuse(&self, refusal: Refusal) -> Answer {
        match refusal {
            Refusal::Throttled { retry_after_s } => retry_after(reason(429, "TooManyRequests"), retry_after_s),
            Refusal::Gone => json(410, &json!({ "reason": "Unregistered", "timestamp": unix_ms() })),
            Refusal::BadCredentials => reason(403, "InvalidProviderToken"),
            Refusal::Unavailable => reason(503, "ServiceUnavailable"),
        }
    }
}

fn reason(status: u16, word: &str) -> Answer {
    json(status, &json!({ "reason": word }))
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
