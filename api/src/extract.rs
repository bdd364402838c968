//! Extractors of a request's parts: who calls, the path, the query, the body.
//!
//! Owns the refusals of requests that do not have it. Every body is read here, within its limit, its time and the
//! memory that all bodies together may take (I11).

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chat::accounts::{self, Entered};
use chat::notices::apps::{self, App, Scope};
use http_body_util::BodyExt;
use kv::Engine;
use schema::limits::MESSAGE_BYTES_MAX;
use schema::{DeviceId, ErrorCode, UserId};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::apps::parse_key;
use crate::counts::Bound;
use crate::issuers::Verified;
use crate::problem::Problem;
use crate::proxy::ClientNetwork;
use crate::shards::Shards;
use crate::state::{Api, BODY_FREE_BYTES};
use crate::token::{Claims, TokenError};

/// The time that a request waits for somebody else to say whose its token is.
const PATIENCE: Duration = Duration::from_secs(10);

/// The user who asks, by a valid token of a living family, and the node's API, which is asked.
pub(crate) struct Caller<E, S> {
    pub(crate) api: Api<E, S>,
    pub(crate) user: UserId,
    pub(crate) family: u64,
    /// The one device that the token is bound to.
    pub(crate) device: Option<DeviceId>,
}

impl<E: Engine, S: Shards> FromRequestParts<Api<E, S>> for Caller<E, S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api<E, S>) -> Result<Self, Problem> {
        let token = bearer(&parts.headers)?;
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        let client = peer.and_then(|peer| ClientNetwork::of(&api.config.trusted_proxies, peer, &parts.headers));
        let verified = api.tokens.verify(token, client, api.wall(), PATIENCE).await.map_err(|error| match error {
            TokenError::Invalid => Problem::unauthenticated(error.to_string()),
            TokenError::Expired { .. } => Problem::new(ErrorCode::TokenExpired, error.to_string()),
            TokenError::Later { retry_after_ms } => {
                Problem::new(ErrorCode::StorageUnavailable, error.to_string()).after_ms(retry_after_ms)
            }
        })?;
        let (user, family, device) = match verified {
            Verified::Own(Claims { user, family, device, expires_ms: _ }) => {
                if !accounts::family_is_live(&api.engine, user, family).await? {
                    return Err(Problem::unauthenticated("the token was revoked"));
                }
                (user, family, device)
            }
            Verified::External(external, device) => {
                let Entered { user, family } = accounts::enter(&api.engine, &external, api.wall()).await?;
                (user, family, device)
            }
        };
        api.charge(user, 1)?;
        Ok(Self { api: api.clone(), user, family, device })
    }
}

/// The access token that a request bears.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
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

/// The application that asks, by its key and one of its secrets, and the node's API, which is asked.
pub(crate) struct AppCaller<E, S> {
    pub(crate) api: Api<E, S>,
    pub(crate) app: App,
}

impl<E: Engine, S: Shards> AppCaller<E, S> {
    /// Refuses what the application may not do.
    pub(crate) fn may(app: &App, scope: Scope) -> Result<(), Problem> {
        if app.record.scopes & scope.bit() != 0 {
            return Ok(());
        }
        Err(Problem::new(ErrorCode::PermissionDenied, format!("the application lacks the scope {}", scope.word())))
    }
}

impl<E: Engine, S: Shards> FromRequestParts<Api<E, S>> for AppCaller<E, S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api<E, S>) -> Result<Self, Problem> {
        let refused = || Problem::unauthenticated("give the application's key and secret by HTTP Basic");
        let value = parts.headers.get(AUTHORIZATION).ok_or_else(refused)?;
        let (scheme, given) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(refused)?;
        let given = STANDARD.decode(given.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let given = given.filter(|_| scheme.eq_ignore_ascii_case("basic")).ok_or_else(refused)?;
        let (key, secret) = given.split_once(':').ok_or_else(refused)?;
        let wrong = || Problem::unauthenticated("the application's key or secret does not count");
        let app = apps::authenticate(&api.engine, parse_key(key).ok_or_else(wrong)?, secret).await?;
        // Ids of users and applications share the buckets, as those of any two users may.
        api.charge(UserId(app.id), 1)?;
        Ok(Self { api: api.clone(), app })
    }
}

/// Characters of an `Idempotency-Key`: twice what a UUID in quotes takes, with room.
const IDEMPOTENCY_KEY_CHARS_MAX: usize = 128;

/// The key of a request that may be repeated, if it bears one.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::bad_request(format!(
            "an Idempotency-Key has 1 to {IDEMPOTENCY_KEY_CHARS_MAX} visible ASCII characters"
        ))),
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
        let body = read(request, api).await?;
        body.map(Self).ok_or_else(|| Problem::bad_request("this request has a body, in JSON"))
    }
}

/// Bytes of a body that is no JSON.
const SMALL_BYTES_MAX: usize = 16 * 1024;

/// A body of a few KB that is no JSON, as it is.
#[derive(Debug)]
pub(crate) struct SmallBody(pub(crate) Vec<u8>);

impl<E: Engine, S: Shards> FromRequest<Api<E, S>> for SmallBody {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api<E, S>) -> Result<Self, Problem> {
        // It takes no memory but its connection's own.
        const { assert!(SMALL_BYTES_MAX <= BODY_FREE_BYTES) };
        bytes(request, api, SMALL_BYTES_MAX).await.map(|held| Self(held.bytes))
    }
}

/// A JSON body, or none; null says nothing either.
#[derive(Debug)]
pub(crate) struct OptionalBody<T>(pub(crate) Option<T>);

impl<T: DeserializeOwned, E: Engine, S: Shards> FromRequest<Api<E, S>> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api<E, S>) -> Result<Self, Problem> {
        read::<Option<T>, E, S>(request, api).await.map(|body| Self(body.flatten()))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence =
        |value: &str| value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json");
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(essence)
}

/// Reads the body and what it says; nothing if it is empty.
async fn read<T: DeserializeOwned, E: Engine, S: Shards>(
    request: Request,
    api: &Api<E, S>,
) -> Result<Option<T>, Problem> {
    let typed = is_json(request.headers());
    let held = bytes(request, api, MESSAGE_BYTES_MAX as usize).await?;
    if held.bytes.is_empty() {
        return Ok(None);
    }
    // Asked for also because a browser sends it across origins only after asking this server, which says no.
    if !typed {
        return Err(Problem::bad_request("send the body as `Content-Type: application/json`"));
    }
    // A struct would be taken from a list of its fields as well, which no document says.
    if held.bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(Problem::bad_request("body: expected an object, and no list"));
    }
    serde_json::from_slice(&held.bytes).map(Some).map_err(|error| Problem::bad_request(format!("body: {error}")))
}

/// Reads the body, of at most so many bytes.
async fn bytes<'a, E: Engine, S: Shards>(
    request: Request,
    api: &'a Api<E, S>,
    max: usize,
) -> Result<Held<'a>, Problem> {
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|bytes| bytes > max as u64) {
        return Err(too_long(max));
    }
    let mut held = Held { bytes: Vec::new(), memory: None };
    match tokio::time::timeout(api.config.limits.body, held.fill(request.into_body(), &api.bodies_kib, max)).await {
        Ok(read) => read?,
        Err(_) => {
            return Err(Problem::bad_request(format!("the body took over {:?}", api.config.limits.body))
                .with_status(StatusCode::REQUEST_TIMEOUT)
                .because(Bound::BodyTime));
        }
    }
    Ok(held)
}

fn too_long(max: usize) -> Problem {
    Problem::new(ErrorCode::BodyTooLong, format!("a request's body has at most {max} bytes")).because(Bound::Body)
}

/// A body as far as it was read, and the memory that is set aside for it.
struct Held<'a> {
    bytes: Vec<u8>,
    memory: Option<SemaphorePermit<'a>>,
}

impl<'a> Held<'a> {
    /// Reads to the end. Memory is taken as bytes come, not as they are announced: announcing costs a client nothing.
    async fn fill(&mut self, mut body: Body, memory_kib: &'a Semaphore, max: usize) -> Result<(), Problem> {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::bad_request("the body ended early"))?;
            // What is not data are trailers, which mean nothing here.
            let Ok(data) = frame.into_data() else { continue };
            if self.bytes.len() + data.len() > max {
                return Err(too_long(max));
            }
            self.bytes.extend_from_slice(&data);
            self.take_memory(memory_kib)?;
        }
        Ok(())
    }

    fn take_memory(&mut self, memory_kib: &'a Semaphore) -> Result<(), Problem> {
        let wanted_kib = self.bytes.len().saturating_sub(BODY_FREE_BYTES).div_ceil(1024);
        let more_kib = wanted_kib - self.memory.as_ref().map_or(0, SemaphorePermit::num_permits);
        if more_kib == 0 {
            return Ok(());
        }
        let more_kib = u32::try_from(more_kib).expect("a body has at most 2 MiB");
        let more = memory_kib.try_acquire_many(more_kib).map_err(|_| {
            Problem::new(ErrorCode::Overloaded, "too many large requests at once, try again")
                .after_ms(1_000)
                .because(Bound::Bodies)
        })?;
        match &mut self.memory {
            Some(memory) => memory.merge(more),
            None => self.memory = Some(more),
        }
        Ok(())
    }
}
