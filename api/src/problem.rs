//! Errors as HTTP tells them: `application/problem+json` (RFC 9457) with the protocol's `code`.
//!
//! Owns the body and the status. What is nobody's business stays out of both: causes go to the log, where they are
//! turned into a problem, and no request's content goes anywhere.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chat::LayerError;
use schema::{ErrorCode, Refusal};
use serde::Serialize;
use utoipa::ToSchema;

/// A refusal with the status under which HTTP reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    refusal: Refusal,
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
        Self { status, refusal }
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
        let code = self.refusal.code;
        let body = ProblemBody {
            r#type: "about:blank",
            title: title(code),
            status: self.status.as_u16(),
            detail: self.refusal.message,
            code: code.into(),
            temporary: code.is_temporary(),
            retry_after_ms: self.refusal.retry_after_ms,
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if code.is_temporary() {
            // Whole seconds, and never 0: whoever reads only this header should not come back at once.
            headers.insert(RETRY_AFTER, u64::from(self.refusal.retry_after_ms).div_ceil(1000).max(1).into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn title(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Internal => "internal error",
        ErrorCode::Unauthenticated => "unauthenticated",
        ErrorCode::UnknownChannel => "not found",
        ErrorCode::PermissionDenied => "permission denied",
        ErrorCode::UnknownCommand => "no such operation",
        ErrorCode::LimitExceeded => "limit exceeded",
        ErrorCode::BadRequest => "bad request",
        ErrorCode::TokenExpired => "token expired",
        ErrorCode::RateLimited => "rate limited",
        ErrorCode::BadCursor => "cursor of another store",
        ErrorCode::Moving => "channel is moving",
        ErrorCode::Overloaded => "overloaded",
        ErrorCode::StorageUnavailable => "storage unavailable",
        ErrorCode::BodyTooLong => "body too long",
        ErrorCode::Blocked => "blocked",
        ErrorCode::GroupFull => "group full",
        ErrorCode::IdReused => "id reused",
        ErrorCode::StaleRevision => "stale revision",
        ErrorCode::NoSuchMessage => "no such message",
        ErrorCode::IdTooOld => "id too old",
    }
}
