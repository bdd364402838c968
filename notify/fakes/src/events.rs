//! A stand-in of an application's own server that is told of events: checks the signature, and takes lines of JSON.
//!
//! By docs/notifications.md. What it takes is a call: its id is the cursor of its first line, its body all of them.

use std::sync::{Mutex, PoisonError};

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
}

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

impl Service for Shop {
    fn judge(&self, request: &Request<Bytes>) -> Judged {
        let faulty = |why: &str, status| Judged::Faulty(why.to_owned(), answer(status, why.to_owned()));
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
        secret.clone_into(&mut self.secret.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
