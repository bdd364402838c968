//! Members of a channel: to list, add, change and remove them.
//!
//! Owns what of a membership is shown. Who may change it is the home's to decide.

use axum::Json;
use axum::http::StatusCode;
use chat::channels;
use kv::Engine;
use schema::event::Role;
use schema::record::MemberRecord;
use schema::{ChannelId, ChannelOp, ErrorCode, UnixMs, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::paging::{self, Next, PageQuery, Person};
use crate::extract::{Caller, JsonBody, OptionalBody, UrlPath, UrlQuery};
use crate::problem::{Answer, Problem};
use crate::shards::Shards;

/// One member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Member {
    #[serde(flatten)]
    person: Person,
    role: Role,
    /// When the user first joined, in Unix milliseconds.
    joined_ms: UnixMs,
}

impl Member {
    pub(super) fn new(person: Person, member: &MemberRecord) -> Self {
        Self { person, role: member.role, joined_ms: member.joined_ms }
    }
}

/// A page of members, ascending by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberPage {
    members: Vec<Member>,
    #[serde(flatten)]
    next: Next,
}

impl MemberPage {
    pub(super) fn new(members: Vec<Member>, next: Next) -> Self {
        Self { members, next }
    }
}

/// The role of a member.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct MemberRequest {
    /// `member`, `admin` or `owner`; `member` unless given.
    #[serde(default = "member")]
    role: Role,
}

fn member() -> Role {
    Role::Member
}

/// A membership after a change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberChanged {
    user_id: UserId,
    role: Role,
    /// Whether it was otherwise before.
    changed: bool,
}

/// A member's own settings in a channel.
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
    fn or(self, caller: UserId) -> UserId {
        match self {
            Self::Me => caller,
            Self::User(user) => user,
        }
    }
}

#[utoipa::path(
    get, path = "/v1/channels/{channel_id}/members", tag = "members", security(("bearer" = [])),
    params(("channel_id" = schema::ChannelId, Path), PageQuery),
    responses((status = 200, description = "The members", body = MemberPage)),
)]
pub(crate) async fn list<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(channel): UrlPath<ChannelId>,
    UrlQuery(query): UrlQuery<PageQuery>,
) -> Answer<MemberPage> {
    let rows = query.rows()?;
    let found = channels::members(&api.engine, user, channel, query.after()?, rows + 1).await?.users;
    let show = |person, member: MemberRecord| Member::new(person, &member);
    let (members, next) = paging::of_users(&api, found, rows, show).await?;
    Ok(Json(MemberPage::new(members, next)))
}

#[utoipa::path(
    put, path = "/v1/channels/{channel_id}/members/{user_id}", tag = "members", security(("bearer" = [])),
    params(("channel_id" = schema::ChannelId, Path), ("user_id" = String, Path, description = "An id, or `me`")),
    request_body = Option<MemberRequest>,
    responses((status = 200, description = "The user is a member with this role", body = MemberChanged)),
)]
pub(crate) async fn put<E: Engine, S: Shards>(
    Caller { api, user: by, .. }: Caller<E, S>,
    UrlPath((channel, who)): UrlPath<(ChannelId, Who)>,
    OptionalBody(request): OptionalBody<MemberRequest>,
) -> Answer<MemberChanged> {
    let (user_id, role) = (who.or(by), request.map_or(Role::Member, |request| request.role));
    let changed = api.change(channel, ChannelOp::AddMember { by, user: user_id, role }).await?;
    Ok(Json(MemberChanged { user_id, role, changed }))
}

#[utoipa::path(
    patch, path = "/v1/channels/{channel_id}/members/{user_id}", tag = "members", security(("bearer" = [])),
    params(("channel_id" = schema::ChannelId, Path), ("user_id" = String, Path, description = "`me`, or the caller's id")),
    request_body = MemberSettings,
    responses((status = 200, description = "The caller's settings in this channel", body = MemberSet)),
)]
pub(crate) async fn change<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath((channel, who)): UrlPath<(ChannelId, Who)>,
    JsonBody(MemberSettings { muted }): JsonBody<MemberSettings>,
) -> Answer<MemberSet> {
    if who.or(user) != user {
        return Err(Problem::new(ErrorCode::PermissionDenied, "another's settings are its own"));
    }
    let changed = api.change(channel, ChannelOp::SetMuted { user, muted }).await?;
    Ok(Json(MemberSet { muted, changed }))
}

#[utoipa::path(
    delete, path = "/v1/channels/{channel_id}/members/{user_id}", tag = "members", security(("bearer" = [])),
    params(("channel_id" = schema::ChannelId, Path), ("user_id" = String, Path, description = "An id, or `me` to leave")),
    responses((status = 204, description = "The user is no member")),
)]
pub(crate) async fn delete<E: Engine, S: Shards>(
    Caller { api, user: by, .. }: Caller<E, S>,
    UrlPath((channel, who)): UrlPath<(ChannelId, Who)>,
) -> Result<StatusCode, Problem> {
    api.change(channel, ChannelOp::RemoveMember { by, user: who.or(by) }).await?;
    Ok(StatusCode::NO_CONTENT)
}
