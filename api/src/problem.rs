//! Errors as HTTP tells them: `application/problem+json` (RFC 9457) with the protocol's `code`.
//!
//! Owns the body and the status. What is nobody's business stays out of both: causes go to the log, where they are
//! turned into a problem, and no request's content goes anywhere.

use axum::Json;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chat::LayerError;
use schema::{ErrorCode, Refusal};
use serde::Serialize;
use utoipa::ToSchema;

use crate::counts::Bound;

/// The media type of RFC 9457.
const CONTENT_KIND: &str = "application/problem+json";

/// Result of a handler.
pub(crate) type Answer<T> = Result<Json<T>, Problem>;

/// A refusal with the status under which HTTP reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    refusal: Refusal,
    bound: Option<Bound>,
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// Always `about:blank`: the code says more.
    #[schema(example = "about:blank")]
    r#type: &'static str,
    /// The code in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What went wrong here, for a person.
    detail: String,
    /// What to branch on: PROTOCOL section 6.
    code: u16,
    /// Whether the same request may be sent again.
    temporary: bool,
    /// When; 0 if at once or never.
    retry_after_ms: u32,
}

impl Problem {
    /// A refusal under the status that its code has.
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Refusal::new(code, detail).into()
    }

    /// 107: the request does not parse or contradicts itself.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, detail)
    }

    /// 101.
    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unauthenticated, detail)
    }

    /// The same under another status, where HTTP has a better word than the code's usual one.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same, counted as a refusal of this bound.
    pub(crate) fn because(mut self, bound: Bound) -> Self {
        self.bound = Some(bound);
        self
    }

    /// The status under which it is answered.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The bound that refused.
    pub(crate) fn bound(&self) -> Option<Bound> {
        self.bound
    }

    /// The answer's bytes, behind a head that has the status and ends before the fields that a body needs.
    pub(crate) fn into_bytes(self, head: String) -> Vec<u8> {
        let body = serde_json::to_string(&self.into_body()).expect("a problem is JSON");
        let length = body.len();
        format!("{head}\r\ncontent-type: {CONTENT_KIND}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
    }

    fn into_body(self) -> ProblemBody {
        let code = self.refusal.code;
        ProblemBody {
            r#type: "about:blank",
            title: code.title(),
            status: self.status.as_u16(),
            detail: self.refusal.message,
            code: code.into(),
            temporary: code.is_temporary(),
            retry_after_ms: self.refusal.retry_after_ms,
        }
    }

    /// Whether the same request may be sent again.
    pub(crate) fn is_temporary(&self) -> bool {
        self.refusal.code.is_temporary()
    }

    /// The refusal, for who does not speak HTTP.
    pub(crate) fn into_refusal(self) -> Refusal {
        self.refusal
    }

    /// The same, with the time after which a retry makes sense.
    pub(crate) fn after_ms(mut self, retry_after_ms: u32) -> Self {
        self.refusal.retry_after_ms = retry_after_ms;
        self
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.code.http_status()).expect("every code has a status of HTTP");
        Self { status, refusal, bound: None }
    }
}

impl From<LayerError> for Problem {
    fn from(error: LayerError) -> Self {
        match &error {
            LayerError::Refused(_) => {}
            LayerError::Store(error @ kv::Error::Unavailable) => tracing::warn!(%error, "store"),
            LayerError::Store(error) if error.is_retryable() => tracing::warn!(%error, "store"),
            LayerError::Store(_) | LayerError::Record(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "store");
            }
        }
        error.into_refusal().into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, bound) = (self.status, self.bound);
        let body = self.into_body();
        let retry_s = body.temporary.then(|| u64::from(body.retry_after_ms).div_ceil(1000).max(1));
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT_KIND));
        if let Some(retry_s) = retry_s {
            // Whole seconds, and never 0: whoever reads only this header should not come back at once.
            headers.insert(RETRY_AFTER, retry_s.into());
        }
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            }
            _ => {}
        }
        if let Some(bound) = bound {
            response.extensions_mut().insert(bound);
        }
        response
    }
}
