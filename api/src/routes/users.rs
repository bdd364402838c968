//! Profiles: one's own and others'.
//!
//! Owns what of an account is shown: never its password's hash.

use axum::Json;
use chat::{accounts, posts};
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
    /// Whether anybody may follow it and see its public posts.
    pub(super) public: bool,
}

/// A profile with what is counted of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CountedProfile {
    #[serde(flatten)]
    profile: Profile,
    counts: ProfileCounts,
    /// Whether the caller follows it.
    following: bool,
}

/// How many of what an account has.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProfileCounts {
    /// Posts that are not deleted.
    posts: u64,
    /// Users who follow it.
    followers: u64,
    /// Users whom it follows.
    following: u64,
}

impl Profile {
    pub(super) fn new(user_id: UserId, record: UserRecord) -> Self {
        let UserRecord { username, display_name, created_ms, picture, system, public, .. } = record;
        Self { user_id, username, display_name, created_ms, picture, system, public }
    }
}

/// A change of the caller's profile.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ProfileChange {
    /// 1 to 128 characters on one line.
    display_name: Option<String>,
    /// Whether anybody may follow the account and see its public posts.
    public: Option<bool>,
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
    responses((status = 200, description = "One's own profile", body = CountedProfile)),
)]
pub(crate) async fn me<E: Engine, S: Shards>(Caller { api, user, .. }: Caller<E, S>) -> Answer<CountedProfile> {
    find(&api, user, user).await
}

#[utoipa::path(
    patch, path = "/v1/me", tag = "users", security(("bearer" = [])), request_body = ProfileChange,
    responses((status = 200, description = "The profile after it", body = CountedProfile)),
)]
pub(crate) async fn change_me<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    JsonBody(change): JsonBody<ProfileChange>,
) -> Answer<CountedProfile> {
    let ProfileChange { display_name, public } = change;
    let display_name = display_name.map(|name| names::title("display_name", &name).map(str::to_owned)).transpose()?;
    if display_name.is_some() || public.is_some() {
        api.takes_writes()?;
    }
    if let Some(display_name) = display_name {
        accounts::set_display_name(&api.engine, user, &display_name).await?.ok_or_else(no_such_user)?;
        api.feeds.account_changed(user);
    }
    if let Some(public) = public {
        accounts::set_public(&api.engine, user, public).await?.ok_or_else(no_such_user)?;
        api.feeds.account_changed(user);
    }
    find(&api, user, user).await
}

#[utoipa::path(
    get, path = "/v1/users/{user_id}", tag = "users", security(("bearer" = [])),
    params(("user_id" = schema::UserId, Path)),
    responses((status = 200, description = "A profile", body = CountedProfile)),
)]
pub(crate) async fn by_id<E: Engine, S: Shards>(
    Caller { api, user: caller, .. }: Caller<E, S>,
    UrlPath(user): UrlPath<UserId>,
) -> Answer<CountedProfile> {
    find(&api, caller, user).await
}

#[utoipa::path(
    get, path = "/v1/users", tag = "users", security(("bearer" = [])), params(Username),
    responses((status = 200, description = "The profile of who has this username", body = CountedProfile)),
)]
pub(crate) async fn by_username<E: Engine, S: Shards>(
    Caller { api, user: caller, .. }: Caller<E, S>,
    UrlQuery(Username { username }): UrlQuery<Username>,
) -> Answer<CountedProfile> {
    // What is no username is nobody's.
    let username = names::username(&username).map_err(|_| no_such_user())?;
    let (user, record) = accounts::by_username(&api.engine, &username).await?.ok_or_else(no_such_user)?;
    counted(&api, caller, user, record).await
}

async fn find<E: Engine, S: Shards>(api: &Api<E, S>, caller: UserId, user: UserId) -> Answer<CountedProfile> {
    let record = accounts::by_id(&api.engine, user).await?.ok_or_else(no_such_user)?;
    counted(api, caller, user, record).await
}

async fn counted<E: Engine, S: Shards>(
    api: &Api<E, S>,
    caller: UserId,
    user: UserId,
    record: UserRecord,
) -> Answer<CountedProfile> {
    let counts = posts::counts(&api.engine, &[user]).await?;
    let relations = posts::relations(&api.engine, caller, &[user]).await?;
    let posts::Counts { posts, followers, following, friends: _ } = counts[0];
    Ok(Json(CountedProfile {
        profile: Profile::new(user, record),
        counts: ProfileCounts { posts, followers, following },
        following: relations[0].follows,
    }))
}

fn no_such_user() -> Problem {
    Problem::new(ErrorCode::UnknownChannel, "there is no such user")
}
