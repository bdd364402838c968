//! Users of a backend: made, changed, deactivated, erased, given tokens and kicked.
//!
//! Owns the order in which an account ends: first in the store, so that no token opens anything, then at its home, which
//! closes what is open, then in its channels, and what names it last, so that asking again finishes what was begun.

use axum::Json;
use axum::http::StatusCode;
use chat::accounts::{self, Change, Put};
use chat::{channels, devices, erasure};
use kv::Engine;
use schema::mesh::Kicked;
use schema::op::ChannelKind;
use schema::record::UserRecord;
use schema::{ChannelOp, DeviceId, ErrorCode, UnixMs, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::auth::{self, Tokens};
use super::{Backend, Named, each, no_such_user};
use crate::extract::{JsonBody, OptionalBody, UrlPath};
use crate::issuers::picture;
use crate::names;
use crate::problem::{Answer, Problem};
use crate::shards::Shards;
use crate::state::{Api, entropy};

/// For how long a token may count, in seconds.
const TOKEN_S: std::ops::RangeInclusive<u64> = 60..=86_400;

/// What is to be so of an account; what is not named stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutUser {
    /// 1 to 128 characters on one line.
    display_name: Option<String>,
    /// The URL of a picture, https; empty for none.
    picture: Option<String>,
    /// As at sign-up; one that is made up unless given.
    username: Option<String>,
}

/// A change of whether an account counts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChange {
    /// Whether none of its logins counts, and none is opened.
    deactivated: bool,
}

/// The token that is wanted.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenRequest {
    /// Binds it to one device.
    device_id: Option<DeviceId>,
    /// For how long it counts: 60 to 86,400 seconds, an hour unless given.
    ttl_seconds: Option<u64>,
    /// Whether a refresh token goes with it, by which a client has further tokens for 30 days.
    #[serde(default)]
    refresh: bool,
}

/// The sessions that are to end.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KickRequest {
    /// Those of one device, which is forgotten; all unless given.
    device_id: Option<DeviceId>,
}

/// An account as a backend sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerUser {
    user_id: UserId,
    /// What backends call it, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "customer-17")]
    external_id: Option<String>,
    /// Whose name that is: `server`, or an issuer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "server")]
    namespace: Option<String>,
    #[schema(example = "u0600a1b2c3d4e5f6")]
    username: String,
    #[schema(example = "Ann")]
    display_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://example.org/ann.png")]
    picture: Option<String>,
    created_ms: UnixMs,
    /// Since when it is deactivated, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    deactivated_ms: Option<UnixMs>,
}

impl ServerUser {
    fn new(user_id: UserId, record: UserRecord) -> Self {
        let UserRecord { username, display_name, created_ms, picture, namespace, external_id, deactivated_ms, .. } =
            record;
        Self { user_id, external_id, namespace, username, display_name, picture, created_ms, deactivated_ms }
    }
}

#[utoipa::path(
    put, path = "/v1/server/users/{user_id}", tag = "server", security(("app" = [])),
    params(("user_id" = String, Path, description = "`external:` and what the backend calls it", example = "external:customer-17")),
    request_body = PutUser,
    responses(
        (status = 200, description = "It was there, and is so now", body = ServerUser),
        (status = 201, description = "It was made", body = ServerUser),
    ),
)]
pub(crate) async fn put<E: Engine, S: Shards>(
    backend: Backend<E, S>,
    UrlPath(name): UrlPath<Named>,
    JsonBody(PutUser { display_name, picture: url, username }): JsonBody<PutUser>,
) -> Result<(StatusCode, Json<ServerUser>), Problem> {
    let Named::External(subject) = &name else {
        return Err(Problem::bad_request("an account is made under a name of yours: external: and 1 to 255 bytes"));
    };
    let legal = |url: String| match picture(&url) {
        _ if url.is_empty() => Ok(url),
        Some(url) => Ok(url),
        None => Err(Problem::bad_request("picture is no https URL of at most 2048 bytes")),
    };
    let change = Change {
        display_name: display_name.map(|name| names::title("display_name", &name).map(str::to_owned)).transpose()?,
        picture: url.map(legal).transpose()?,
        username: username.map(|name| names::username(&name)).transpose()?,
    };
    let api = &backend.api;
    api.takes_writes()?;
    match accounts::put(&api.engine, subject, &change, entropy()?, api.wall()).await? {
        Put::Done { user, record, created } => {
            api.feeds.account_changed(user);
            let status = if created { StatusCode::CREATED } else { StatusCode::OK };
            Ok((status, Json(ServerUser::new(user, *record))))
        }
        Put::NameTaken => {
            Err(Problem::bad_request("this username is taken, choose another").with_status(StatusCode::CONFLICT))
        }
    }
}

#[utoipa::path(
    get, path = "/v1/server/users/{user_id}", tag = "server", security(("app" = [])),
    params(("user_id" = String, Path, description = "An id, or `external:` and what the backend calls it", example = "external:customer-17")),
    responses((status = 200, description = "The account", body = ServerUser)),
)]
pub(crate) async fn one<E: Engine, S: Shards>(
    backend: Backend<E, S>,
    UrlPath(name): UrlPath<Named>,
) -> Answer<ServerUser> {
    let user = backend.user(&name).await?;
    let record = accounts::by_id(&backend.api.engine, user).await?.ok_or_else(|| no_such_user(&name))?;
    Ok(Json(ServerUser::new(user, record)))
}

#[utoipa::path(
    patch, path = "/v1/server/users/{user_id}", tag = "server", security(("app" = [])),
    params(("user_id" = String, Path, description = "An id, or `external:` and what the backend calls it")),
    request_body = UserChange,
    responses((status = 200, description = "The account after it; deactivated, its sessions are closed (3503)", body = ServerUser)),
)]
pub(crate) async fn change<E: Engine, S: Shards>(
    backend: Backend<E, S>,
    UrlPath(name): UrlPath<Named>,
    JsonBody(UserChange { deactivated }): JsonBody<UserChange>,
) -> Answer<ServerUser> {
    let user = backend.user(&name).await?;
    check_not_ours(user)?;
    let all = backend.api.clone();
    let end = async move {
        let record = accounts::deactivate(&all.engine, user, deactivated, all.wall()).await?;
        if deactivated && record.is_some() {
            all.shards.kick(user, Kicked::Account { erased: false }).await?;
        }
        Ok(record)
    };
    let record = backend.api.endings.run(end).await?.ok_or_else(|| no_such_user(&name))?;
    Ok(Json(ServerUser::new(user, record)))
}

#[utoipa::path(
    delete, path = "/v1/server/users/{user_id}", tag = "server", security(("app" = [])),
    params(("user_id" = String, Path, description = "An id, or `external:` and what the backend calls it")),
    responses(
        (status = 204, description = "The account is erased: its sessions are closed (3511), it has left its groups, and \
         nothing names it; its messages stay, of nobody who is known. Repeat it if it is not answered"),
    ),
)]
pub(crate) async fn delete<E: Engine, S: Shards>(
    backend: Backend<E, S>,
    UrlPath(name): UrlPath<Named>,
) -> Result<StatusCode, Problem> {
    let user = backend.user(&name).await?;
    check_not_ours(user)?;
    let all = backend.api.clone();
    let erased = backend.api.endings.run(async move { erase(&all, user).await }).await?;
    if erased { Ok(StatusCode::NO_CONTENT) } else { Err(no_such_user(&name)) }
}

async fn erase<E: Engine, S: Shards>(api: &Api<E, S>, user: UserId) -> Result<bool, Problem> {
    if accounts::deactivate(&api.engine, user, true, api.wall()).await?.is_none() {
        return Ok(false);
    }
    api.shards.kick(user, Kicked::Account { erased: true }).await?;
    let left = channels::of_user(&api.engine, user).await?;
    let groups = left.into_iter().filter(|(_, kind)| *kind != ChannelKind::Direct);
    let leave = |(channel, _)| api.change(channel, ChannelOp::RemoveMember { by: user, user });
    for left in each(groups, leave).await {
        left?;
    }
    let erased = erasure::erase(&api.engine, user).await?;
    api.feeds.account_changed(user);
    Ok(erased)
}

#[utoipa::path(
    post, path = "/v1/server/users/{user_id}/tokens", tag = "server", security(("app" = [])),
    params(("user_id" = String, Path, description = "An id, or `external:` and what the backend calls it")),
    request_body = Option<TokenRequest>,
    responses((status = 200, description = "A login of the user's; `refresh_token` where it was asked for", body = Tokens)),
)]
pub(crate) async fn token<E: Engine, S: Shards>(
    backend: Backend<E, S>,
    UrlPath(name): UrlPath<Named>,
    OptionalBody(request): OptionalBody<TokenRequest>,
) -> Answer<Tokens> {
    let TokenRequest { device_id, ttl_seconds, refresh } = request.unwrap_or_default();
    let ttl_s = ttl_seconds.unwrap_or(3_600);
    if !TOKEN_S.contains(&ttl_s) {
        let detail = format!("ttl_seconds is {} to {}, not {ttl_s}", TOKEN_S.start(), TOKEN_S.end());
        return Err(Problem::bad_request(detail));
    }
    let user = backend.user(&name).await?;
    check_not_ours(user)?;
    let record = accounts::by_id(&backend.api.engine, user).await?.ok_or_else(|| no_such_user(&name))?;
    if record.deactivated_ms.is_some() {
        return Err(Problem::new(ErrorCode::PermissionDenied, "the account is deactivated"));
    }
    Ok(Json(auth::open_for(&backend.api, user, device_id, ttl_s * 1_000, refresh).await?))
}

#[utoipa::path(
    post, path = "/v1/server/users/{user_id}/kick", tag = "server", security(("app" = [])),
    params(("user_id" = String, Path, description = "An id, or `external:` and what the backend calls it")),
    request_body = Option<KickRequest>,
    responses((status = 204, description = "The logins of the device, or all of the user's, are over, and their sessions are \
         closed (3503)")),
)]
pub(crate) async fn kick<E: Engine, S: Shards>(
    backend: Backend<E, S>,
    UrlPath(name): UrlPath<Named>,
    OptionalBody(request): OptionalBody<KickRequest>,
) -> Result<StatusCode, Problem> {
    let user = backend.user(&name).await?;
    if accounts::by_id(&backend.api.engine, user).await?.is_none() {
        return Err(no_such_user(&name));
    }
    let device = request.unwrap_or_default().device_id;
    let all = backend.api.clone();
    let end = async move {
        let Some(device) = device else {
            accounts::end_logins(&all.engine, user).await?;
            return Ok(all.shards.kick(user, Kicked::Account { erased: false }).await?);
        };
        let known = devices::list(&all.engine, user).await?.into_iter().find(|(known, _)| *known == device);
        devices::revoke(&all.engine, user, &device).await?;
        all.shards.kick(user, Kicked::Device(device)).await?;
        let ended = known.map_or_else(Vec::new, |(_, record)| record.families);
        for family in ended.into_iter().filter(|&family| family != accounts::FAMILY_OPERATOR) {
            all.shards.kick(user, Kicked::Family(family)).await?;
        }
        Ok(())
    };
    backend.api.endings.run(end).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Refuses an application's own account, which is nobody's to log in to and lasts as long as the application.
pub(super) fn check_not_ours(user: UserId) -> Result<(), Problem> {
    if user.is_system() {
        return Err(Problem::new(ErrorCode::PermissionDenied, "this is an application's own account"));
    }
    Ok(())
}
