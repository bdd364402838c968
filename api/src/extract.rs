//! What a handler is given, taken from the request: the caller, the path, the query, the body.
//!
//! Owns the refusals of requests that do not have it. Every body is read here, within its limit, its time and the
//! memory that all bodies together may take.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use schema::limits::MESSAGE_BYTES_MAX;
use schema::{DeviceId, ErrorCode, UserId};
use serde::de::DeserializeOwned;
use storage::Engine;
use storage::layers::accounts;

use crate::problem::Problem;
use crate::shards::Shards;
use crate::state::Api;
use crate::token::TokenError;

/// Who asks, by a valid token of a living family.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) user: UserId,
    pub(crate) family: u64,
}

impl<E: Engine, S: Shards> FromRequestParts<Api<E, S>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api<E, S>) -> Result<Self, Problem> {
        let token = bearer(&parts.headers)?;
        let claims = api.key.verify(token, api.wall()).map_err(|error| match error {
            TokenError::Invalid => Problem::unauthenticated(error.to_string()),
            TokenError::Expired { .. } => Problem::new(ErrorCode::TokenExpired, error.to_string()),
        })?;
        if !accounts::family_is_live(&api.engine, claims.user, claims.family).await? {
            return Err(Problem::unauthenticated("the token was revoked"));
        }
        api.users.take(claims.user).map_err(|wait_ms| {
            Problem::new(ErrorCode::RateLimited, "too many requests of this user").after_ms(wait_ms)
        })?;
        Ok(Self { user: claims.user, family: claims.family })
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = headers
        .get(AUTHORIZATION)
        .ok_or_else(|| Problem::unauthenticated("give the access token as `Authorization: Bearer TOKEN`"))?;
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() {
        Ok(token.trim())
    } else {
        Err(Problem::unauthenticated("the Authorization header is not `Bearer TOKEN`"))
    }
}

/// The variable parts of the path.
#[derive(Debug)]
pub(crate) struct UrlPath<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, St: Send + Sync> FromRequestParts<St> for UrlPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &St) -> Result<Self, Problem> {
        let Path(value) = Path::<T>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::bad_request(format!("path: {}", rejection.body_text())))?;
        Ok(Self(value))
    }
}

/// The query's fields.
#[derive(Debug)]
pub(crate) struct UrlQuery<T>(pub(crate) T);

impl<T: DeserializeOwned, St: Send + Sync> FromRequestParts<St> for UrlQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &St) -> Result<Self, Problem> {
        let Query(value) = Query::<T>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::bad_request(format!("query: {}", rejection.body_text())))?;
        Ok(Self(value))
    }
}

/// A JSON body.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, E: Engine, S: Shards> FromRequest<Api<E, S>> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api<E, S>) -> Result<Self, Problem> {
        // Asked for also because a browser sends it across origins only after asking this server, which says no.
        if !is_json(request.headers()) {
            return Err(Problem::bad_request("send the body as `Content-Type: application/json`"));
        }
        let bytes = read(request, api).await?;
        parse(&bytes).map(Self)
    }
}

/// A JSON body, or none.
#[derive(Debug)]
pub(crate) struct OptionalBody<T>(pub(crate) Option<T>);

impl<T: DeserializeOwned, E: Engine, S: Shards> FromRequest<Api<E, S>> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api<E, S>) -> Result<Self, Problem> {
        let typed = is_json(request.headers());
        let bytes = read(request, api).await?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        if !typed {
            return Err(Problem::bad_request("send the body as `Content-Type: application/json`"));
        }
        parse(&bytes).map(|body| Self(Some(body)))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence =
        |value: &str| value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json");
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(essence)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| Problem::bad_request(format!("body: {error}")))
}

/// Reads the body whole, once there is memory for it.
async fn read<E: Engine, S: Shards>(request: Request, api: &Api<E, S>) -> Result<Bytes, Problem> {
    let too_long =
        || Problem::new(ErrorCode::BodyTooLong, format!("a request's body has at most {MESSAGE_BYTES_MAX} bytes"));
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let Ok(reserved_bytes) = u32::try_from(length.unwrap_or(u64::from(MESSAGE_BYTES_MAX))) else {
        return Err(too_long());
    };
    if reserved_bytes > MESSAGE_BYTES_MAX {
        return Err(too_long());
    }
    let whole = async {
        let _reserved =
            api.bodies_kib.acquire_many(reserved_bytes.div_ceil(1024)).await.expect("the semaphore is never closed");
        Bytes::from_request(request, api).await
    };
    match tokio::time::timeout(api.config.limits.body, whole).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)))) => Err(too_long()),
        Ok(Err(_)) => Err(Problem::bad_request("the body ended early")),
        Err(_) => Err(Problem::bad_request(format!("the body took over {:?}", api.config.limits.body))
            .with_status(StatusCode::REQUEST_TIMEOUT)),
    }
}

/// A device id that a client gave in a body.
pub(crate) fn device(text: Option<&str>) -> Result<Option<DeviceId>, Problem> {
    text.map(|text| text.parse().map_err(|error| Problem::bad_request(format!("device_id: {error}")))).transpose()
}
