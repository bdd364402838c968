//! Mail by SMTP.
//!
//! Owns how a message becomes a mail, and what each answer comes to; connections are [`super::smtp`]'s. The reader's
//! program knows a repetition by `Message-ID`.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Mutex;

use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use schema::Medium;
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::guard::is_loopback_name;
use super::setup::{KeyError, Setup};
use super::smtp::{Security, Smtp, Stage};
use super::{Attempt, Provider, bounded};
use crate::message::Message;
use crate::outcome::{Fault, Outcome};

/// Characters of a subject: a line of a mail has at most 998.
const SUBJECT_CHARS_MAX: usize = 200;
/// Bytes of the address of an unsubscription, which is a line of its own.
const UNSUBSCRIBE_BYTES_MAX: usize = 900;
/// Bytes of an address (RFC 5321).
const ADDRESS_BYTES_MAX: usize = 254;
/// Connections to one server.
const CONNECTIONS_MAX: usize = 1_000;

/// Its keys in the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    host: String,
    port: Option<u16>,
    #[serde(default)]
    security: Security,
    username: Option<String>,
    password_file: Option<PathBuf>,
    from: String,
    hello: Option<String>,
    #[serde(default = "connections_max")]
    connections_max: usize,
}

fn connections_max() -> usize {
    10
}

/// One mail server.
pub(super) struct Mail {
    name: String,
    from: Mailbox,
    smtp: Smtp,
    attempt_ms_max: u64,
}

impl Mail {
    /// # Errors
    /// A key of the configuration that does not do.
    pub(super) fn new(name: String, settings: Settings, setup: &Setup) -> Result<Self, KeyError> {
        let Settings { host, port, security, username, password_file, from, hello, connections_max } = settings;
        let from: Mailbox =
            from.parse().map_err(|_| KeyError::new("from", "is no mailbox: Chat <chat@example.com>"))?;
        if security == Security::None && !(setup.guard.allow_loopback && is_loopback_name(&host)) {
            let why = "is none, which is for a server on loopback with allow_loopback: starttls, or implicit";
            return Err(KeyError::new("security", why));
        }
        let credentials = match (username, password_file) {
            (Some(username), Some(file)) => {
                Some(Credentials::new(username, setup.secret("password_file", &file)?.expose().to_owned()))
            }
            (None, None) => None,
            (Some(_), None) => return Err(KeyError::new("password_file", "is missing where a username is set")),
            (None, Some(_)) => return Err(KeyError::new("username", "is missing where a password_file is set")),
        };
        if !(1..=CONNECTIONS_MAX).contains(&connections_max) {
            return Err(KeyError::new("connections_max", format!("is none of 1 to {CONNECTIONS_MAX}")));
        }
        let hello = hello.unwrap_or_else(|| from.email.domain().to_owned());
        if hello.is_empty() || hello.contains(|character: char| character.is_whitespace() || character.is_control()) {
            return Err(KeyError::new("hello", "is no name of a host: this one's, as others know it"));
        }
        let smtp = Smtp {
            tls: tls(&host, setup)?,
            port: port.unwrap_or(security.port()),
            host,
            security,
            hello: ClientId::Domain(hello),
            credentials,
            places: Semaphore::new(connections_max),
            idle: Mutex::default(),
        };
        Ok(Self { name, from, smtp, attempt_ms_max: setup.attempt_ms_max })
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        let mail = match compose(message, &self.from) {
            Ok(mail) => mail,
            Err(outcome) => return outcome,
        };
        match self.smtp.send(mail.envelope(), &mail.formatted()).await {
            Ok(answer) => {
                let queued = answer.message().find_map(|line| line.split_once("queued as "));
                let id = queued.and_then(|(_, id)| id.split_whitespace().next());
                Outcome::Sent { provider_id: id.map(str::to_owned) }
            }
            Err((stage, error)) => failed(stage, &error),
        }
    }
}

impl Provider for Mail {
    fn name(&self) -> &str {
        &self.name
    }

    fn medium(&self) -> Medium {
        Medium::Mail
    }

    fn send<'a>(&'a self, message: &'a Message) -> Attempt<'a> {
        bounded(self.attempt_ms_max, self.attempt(message))
    }
}

fn tls(host: &str, setup: &Setup) -> Result<TlsParameters, KeyError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    for authority in &setup.authorities {
        let certificate = Certificate::from_der(authority.as_ref().to_vec());
        builder =
            builder.add_root_certificate(certificate.map_err(|error| KeyError::new("ca_file", error.to_string()))?);
    }
    builder.build().map_err(|_| KeyError::new("host", "is no name of a host, or of an address"))
}

/// Whether a mail can be sent there: one address, on one line, without a name.
pub(super) fn is_mailbox(address: &str) -> bool {
    address.len() <= ADDRESS_BYTES_MAX
        && address.bytes().all(|byte| byte.is_ascii_graphic())
        && address.parse::<Address>().is_ok_and(|address| address.domain().contains('.'))
}

/// A mail: nothing of it can begin a header of its own.
fn compose(message: &Message, from: &Mailbox) -> Result<lettre::Message, Outcome> {
    let to: Address = message.target.address.parse().map_err(|_| Outcome::failed(Fault::Gone, "no mail address"))?;
    let mut builder = lettre::Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(subject(&message.title))
        .message_id(Some(format!("<{}@{}>", message.id, from.email.domain())))
        // RFC 3834: nobody's absence is answered to it.
        .raw_header(header("Auto-Submitted", "auto-generated".to_owned()));
    if let Some(url) = &message.unsubscribe {
        let is_line = url.len() <= UNSUBSCRIBE_BYTES_MAX
            && url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'<' && byte != b'>');
        if !is_line {
            return Err(Outcome::failed(Fault::Payload, "the address of its unsubscription is none"));
        }
        builder = builder
            .raw_header(header("List-Unsubscribe", format!("<{url}>")))
            .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
    }
    let mail = match &message.html {
        Some(html) => builder.multipart(MultiPart::alternative_plain_html(message.body.clone(), html.clone())),
        None => builder.singlepart(SinglePart::plain(message.body.clone())),
    };
    mail.map_err(|_| Outcome::failed(Fault::Payload, "no mail can be made of it"))
}

/// A title in one line.
fn subject(title: &str) -> String {
    let shown = |character: char| if character.is_control() { ' ' } else { character };
    super::fit::cut(title.trim(), SUBJECT_CHARS_MAX).chars().map(shown).collect()
}

fn header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

fn failed(stage: Stage, error: &Error) -> Outcome {
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    let enhanced = enhanced(&text).unwrap_or_default();
    match error.status().map(u16::from) {
        Some(code) => Outcome::failed(fault(stage, code, enhanced), format!("{code} {enhanced}")),
        None if error.is_client() => {
            // By whoever speaks: the server has not what this mail, or this configuration, needs.
            let fault = if stage == Stage::Mail { Fault::Payload } else { Fault::Credential };
            Outcome::failed(fault, text)
        }
        None if error.is_tls() => Outcome::failed(Fault::Network, format!("TLS: {text}")),
        None => Outcome::failed(Fault::Network, "no answer"),
    }
}

/// The enhanced status code (RFC 3463) that an answer begins with.
fn enhanced(text: &str) -> Option<&str> {
    let word = text.split_whitespace().next()?;
    let parts: Vec<&str> = word.split('.').collect();
    let is_number = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    (parts.len() == 3 && parts.iter().all(is_number)).then_some(word)
}

/// What an answer that is none of success comes to.
fn fault(stage: Stage, code: u16, enhanced: &str) -> Fault {
    match (stage, code, enhanced) {
        (_, 530 | 534 | 535 | 538, _) => Fault::Credential,
        (_, ..500, _) => Fault::Transient,
        // No mail has been shown yet: it is this node that is not welcome.
        (Stage::Connect | Stage::Authenticate, _, _) => Fault::Credential,
        // No such mailbox, no such host, one that has moved, one that takes no mail.
        (Stage::Mail, _, "5.1.1" | "5.1.2" | "5.1.6" | "5.1.10") => Fault::Gone,
        (Stage::Mail, _, _) => Fault::Payload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_on_one_line() {
        let check = |text: &str, expected| assert_eq!(is_mailbox(text), expected, "{text}");
        check("ada@example.org", true);
        check("ada+chat@mail.example.org", true);
        check("ada", false);
        check("@example.org", false);
        check("ada@", false);
        check("ada@localhost", false);
        check("Ada <ada@example.org>", false);
        check("ada@example.org, bob@example.org", false);
        check("ada@example.org\r\nBcc: bob@example.org", false);
        check("ada @example.org", false);
        check("", false);
        check(&format!("{}@example.org", "a".repeat(64)), true);
        check(&format!("{}@example.org", "a".repeat(300)), false);
    }

    #[test]
    fn every_answer_has_a_class() {
        let check = |stage, code, text: &str, expected| {
            assert_eq!(fault(stage, code, enhanced(text).unwrap_or_default()), expected, "{stage:?} {code} {text}");
        };
        check(Stage::Mail, 421, "4.7.0 too many connections", Fault::Transient);
        check(Stage::Mail, 450, "4.2.1 greylisted", Fault::Transient);
        check(Stage::Mail, 451, "local error", Fault::Transient);
        check(Stage::Mail, 452, "4.2.2 mailbox full", Fault::Transient);
        check(Stage::Mail, 550, "5.1.1 no such user", Fault::Gone);
        check(Stage::Mail, 550, "5.1.2 no such host", Fault::Gone);
        check(Stage::Mail, 551, "5.1.6 moved", Fault::Gone);
        check(Stage::Mail, 556, "5.1.10 takes no mail", Fault::Gone);
        check(Stage::Mail, 550, "5.1.3 bad syntax", Fault::Payload);
        check(Stage::Mail, 550, "5.7.1 spam", Fault::Payload);
        check(Stage::Mail, 550, "no such user", Fault::Payload);
        check(Stage::Mail, 553, "5.1.8 bad sender", Fault::Payload);
        check(Stage::Mail, 552, "5.3.4 too large", Fault::Payload);
        check(Stage::Mail, 554, "", Fault::Payload);
        check(Stage::Mail, 530, "5.7.0 authentication required", Fault::Credential);
        check(Stage::Authenticate, 535, "5.7.8 bad password", Fault::Credential);
        check(Stage::Authenticate, 454, "4.7.0 later", Fault::Transient);
        check(Stage::Authenticate, 500, "", Fault::Credential);
        check(Stage::Connect, 554, "5.7.1 your address is listed", Fault::Credential);
        check(Stage::Connect, 421, "", Fault::Transient);
    }

    #[test]
    fn a_subject_is_one_line_that_fits_into_one() {
        let check = |title: &str, expected: &str| assert_eq!(subject(title), expected);
        check("Team", "Team");
        check(" Team\r\n", "Team");
        check("a\r\nBcc: b", "a  Bcc: b");
        check(&"ä".repeat(201), &format!("{}…", "ä".repeat(199)));
    }

    #[test]
    fn an_enhanced_code_stands_at_the_beginning() {
        let check = |text: &str, expected| assert_eq!(enhanced(text), expected, "{text}");
        check("5.1.1 no such user", Some("5.1.1"));
        check("5.1.10", Some("5.1.10"));
        check("user 5.1.1", None);
        check("5.1", None);
        check("5.1.1.1 x", None);
        check("192.168.0.1 says no", None);
        check("", None);
    }
}
