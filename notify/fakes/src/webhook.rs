//! A sink for webhooks: takes JSON at any path.
//!
//! The message's fields are those that the configuration of [`crate::Fakes`] puts there: `id`, `address`, `title`,
//! `body`, `collapse`, `badge`, `data`.

use bytes::Bytes;
use http::{Method, Request};
use serde_json::Value;

use crate::ledger::Received;
use crate::server::{Judged, Service, answer, header};

/// What a request proves itself by, as a bearer's token.
pub const SECRET: &str = "fake-webhook-secret-of-no-value";

pub(crate) struct Webhook;

impl Service for Webhook {
    fn judge(&self, request: &Request<Bytes>) -> Judged {
        let faulty = |why: &str, status| Judged::Faulty(why.to_owned(), answer(status, why.to_owned()));
        if request.method() != Method::POST {
            return faulty("not POST", 405);
        }
        if header(request, "authorization") != format!("Bearer {SECRET}") {
            return faulty("no secret", 401);
        }
        if header(request, "content-type") != "application/json" {
            return faulty("not application/json", 415);
        }
        let message: Value = match serde_json::from_slice(request.body()) {
            Ok(message) => message,
            Err(error) => return faulty(&error.to_string(), 400),
        };
        let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
        if text("id").is_empty() {
            return faulty("no id", 422);
        }
        let received = Received {
            id: text("id"),
            target: text("address"),
            collapse: text("collapse"),
            title: text("title"),
            body: text("body"),
            badge: message["badge"].as_u64(),
            data: serde_json::from_value(message["data"].clone()).unwrap_or_default(),
            extra: [("path".to_owned(), request.uri().path().to_owned())].into(),
            ..Received::default()
        };
        Judged::Message(Box::new(received), answer(204, ""))
    }
}
