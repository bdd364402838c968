//! A stand-in of a browser with its push service: RFC 8030, with the sender known by VAPID (RFC 8292), and messages
//! decrypted as the browser does (RFC 8291).
//!
//! `GET /subscription/{name}` gives the `PushSubscription` of a browser by any name; its endpoint is `/push/{name}`.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request};
use p256::SecretKey;
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::pkcs8::DecodePrivateKey as _;
use serde_json::{Value, json};

use crate::aes128gcm::{Browser, decrypt};
use crate::ledger::Received;
use crate::server::{Answer, Judged, Refusal, Service, answer, header, json, retry_after, unix_ms};
use crate::token::{Key, base64, unbase64};

/// The key file of the sender that subscriptions are made for.
pub const KEY: &str = include_str!("../keys/webpush.pem");
/// Services need not take more.
const BODY_BYTES_MAX: usize = 4_096;
/// RFC 8292: a token is for no more than a day.
const TOKEN_S_MAX: u64 = 24 * 3_600;

pub(crate) struct PushService {
    address: SocketAddr,
    /// The browser's, of all its subscriptions.
    browser: Browser,
    /// The sender's public key, as an uncompressed point, and as one that verifies.
    sender: Vec<u8>,
    verifier: Key,
}

impl PushService {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let sender = SecretKey::from_pkcs8_pem(KEY).expect("the fakes' own key");
        Self {
            address,
            // Of no value: they are a browser's that does not exist.
            browser: Browser::new(SecretKey::from_slice(&[7; 32]).expect("a scalar"), [9; 16]),
            sender: sender.public_key().to_encoded_point(false).as_bytes().to_vec(),
            verifier: Key::of_ec_pem(KEY),
        }
    }

    /// What the browser of a name gives its application, as JSON.
    pub(crate) fn subscription(&self, name: &str) -> Value {
        json!({
            "endpoint": format!("http://{}/push/{name}", self.address),
            "expirationTime": null,
            "keys": {
                "p256dh": base64(&self.browser.public),
                "auth": base64(&self.browser.auth),
            },
        })
    }

    /// What is wrong with who sends: a status, and why.
    fn sender_fault(&self, authorization: &str) -> Option<(u16, String)> {
        let fault = |status, why: &str| Some((status, why.to_owned()));
        let Some(parameters) = authorization.strip_prefix("vapid ") else {
            return fault(401, "no vapid");
        };
        let parameter = |name: &str| parameters.split(',').find_map(|part| part.trim().strip_prefix(name));
        let (Some(token), Some(key)) = (parameter("t="), parameter("k=")) else {
            return fault(401, "vapid without t or k");
        };
        let Some(point) = unbase64(key) else { return fault(401, "vapid k is no key") };
        if point != self.sender {
            return fault(403, "vapid: the subscription is for another key");
        }
        let Ok((_, claims)) = self.verifier.verify(token) else {
            return fault(401, "vapid: no signature of this key");
        };
        if claims["aud"] != format!("http://{}", self.address) {
            return Some((401, format!("vapid: aud is {}", claims["aud"])));
        }
        let now = unix_ms() / 1_000;
        let is_in_time = claims["exp"].as_u64().is_some_and(|until| (now..=now + TOKEN_S_MAX).contains(&until));
        if !is_in_time {
            return Some((401, format!("vapid: exp is {}", claims["exp"])));
        }
        let is_contact = |sub: &str| sub.starts_with("mailto:") || sub.starts_with("https:");
        if !claims["sub"].as_str().is_some_and(is_contact) {
            return fault(401, "vapid: sub is no contact");
        }
        None
    }

    /// What is wrong with the rest of a request.
    fn fault(&self, request: &Request<Bytes>) -> Option<(u16, &'static str)> {
        if header(request, "ttl").parse::<u32>().is_err() {
            return Some((400, "no TTL"));
        }
        if !["very-low", "low", "normal", "high"].contains(&header(request, "urgency")) {
            return Some((400, "no Urgency"));
        }
        let topic = header(request, "topic");
        let is_topic = topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if topic.len() > 32 || !is_topic {
            return Some((400, "the Topic is none"));
        }
        if header(request, "content-encoding") != "aes128gcm" {
            return Some((415, "not aes128gcm"));
        }
        (request.body().len() > BODY_BYTES_MAX).then_some((413, "more than 4096 bytes"))
    }

    fn read(&self, request: &Request<Bytes>, name: &str) -> Result<Received, String> {
        let plain = decrypt(request.body(), &self.browser)?;
        let message: Value = serde_json::from_slice(&plain).map_err(|error| error.to_string())?;
        let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
        let id = text("id");
        if id.is_empty() {
            return Err("the message has no id".to_owned());
        }
        let extra = ["ttl", "urgency", "topic"].map(|name| (name.to_owned(), header(request, name).to_owned()));
        let bytes = ("bytes".to_owned(), request.body().len().to_string());
        Ok(Received {
            id,
            target: name.to_owned(),
            collapse: text("tag"),
            title: text("title"),
            body: text("body"),
            badge: message["badge"].as_u64(),
            data: serde_json::from_value(message["data"].clone()).unwrap_or_default(),
            extra: extra.into_iter().chain([bytes]).collect(),
            ..Received::default()
        })
    }
}

impl Service for PushService {
    fn judge(&self, request: &Request<Bytes>) -> Judged {
        let path = request.uri().path();
        if let Some(name) = path.strip_prefix("/subscription/").filter(|_| request.method() == Method::GET) {
            return Judged::Other(json(200, &self.subscription(name)));
        }
        let Some(name) = path.strip_prefix("/push/").filter(|_| request.method() == Method::POST) else {
            return Judged::Faulty("no subscription".to_owned(), answer(404, ""));
        };
        if let Some((status, why)) = self.sender_fault(header(request, "authorization")) {
            return Judged::Faulty(why.clone(), answer(status, why));
        }
        if let Some((status, why)) = self.fault(request) {
            return Judged::Faulty(why.to_owned(), answer(status, why));
        }
        match self.read(request, name) {
            Ok(received) => {
                let mut ok = answer(201, "");
                let location = format!("http://{}/message/{}", self.address, received.id);
                ok.headers_mut().insert("location", location.parse().expect("an id is legal in a URL"));
                Judged::Message(Box::new(received), ok)
            }
            Err(why) => Judged::Faulty(why.clone(), answer(400, why)),
        }
    }

    fn refuse(&self, refusal: Refusal) -> Answer {
        match refusal {
            Refusal::Throttled { retry_after_s } => retry_after(answer(429, "too many requests"), retry_after_s),
            Refusal::Gone => answer(410, "the subscription has ended"),
            Refusal::BadCredentials => answer(403, "vapid: the subscription is for another key"),
            Refusal::Unavailable => answer(503, "try again"),
        }
    }
}
