//! A stand-in of an application's own server that is told of events: checks the signature, and takes lines of JSON.
//!
//! By docs/notifications.md. What it takes is a call: its id is the cursor of its first line, its body all of them. Webhooks
//! (docs/webhooks.md) come here too: what bears `webhook-signature` is one, and its id is its `webhook-id`; so do questions before a
//! message is stored.

use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request};
use ring::hmac;
use serde_json::Value;

use crate::ledger::Received;
use crate::server::{Judged, Service, answer, header, unix_ms};

/// How old a signature may be.
const OLD_S_MAX: u64 = 300;

/// The server.
#[derive(Default)]
pub(crate) struct Shop {
    secret: Mutex<String>,
    /// What webhooks are signed with: `whsec_` and base64.
    hook_secret: Mutex<String>,
    /// What questions of webhooks are answered with; all is allowed unless that is said.
    answers: Mutex<Option<Box<Answers>>>,
}

/// The status and the body of an answer to a question of a webhook.
pub(crate) type Answers = dyn Fn(&Value) -> (u16, String) + Send;

impl Shop {
    fn is_signed(&self, signature: &str, body: &[u8]) -> bool {
        let Some((time, hex)) = signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")) else {
            return false;
        };
        let Ok(seconds) = time.parse::<u64>() else { return false };
        let secret = self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signed = hmac::sign(&key, &[time.as_bytes(), b".", body].concat());
        let expected: String = signed.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        expected == hex && (unix_ms() / 1_000).abs_diff(seconds) <= OLD_S_MAX
    }
}

impl Shop {
    pub(crate) fn answer_with(&self, answers: Box<Answers>) {
        *self.answers.lock().unwrap_or_else(PoisonError::into_inner) = Some(answers);
    }

    /// As Standard Webhooks has it checked.
    fn is_hook_signed(&self, request: &Request<Bytes>) -> bool {
        let (id, time) = (header(request, "webhook-id"), header(request, "webhook-timestamp"));
        let Ok(seconds) = time.parse::<u64>() else { return false };
        let secret = self.hook_secret.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Ok(key)) = secret.strip_prefix("whsec_").map(|secret| STANDARD.decode(secret)) else { return false };
        let signed = [id.as_bytes(), b".", time.as_bytes(), b".", request.body()].concat();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &signed);
        let expected = format!("v1,{}", STANDARD.encode(tag.as_ref()));
        let mut signatures = header(request, "webhook-signature").split(' ');
        signatures.any(|one| one == expected) && (unix_ms() / 1_000).abs_diff(seconds) <= OLD_S_MAX
    }

    fn judge_hook(&self, request: &Request<Bytes>) -> Judged {
        let faulty = |why: &str, status| Judged::Faulty(why.to_owned(), answer(status, why.to_owned()));
        if header(request, "content-type") != "application/json" {
            return faulty("not application/json", 415);
        }
        if !self.is_hook_signed(request) {
            return faulty("the signature is none", 401);
        }
        let (Ok(text), Ok(body)) = (str::from_utf8(request.body()), serde_json::from_slice::<Value>(request.body()))
        else {
            return faulty("no JSON", 400);
        };
        let received = Received {
            id: header(request, "webhook-id").to_owned(),
            target: request.uri().path().to_owned(),
            body: text.to_owned(),
            ..Received::default()
        };
        if body["type"].as_str().is_some_and(|word| word.starts_with("message.")) {
            let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            let allowed = || (200, r#"{"action":"allow"}"#.to_owned());
            let (status, said) = answers.as_ref().map_or_else(allowed, |answers| answers(&body));
            return Judged::Message(Box::new(received), answer(status, said));
        }
        if body["events"].as_array().is_none_or(Vec::is_empty) {
            return faulty("no event", 422);
        }
        Judged::Message(Box::new(received), answer(204, ""))
    }
}

impl Service for Shop {
    fn judge(&self, request: &Request<Bytes>) -> Judged {
        let faulty = |why: &str, status| Judged::Faulty(why.to_owned(), answer(status, why.to_owned()));
        if request.method() == Method::POST && request.headers().contains_key("webhook-signature") {
            return self.judge_hook(request);
        }
        if request.method() != Method::POST {
            return faulty("not POST", 405);
        }
        if header(request, "content-type") != "application/x-ndjson" {
            return faulty("not application/x-ndjson", 415);
        }
        if !self.is_signed(header(request, "rookery-signature"), request.body()) {
            return faulty("the signature is none", 401);
        }
        let Ok(lines) = str::from_utf8(request.body()) else { return faulty("no text", 400) };
        let events: Result<Vec<Value>, _> = lines.lines().map(serde_json::from_str).collect();
        let Ok(events) = events else { return faulty("a line is no JSON", 400) };
        let Some(first) = events.first().and_then(|event| event["cursor"].as_str()) else {
            return faulty("no event", 422);
        };
        let received = Received {
            id: first.to_owned(),
            target: request.uri().path().to_owned(),
            body: lines.to_owned(),
            ..Received::default()
        };
        Judged::Message(Box::new(received), answer(204, ""))
    }

    fn expect(&self, secret: &str) {
        let place = if secret.starts_with("whsec_") { &self.hook_secret } else { &self.secret };
        secret.clone_into(&mut place.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
