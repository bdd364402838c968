//! Profiles: one's own and others'.
//!
//! Owns what of an account is shown: never its password's hash.

use axum::Json;
use chat::accounts;
use kv::Engine;
use schema::record::UserRecord;
use schema::{ErrorCode, UnixMs, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::extract::{Caller, JsonBody, UrlPath, UrlQuery};
use crate::names;
use crate::problem::{Answer, Problem};
use crate::shards::Shards;
use crate::state::Api;

/// A profile: the part of an account that others see.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Profile {
    pub(super) user_id: UserId,
    #[schema(example = "bora")]
    pub(super) username: String,
    #[schema(example = "Bora 보라")]
    pub(super) display_name: String,
    /// When it was made, in Unix milliseconds.
    pub(super) created_ms: UnixMs,
    /// The URL of its picture, where its issuer or a backend has said one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://example.org/bora.png")]
    pub(super) picture: Option<String>,
    /// Whether it is an application's own account.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub(super) system: bool,
}

impl Profile {
    pub(super) fn new(user_id: UserId, record: UserRecord) -> Self {
        let UserRecord { username, display_name, created_ms, picture, system, .. } = record;
        Self { user_id, username, display_name, created_ms, picture, system }
    }
}

/// A change of the caller's profile.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ProfileChange {
    /// 1 to 128 characters on one line.
    display_name: Option<String>,
}

/// The username to look for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Username {
    /// In any case.
    username: String,
}

#[utoipa::path(
    get, path = "/v1/me", tag = "users", security(("bearer" = [])),
    responses((status = 200, description = "One's own profile", body = Profile)),
)]
pub(crate) async fn me<E: Engine, S: Shards>(Caller { api, user, .. }: Caller<E, S>) -> Answer<Profile> {
    find(&api, user).await
}

#[utoipa::path(
    patch, path = "/v1/me", tag = "users", security(("bearer" = [])), request_body = ProfileChange,
    responses((status = 200, description = "The profile after it", body = Profile)),
)]
pub(crate) async fn change_me<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    JsonBody(change): JsonBody<ProfileChange>,
) -> Answer<Profile> {
    let Some(display_name) = &change.display_name else { return find(&api, user).await };
    let display_name = names::title("display_name", display_name)?;
    api.takes_writes()?;
    let record = accounts::set_display_name(&api.engine, user, display_name).await?.ok_or_else(no_such_user)?;
    Ok(Json(Profile::new(user, record)))
}

#[utoipa::path(
    get, path = "/v1/users/{user_id}", tag = "users", security(("bearer" = [])),
    params(("user_id" = schema::UserId, Path)),
    responses((status = 200, description = "A profile", body = Profile)),
)]
pub(crate) async fn by_id<E: Engine, S: Shards>(
    Caller { api, .. }: Caller<E, S>,
    UrlPath(user): UrlPath<UserId>,
) -> Answer<Profile> {
    find(&api, user).await
}

#[utoipa::path(
    get, path = "/v1/users", tag = "users", security(("bearer" = [])), params(Username),
    responses((status = 200, description = "The profile of who has this username", body = Profile)),
)]
pub(crate) async fn by_username<E: Engine, S: Shards>(
    Caller { api, .. }: Caller<E, S>,
    UrlQuery(Username { username }): UrlQuery<Username>,
) -> Answer<Profile> {
    // What is no username is nobody's.
    let username = names::username(&username).map_err(|_| no_such_user())?;
    let (user, record) = accounts::by_username(&api.engine, &username).await?.ok_or_else(no_such_user)?;
    Ok(Json(Profile::new(user, record)))
}

async fn find<E: Engine, S: Shards>(api: &Api<E, S>, user: UserId) -> Answer<Profile> {
    let record = accounts::by_id(&api.engine, user).await?.ok_or_else(no_such_user)?;
    Ok(Json(Profile::new(user, record)))
}

fn no_such_user() -> Problem {
    Problem::new(ErrorCode::UnknownChannel, "there is no such user")
}
