//! Following: public posts of a public account come into the feed of who follows it.
//!
//! Owns both routes. Whom one may follow is the layer's to say.

use axum::Json;
use chat::people;
use kv::Engine;
use schema::UserId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::{Caller, UrlPath};
use crate::problem::Answer;
use crate::shards::Shards;

/// Whether the caller follows a user, after a change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Following {
    user_id: UserId,
    /// Whether the caller follows the user now.
    following: bool,
}

#[utoipa::path(
    put, path = "/v1/users/{user_id}/follow", tag = "feed", security(("bearer" = [])),
    params(("user_id" = schema::UserId, Path)),
    responses((status = 200, description = "The caller follows the user", body = Following)),
)]
pub(crate) async fn follow<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(user_id): UrlPath<UserId>,
) -> Answer<Following> {
    api.takes_writes()?;
    people::follow(&api.engine, user, user_id, api.wall()).await?;
    api.feeds.related(user, user_id);
    Ok(Json(Following { user_id, following: true }))
}

#[utoipa::path(
    delete, path = "/v1/users/{user_id}/follow", tag = "feed", security(("bearer" = [])),
    params(("user_id" = schema::UserId, Path)),
    responses((status = 200, description = "The caller does not follow the user, or not any more", body = Following)),
)]
pub(crate) async fn unfollow<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(user_id): UrlPath<UserId>,
) -> Answer<Following> {
    people::unfollow(&api.engine, user, user_id).await?;
    api.feeds.related(user, user_id);
    Ok(Json(Following { user_id, following: false }))
}
