//! Text messages to phones, by an HTTP form of Twilio's shape.
//!
//! Owns the request and what each answer comes to; what the service says of a message later is signed, and judged by
//! [`super::signature`]. By Twilio's reference of the Message resource. The service knows no id of ours: a message whose
//! answer was lost is sent twice.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::Full;
use schema::Medium;
use serde::Deserialize;
use serde_json::Value;

use super::fit::cut;
use super::http::{Answer, HttpClient, Versions};
use super::secret::Secret;
use super::setup::{KeyError, Setup};
use super::{Attempt, Provider, bounded};
use crate::message::Message;
use crate::outcome::{Fault, Outcome};

/// Characters that the service takes, in as many parts as that needs.
const BODY_CHARS_MAX: usize = 1_600;

/// Its keys in the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    account_sid: String,
    auth_token_file: PathBuf,
    from: String,
    #[serde(default = "url")]
    url: String,
}

fn url() -> String {
    "https://api.twilio.com".to_owned()
}

/// The service for one account.
pub(super) struct Sms {
    name: String,
    from: String,
    /// Where messages are posted.
    messages: String,
    /// Basic, of the account and its token.
    authorization: HeaderValue,
    client: HttpClient,
    attempt_ms_max: u64,
}

impl Sms {
    /// With the token that signs what the service says later.
    ///
    /// # Errors
    /// A key of the configuration that does not do.
    pub(super) fn new(name: String, settings: Settings, setup: &Setup) -> Result<(Self, Secret), KeyError> {
        let Settings { account_sid, auth_token_file, from, url } = settings;
        if account_sid.is_empty() || !account_sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(KeyError::new("account_sid", "is none: letters and digits, as the service's console shows it"));
        }
        if from.is_empty() {
            return Err(KeyError::new("from", "is empty: a number (+15005550006) or a name that the account may use"));
        }
        let token = setup.secret("auth_token_file", &auth_token_file)?;
        let credentials = STANDARD.encode(format!("{account_sid}:{}", token.expose()));
        let mut authorization =
            HeaderValue::from_str(&format!("Basic {credentials}")).expect("base64 is legal in a header");
        authorization.set_sensitive(true);
        let url = setup.url("url", &url)?;
        let messages = format!("{url}/2010-04-01/Accounts/{account_sid}/Messages.json");
        let client = HttpClient::new(&setup.tls, None, Versions::Any);
        let attempt_ms_max = setup.attempt_ms_max;
        Ok((Self { name, from, messages, authorization, client, attempt_ms_max }, token))
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        if !is_number(&message.target.address) {
            return Outcome::failed(Fault::Gone, "no number");
        }
        let request = Request::post(&self.messages)
            .header("authorization", &self.authorization)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(Bytes::from(form(message, &self.from))))
            .expect("the URL was checked when it was configured");
        match self.client.send(request).await {
            Ok(answer) => outcome(&answer),
            Err(outcome) => outcome,
        }
    }
}

impl Provider for Sms {
    fn name(&self) -> &str {
        &self.name
    }

    fn medium(&self) -> Medium {
        Medium::Sms
    }

    fn send<'a>(&'a self, message: &'a Message) -> Attempt<'a> {
        bounded(self.attempt_ms_max, self.attempt(message))
    }
}

/// Whether it is a number in the form E.164.
pub(super) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (2..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A text message has no title: it stands for a text that is missing.
fn form(message: &Message, from: &str) -> String {
    let text = if message.body.is_empty() { &message.title } else { &message.body };
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("To", &message.target.address);
    form.append_pair("From", from);
    form.append_pair("Body", &cut(text, BODY_CHARS_MAX));
    if let Some(callback) = &message.callback {
        form.append_pair("StatusCallback", callback);
    }
    form.finish()
}

fn outcome(answer: &Answer) -> Outcome {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status.is_success() {
        return Outcome::Sent { provider_id: body["sid"].as_str().map(str::to_owned) };
    }
    let code = body["code"].as_u64().unwrap_or_default();
    answer.failed(fault(answer.status.as_u16(), code), &code.to_string())
}

/// What an answer that is none of success comes to. Codes are Twilio's.
fn fault(status: u16, code: u64) -> Fault {
    match (status, code) {
        // No number, none of a mobile phone, and one whose owner wants no more.
        (_, 21_211 | 21_614 | 21_610) => Fault::Gone,
        (_, 20_003) | (401 | 403, _) => Fault::Credential,
        (_, 20_429) | (429, _) => Fault::Quota,
        (500.., _) => Fault::Transient,
        (400..500, _) => Fault::Payload,
        _ => Fault::Network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_class() {
        let check = |status, code, expected| assert_eq!(fault(status, code), expected, "{status} {code}");
        check(400, 21_211, Fault::Gone);
        check(400, 21_614, Fault::Gone);
        check(400, 21_610, Fault::Gone);
        check(401, 20_003, Fault::Credential);
        check(403, 20_003, Fault::Credential);
        check(401, 0, Fault::Credential);
        check(429, 20_429, Fault::Quota);
        check(429, 0, Fault::Quota);
        check(500, 20_500, Fault::Transient);
        check(503, 0, Fault::Transient);
        check(400, 21_617, Fault::Payload);
        check(400, 21_606, Fault::Payload);
        check(404, 20_404, Fault::Payload);
        check(302, 0, Fault::Network);
    }

    #[test]
    fn a_number_is_of_the_form_e_164() {
        let check = |text: &str, expected| assert_eq!(is_number(text), expected, "{text}");
        check("+15005550006", true);
        check("+493012345", true);
        check("+123456789012345", true);
        check("+1234567890123456", false);
        check("15005550006", false);
        check("+05005550006", false);
        check("+1", false);
        check("+1500555000a", false);
        check("+1 500 555 0006", false);
        check("", false);
        check("+", false);
    }
}
