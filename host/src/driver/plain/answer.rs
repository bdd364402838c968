//! Answers to plain requests: heads, refusals, and the headers by which browsers let pages of other origins read them.

use schema::{CloseCode, ErrorCode, Refusal};
use serde::Serialize;
use wire::Answer;

/// How long a browser may remember what a preflight was answered, in seconds.
const PREFLIGHT_S: &str = "7200";

/// The type of lines.
const LINES: &str = "application/x-ndjson";

/// What all answers to one request have in common.
#[derive(Debug)]
pub(super) struct Answers {
    /// The origin of the page that asks; what others ask bears none.
    origin: Option<Box<str>>,
}

/// As the HTTP API says it (RFC 9457).
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: u16,
    temporary: bool,
    retry_after_ms: u32,
}

impl Answers {
    pub(super) fn new(origin: Option<&str>) -> Self {
        Self { origin: origin.map(Into::into) }
    }

    fn begin(&self, status: u16) -> Answer {
        let answer = Answer::new(status).with("cache-control", "no-store").with("vary", "origin");
        match &self.origin {
            Some(origin) => {
                answer.with("access-control-allow-origin", origin).with("access-control-expose-headers", "retry-after")
            }
            None => answer,
        }
    }

    /// The head of an event stream. A proxy in between is told to hand on what comes as it comes.
    pub(super) fn events(&self) -> Vec<u8> {
        self.begin(200).with("content-type", "text/event-stream").with("x-accel-buffering", "no").head()
    }

    /// The head of lines that come one by one, up to the connection's end.
    pub(super) fn begun_lines(&self) -> Vec<u8> {
        self.begin(200).with("content-type", LINES).with("x-accel-buffering", "no").head()
    }

    /// Lines of the protocol.
    pub(super) fn lines(&self, lines: &[u8]) -> Vec<u8> {
        self.begin(200).with("content-type", LINES).whole(lines)
    }

    /// What a preflight is answered: what a request may bear.
    pub(super) fn preflight(&self, methods: &str) -> Vec<u8> {
        let answer = self.begin(204).with("allow", methods);
        let answer = match &self.origin {
            Some(_) => answer
                .with("access-control-allow-methods", methods)
                .with("access-control-allow-headers", "authorization, cache-control, content-type, last-event-id")
                .with("access-control-max-age", PREFLIGHT_S),
            None => answer,
        };
        answer.whole(b"")
    }

    /// A refusal, under its code's status.
    pub(super) fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        self.problem(refusal.code.http_status(), refusal, None)
    }

    /// A method that the path does not have.
    pub(super) fn no_method(&self, methods: &str) -> Vec<u8> {
        let refusal = Refusal::new(ErrorCode::UnknownCommand, format!("this path has {methods} alone"));
        self.problem(405, &refusal, Some(("allow", methods)))
    }

    /// A body that did not come in its time.
    pub(super) fn late_body(&self) -> Vec<u8> {
        let refusal = Refusal::new(ErrorCode::BadRequest, "the body did not come within 10 s");
        self.problem(408, &refusal, None)
    }

    /// What a session that is over before it has begun, or a call whose body was not taken, comes to.
    pub(super) fn closed(&self, code: CloseCode) -> Vec<u8> {
        self.refusal(&refusal_of(code))
    }

    fn problem(&self, status: u16, refusal: &Refusal, header: Option<(&str, &str)>) -> Vec<u8> {
        let temporary = refusal.code.is_temporary();
        let problem = Problem {
            r#type: "about:blank",
            title: refusal.code.title(),
            status,
            detail: &refusal.message,
            code: refusal.code.into(),
            temporary,
            retry_after_ms: refusal.retry_after_ms,
        };
        let body = serde_json::to_vec(&problem).expect("a problem is JSON");
        let mut answer = self.begin(status).with("content-type", "application/problem+json");
        if temporary {
            // Whole seconds, and never 0: whoever reads only this header should not come back at once.
            let retry_s = refusal.retry_after_ms.div_ceil(1_000).max(1);
            answer = answer.with("retry-after", &retry_s.to_string());
        }
        if status == 401 {
            answer = answer.with("www-authenticate", "Bearer");
        }
        if let Some((name, value)) = header {
            answer = answer.with(name, value);
        }
        answer.whole(&body)
    }
}

/// What a session that is over says to who did not come to what was asked.
pub(super) fn refusal_of(code: CloseCode) -> Refusal {
    match code {
        CloseCode::TokenExpired => Refusal::new(ErrorCode::TokenExpired, "the token has expired, refresh it"),
        CloseCode::BadToken | CloseCode::Kicked | CloseCode::AccountDeleted => {
            Refusal::new(ErrorCode::Unauthenticated, "the token is not valid here, sign in again")
        }
        CloseCode::TooManyConnections => {
            Refusal::new(ErrorCode::LimitExceeded, "the account has as many devices connected as it may")
        }
        CloseCode::Rate => Refusal::new(ErrorCode::RateLimited, "too many commands").after_ms(1_000),
        CloseCode::TooManyErrors => Refusal::new(ErrorCode::BadRequest, "too many lines were no requests"),
        code if code.may_retry() => {
            let why = format!("the node closes this for now ({}), try again", u16::from(code));
            Refusal::new(ErrorCode::Overloaded, why).after_ms(1_000)
        }
        code => {
            let why = format!("the node closes this, and would again ({})", u16::from(code));
            Refusal::new(ErrorCode::PermissionDenied, why)
        }
    }
}
