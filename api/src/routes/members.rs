//! Who is in a channel, and changing that.
//!
//! Owns what of a membership is shown. Who may change it is the home's to decide.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chat::{accounts, channels};
use kv::Engine;
use schema::event::Role;
use schema::{ChannelId, ChannelOp, ErrorCode, OpReply, UnixMs, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::channels::unexpected;
use super::paging::{self, PageQuery};
use super::people::names;
use crate::extract::{Caller, JsonBody, OptionalBody, UrlPath, UrlQuery};
use crate::problem::Problem;
use crate::shards::Shards;
use crate::state::Api;

/// One member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Member {
    #[schema(value_type = String)]
    user_id: UserId,
    username: String,
    display_name: String,
    #[schema(value_type = String, example = "member")]
    role: Role,
    /// When the user first joined, in Unix milliseconds.
    #[schema(value_type = u64)]
    joined_ms: UnixMs,
}

/// A page of members, ascending by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberPage {
    members: Vec<Member>,
    /// Whether there are further pages.
    more: bool,
    /// The `cursor` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// What a member may do.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct MemberRequest {
    /// `member`, `admin` or `owner`; `member` unless given.
    #[serde(default = "member")]
    #[schema(value_type = String, example = "member")]
    role: Role,
}

fn member() -> Role {
    Role::Member
}

/// A membership after a change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberChanged {
    #[schema(value_type = String)]
    user_id: UserId,
    #[schema(value_type = String, example = "member")]
    role: Role,
    /// Whether it was otherwise before.
    changed: bool,
}

/// What a member wants of a channel.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct MemberSettings {
    /// Whether it wants no notifications.
    muted: bool,
}

/// A member's settings after a change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberSet {
    muted: bool,
    /// Whether it was otherwise before.
    changed: bool,
}

/// A user in a path: an id, or `me`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Who {
    Me,
    User(UserId),
}

impl TryFrom<String> for Who {
    type Error = schema::id::ParseIdError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "me" { Ok(Self::Me) } else { text.parse().map(Self::User) }
    }
}

impl Who {
    fn user(self, caller: &Caller) -> UserId {
        match self {
            Self::Me => caller.user,
            Self::User(user) => user,
        }
    }
}

#[utoipa::path(
    get, path = "/v1/channels/{channel_id}/members", tag = "members", security(("bearer" = [])),
    params(("channel_id" = String, Path), PageQuery),
    responses((status = 200, description = "The members", body = MemberPage)),
)]
pub(crate) async fn list<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    caller: Caller,
    UrlPath(channel): UrlPath<ChannelId>,
    UrlQuery(query): UrlQuery<PageQuery>,
) -> Result<Json<MemberPage>, Problem> {
    let (after, rows) = (query.after::<UserId>()?, query.rows()?);
    let limit = paging::with_next(rows);
    let mut found = channels::members(&api.engine, caller.user, channel, after, limit).await?.users;
    let more = paging::cut(&mut found, rows);
    let ids: Vec<_> = found.iter().map(|&(user, _)| user).collect();
    let records = accounts::by_ids(&api.engine, &ids).await?;
    let members = found.into_iter().zip(records).map(|((user_id, member), record)| {
        let (username, display_name) = names(record);
        Member { user_id, username, display_name, role: member.role, joined_ms: member.joined_ms }
    });
    let cursor = ids.last().filter(|_| more).map(ToString::to_string);
    Ok(Json(MemberPage { members: members.collect(), more, cursor }))
}

#[utoipa::path(
    put, path = "/v1/channels/{channel_id}/members/{user_id}", tag = "members", security(("bearer" = [])),
    params(("channel_id" = String, Path), ("user_id" = String, Path, description = "An id, or `me`")),
    request_body = Option<MemberRequest>,
    responses((status = 200, description = "The user is a member with this role", body = MemberChanged)),
)]
pub(crate) async fn put<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    caller: Caller,
    UrlPath((channel, who)): UrlPath<(ChannelId, Who)>,
    OptionalBody(request): OptionalBody<MemberRequest>,
) -> Result<Json<MemberChanged>, Problem> {
    let (user_id, role) = (who.user(&caller), request.map_or(Role::Member, |request| request.role));
    let op = ChannelOp::AddMember { by: caller.user, user: user_id, role };
    match api.shards.apply(channel, op).await? {
        OpReply::Changed { changed } => Ok(Json(MemberChanged { user_id, role, changed })),
        reply => Err(unexpected(&reply)),
    }
}

#[utoipa::path(
    patch, path = "/v1/channels/{channel_id}/members/{user_id}", tag = "members", security(("bearer" = [])),
    params(("channel_id" = String, Path), ("user_id" = String, Path, description = "`me`, or the caller's id")),
    request_body = MemberSettings,
    responses((status = 200, description = "The caller's settings in this channel", body = MemberSet)),
)]
pub(crate) async fn change<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    caller: Caller,
    UrlPath((channel, who)): UrlPath<(ChannelId, Who)>,
    JsonBody(MemberSettings { muted }): JsonBody<MemberSettings>,
) -> Result<Json<MemberSet>, Problem> {
    if who.user(&caller) != caller.user {
        return Err(Problem::new(ErrorCode::PermissionDenied, "another's settings are its own"));
    }
    match api.shards.apply(channel, ChannelOp::SetMuted { user: caller.user, muted }).await? {
        OpReply::Changed { changed } => Ok(Json(MemberSet { muted, changed })),
        reply => Err(unexpected(&reply)),
    }
}

#[utoipa::path(
    delete, path = "/v1/channels/{channel_id}/members/{user_id}", tag = "members", security(("bearer" = [])),
    params(("channel_id" = String, Path), ("user_id" = String, Path, description = "An id, or `me` to leave")),
    responses((status = 204, description = "The user is no member")),
)]
pub(crate) async fn delete<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    caller: Caller,
    UrlPath((channel, who)): UrlPath<(ChannelId, Who)>,
) -> Result<StatusCode, Problem> {
    let op = ChannelOp::RemoveMember { by: caller.user, user: who.user(&caller) };
    match api.shards.apply(channel, op).await? {
        OpReply::Changed { .. } => Ok(StatusCode::NO_CONTENT),
        reply => Err(unexpected(&reply)),
    }
}
