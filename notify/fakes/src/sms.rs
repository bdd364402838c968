//! A stand-in of an SMS gateway of Twilio's shape, which says what becomes of a message later.
//!
//! By Twilio's documents of the Message resource: basic authentication, a form, numbers in E.164, texts of at most 1,600
//! characters, errors by number. A message with a `StatusCallback` is told there to be sent and then delivered, signed.
//! Like the real one it knows no repetition; here the id of a message is its `StatusCallback`, or number and text.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use http::{Method, Request, Uri};
use ring::hmac;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ledger::Received;
use crate::server::{Answer, Judged, Refusal, Service, header, json, retry_after};
use crate::token::{base64_padded, unbase64_padded};

/// The account.
pub const ACCOUNT_SID: &str = "ACfa6e00000000000000000000000000ff";
/// Its token, which signs callbacks too.
pub const AUTH_TOKEN: &str = "fake-auth-token-of-no-value";
/// The number that it may send from.
pub const FROM: &str = "+15005550006";
const BODY_CHARS_MAX: usize = 1_600;
/// What is told of a message, in this order.
const STATUSES: [&str; 2] = ["sent", "delivered"];

pub(crate) struct Sms;

impl Service for Sms {
    fn judge(&self, request: &Request<Bytes>) -> Judged {
        let path = format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json");
        if request.method() != Method::POST || request.uri().path() != path {
            return faulty(404, 20_404, "no such resource");
        }
        let credentials = header(request, "authorization").strip_prefix("Basic ").and_then(unbase64_padded);
        if credentials.as_deref() != Some(format!("{ACCOUNT_SID}:{AUTH_TOKEN}").as_bytes()) {
            return faulty(401, 20_003, "who are you");
        }
        let form: BTreeMap<String, String> = form_urlencoded::parse(request.body()).into_owned().collect();
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        let (to, body, callback) = (field("To"), field("Body"), field("StatusCallback"));
        if !is_number(&to) {
            return faulty(400, 21_211, "To is no number");
        }
        if field("From") != FROM {
            return faulty(400, 21_606, "From is not this account's");
        }
        match body.chars().count() {
            0 => return faulty(400, 21_602, "Body is missing"),
            count if count > BODY_CHARS_MAX => return faulty(400, 21_617, "Body is too long"),
            _ => {}
        }
        let id = if callback.is_empty() { format!("{to} {body}") } else { callback.clone() };
        let sid = format!("SM{:032x}", name_of(&id));
        let extra = [("sid".to_owned(), sid.clone()), ("callback".to_owned(), callback)].into();
        let received = Received { id, target: to, body, extra, ..Received::default() };
        Judged::Message(Box::new(received), json(201, &json!({ "sid": sid, "status": "queued", "error_code": null })))
    }

    fn refuse(&self, refusal: Refusal) -> Answer {
        match refusal {
            Refusal::Throttled { retry_after_s } => retry_after(error(429, 20_429), retry_after_s),
            Refusal::Gone => error(400, 21_610),
            Refusal::BadCredentials => error(401, 20_003),
            Refusal::Unavailable => error(503, 20_503),
        }
    }

    fn taken(&self, received: &Received, is_new: bool) {
        let callback = &received.extra["callback"];
        if callback.is_empty() || !is_new {
            return;
        }
        let (callback, sid, to) = (callback.clone(), received.extra["sid"].clone(), received.target.clone());
        tokio::spawn(async move {
            for status in STATUSES {
                // Whoever does not listen is not told, as by the real one.
                let _ = tell(&callback, &sid, &to, status).await;
            }
        });
    }
}

/// Posts what became of a message.
async fn tell(callback: &str, sid: &str, to: &str, status: &str) -> io::Result<()> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let uri: Uri = callback.parse().map_err(|_| invalid())?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(invalid)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let fields = [
        ("AccountSid", ACCOUNT_SID),
        ("From", FROM),
        ("MessageSid", sid),
        ("MessageStatus", status),
        ("SmsSid", sid),
        ("SmsStatus", status),
        ("To", to),
    ];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let signed = fields.iter().fold(callback.to_owned(), |signed, (name, value)| signed + name + value);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, AUTH_TOKEN.as_bytes());
    let signature = base64_padded(hmac::sign(&key, signed.as_bytes()).as_ref());
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {authority}\r\nx-twilio-signature: {signature}\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(4_096).read_to_end(&mut answer).await?;
    Ok(())
}

fn faulty(status: u16, code: u32, why: &str) -> Judged {
    Judged::Faulty(why.to_owned(), error(status, code))
}

fn error(status: u16, code: u32) -> Answer {
    let more_info = format!("https://www.twilio.com/docs/errors/{code}");
    json(status, &json!({ "code": code, "message": "as its code says", "more_info": more_info, "status": status }))
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A name for a text: the same for the same.
fn name_of(text: &str) -> u128 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish().into()
}
