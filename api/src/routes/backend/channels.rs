//! Channels of a backend, and their members in bulk.
//!
//! Owns what each part of a bulk request came to. What it asks of a channel it asks in the name of the application's own
//! account, which may do in every channel what an owner may.

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use chat::channels;
use kv::Engine;
use schema::event::Role;
use schema::op::{ChannelKind, CreateOp, PastAccess};
use schema::record::{ChannelRecord, HeadRecord, MemberRecord};
use schema::{ChannelId, ChannelOp, ErrorCode, OpReply, Seq, UnixMs, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::super::members::{Member, MemberPage};
use super::super::paging::{self, PageQuery, Person};
use super::users::check_not_ours;
use super::{Backend, Named, Refused, check_length, each, no_such_user};
use crate::extract::{JsonBody, UrlPath, UrlQuery, idempotency_key};
use crate::names;
use crate::problem::{Answer, Problem};
use crate::shards::Shards;
use crate::state::{entropy, unexpected};

/// Users of one request.
const MEMBERS_MAX: usize = 500;

/// A channel to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateChannel {
    kind: ChannelKind,
    /// 1 to 128 characters on one line; not of a direct one.
    #[serde(default)]
    title: String,
    /// Its owner; one of the two of a direct one.
    #[schema(value_type = String)]
    owner: Named,
    /// The others, 500 at most: all of a group within its limit, one of a direct channel.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    members: Vec<Named>,
    /// What those who join a large one may read: `all`, or, unless given, what is sent since they `joined`.
    #[serde(default)]
    history: PastAccess,
}

/// A change of a channel.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerChannelChange {
    /// 1 to 128 characters on one line.
    title: String,
}

/// A channel as a backend sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerChannel {
    channel_id: ChannelId,
    kind: ChannelKind,
    /// Empty for a direct one.
    #[schema(example = "Order 17")]
    title: String,
    history: PastAccess,
    creator: UserId,
    member_count: u32,
    created_ms: UnixMs,
    /// The newest seq.
    head_seq: Seq,
    /// Those who were to be members from the start and are not: of a large channel, which takes its members one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    refused: Vec<MemberOutcome>,
}

/// Changes of a channel's members, 500 at most.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MembersRequest {
    /// Those who are to be members.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    add: Vec<Named>,
    /// As what they are added: `member` unless given.
    #[serde(default = "member")]
    role: Role,
    /// Those who are to be none.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    remove: Vec<Named>,
}

fn member() -> Role {
    Role::Member
}

/// What became of one of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberOutcome {
    /// As the request named it.
    #[schema(value_type = String, example = "external:customer-17")]
    user: Named,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    /// Whether it was otherwise before.
    changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
}

/// What became of each, in the order of the request: those who were to be added first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberOutcomes {
    outcomes: Vec<MemberOutcome>,
}

impl ServerChannel {
    fn new(channel_id: ChannelId, (record, head): (ChannelRecord, HeadRecord), refused: Vec<MemberOutcome>) -> Self {
        let ChannelRecord { kind, title, creator, created_ms, member_epoch: _, member_count, past: history } = record;
        Self { channel_id, kind, title, history, creator, member_count, created_ms, head_seq: head.seq, refused }
    }
}

#[utoipa::path(
    post, path = "/v1/server/channels", tag = "server", security(("app" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same channel for 24 h")),
    request_body = CreateChannel,
    responses(
        (status = 200, description = "It exists: of a key that was used, or of these two", body = ServerChannel),
        (status = 201, description = "The channel", body = ServerChannel),
    ),
)]
pub(crate) async fn create<E: Engine, S: Shards>(
    backend: Backend<E, S>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<CreateChannel>,
) -> Result<(StatusCode, Json<ServerChannel>), Problem> {
    let CreateChannel { kind, title, owner, members, history } = request;
    if !members.is_empty() {
        check_length("members", members.len(), MEMBERS_MAX)?;
    }
    backend.charge(members.len())?;
    let title = match kind {
        ChannelKind::Direct if title.is_empty() => "".into(),
        ChannelKind::Direct => return Err(Problem::bad_request("a direct channel has no title")),
        ChannelKind::Group | ChannelKind::Large => names::title("title", &title)?.into(),
        ChannelKind::Feed => return Err(Problem::bad_request("a feed is made with its user's first post")),
    };
    let key = idempotency_key(&headers)?.map(|key| key_of(backend.app.id, &key));
    let creator = backend.user(&owner).await?;
    check_not_ours(creator)?;
    let users = backend.users(&members).await?;
    // A group is made with all of its members or not at all; a large channel takes its own one by one.
    let (first, later) = match kind {
        ChannelKind::Direct | ChannelKind::Group => {
            let user = |name: &Named| users.get(name).copied().ok_or_else(|| no_such_user(name));
            let mut first = members.iter().map(user).collect::<Result<Vec<UserId>, _>>()?;
            first.sort_unstable();
            first.dedup();
            first.retain(|&user| user != creator);
            first.iter().try_for_each(|&user| check_not_ours(user))?;
            (first, Vec::new())
        }
        ChannelKind::Large | ChannelKind::Feed => (Vec::new(), members),
    };
    let limit = backend.api.config.group_members_max;
    if first.len() >= limit as usize {
        let detail = format!("{} members with the owner, the limit is {limit}", first.len() + 1);
        return Err(Problem::new(ErrorCode::GroupFull, detail));
    }
    let op = CreateOp { kind, title, creator, members: first, idempotency_key: key, past: history };
    let drawn = ChannelId::new(backend.api.wall(), entropy()?);
    let (channel, existed) = match backend.api.shards.apply(drawn, ChannelOp::Create(op)).await? {
        OpReply::Created { channel, existed } => (channel, existed),
        reply => return Err(unexpected(&reply)),
    };
    let mut refused = Vec::new();
    if !later.is_empty() {
        refused = backend.change_members(channel, later, Some(Role::Member)).await?;
        refused.retain(|outcome| outcome.refused.is_some());
    }
    let found = channels::record(&backend.api.engine, channel).await?;
    let status = if existed { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(ServerChannel::new(channel, found, refused))))
}

/// A key of an application's, told from those of users.
fn key_of(app: u64, key: &str) -> Arc<str> {
    let hash = Sha256::new().chain_update(app.to_be_bytes()).chain_update(key).finalize();
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("app:{hex}").into()
}

#[utoipa::path(
    get, path = "/v1/server/channels/{channel_id}", tag = "server", security(("app" = [])),
    params(("channel_id" = String, Path)),
    responses((status = 200, description = "The channel", body = ServerChannel)),
)]
pub(crate) async fn one<E: Engine, S: Shards>(
    backend: Backend<E, S>,
    UrlPath(channel): UrlPath<ChannelId>,
) -> Answer<ServerChannel> {
    let found = channels::record(&backend.api.engine, channel).await?;
    Ok(Json(ServerChannel::new(channel, found, Vec::new())))
}

#[utoipa::path(
    patch, path = "/v1/server/channels/{channel_id}", tag = "server", security(("app" = [])),
    params(("channel_id" = String, Path)),
    request_body = ServerChannelChange,
    responses((status = 200, description = "The channel after it", body = ServerChannel)),
)]
pub(crate) async fn change<E: Engine, S: Shards>(
    backend: Backend<E, S>,
    UrlPath(channel): UrlPath<ChannelId>,
    JsonBody(ServerChannelChange { title }): JsonBody<ServerChannelChange>,
) -> Answer<ServerChannel> {
    let title = names::title("title", &title)?.into();
    let by = backend.own_account().await?;
    backend.api.change(channel, ChannelOp::SetTitle { by, title }).await?;
    let found = channels::record(&backend.api.engine, channel).await?;
    Ok(Json(ServerChannel::new(channel, found, Vec::new())))
}

#[utoipa::path(
    get, path = "/v1/server/channels/{channel_id}/members", tag = "server", security(("app" = [])),
    params(("channel_id" = String, Path), PageQuery),
    responses((status = 200, description = "The members", body = MemberPage)),
)]
pub(crate) async fn members<E: Engine, S: Shards>(
    backend: Backend<E, S>,
    UrlPath(channel): UrlPath<ChannelId>,
    UrlQuery(query): UrlQuery<PageQuery>,
) -> Answer<MemberPage> {
    let api = &backend.api;
    channels::record(&api.engine, channel).await?;
    let rows = query.rows()?;
    let found = channels::all_members(&api.engine, channel, query.after()?, rows + 1).await?.users;
    let show = |person: Person, member: MemberRecord| Member::new(person, &member);
    let (members, next) = paging::of_users(api, found, rows, show).await?;
    Ok(Json(MemberPage::new(members, next)))
}

#[utoipa::path(
    post, path = "/v1/server/channels/{channel_id}/members", tag = "server", security(("app" = [])),
    params(("channel_id" = String, Path)),
    request_body = MembersRequest,
    responses((status = 200, description = "What became of each: a request that is repeated changes nothing", body = MemberOutcomes)),
)]
pub(crate) async fn change_members<E: Engine, S: Shards>(
    backend: Backend<E, S>,
    UrlPath(channel): UrlPath<ChannelId>,
    JsonBody(MembersRequest { add, role, remove }): JsonBody<MembersRequest>,
) -> Answer<MemberOutcomes> {
    check_length("add and remove", add.len() + remove.len(), MEMBERS_MAX)?;
    backend.charge(add.len() + remove.len())?;
    channels::record(&backend.api.engine, channel).await?;
    let mut outcomes = backend.change_members(channel, add, Some(role)).await?;
    outcomes.extend(backend.change_members(channel, remove, None).await?);
    Ok(Json(MemberOutcomes { outcomes }))
}

impl<E: Engine, S: Shards> Backend<E, S> {
    /// Adds users in a role, or removes them without one.
    async fn change_members(
        &self,
        channel: ChannelId,
        names: Vec<Named>,
        role: Option<Role>,
    ) -> Result<Vec<MemberOutcome>, Problem> {
        let by = self.own_account().await?;
        let users = &self.users(&names).await?;
        let change = async |name: Named| {
            let Some(&user) = users.get(&name) else {
                let refused = Some(no_such_user(&name).into());
                return MemberOutcome { user: name, user_id: None, changed: false, refused };
            };
            if let (Err(problem), Some(_)) = (check_not_ours(user), role) {
                return MemberOutcome {
                    user: name,
                    user_id: Some(user),
                    changed: false,
                    refused: Some(problem.into()),
                };
            }
            let op = match role {
                Some(role) => ChannelOp::AddMember { by, user, role },
                None => ChannelOp::RemoveMember { by, user },
            };
            let (changed, refused) = match self.api.change(channel, op).await {
                Ok(changed) => (changed, None),
                Err(problem) => (false, Some(problem.into())),
            };
            MemberOutcome { user: name, user_id: Some(user), changed, refused }
        };
        Ok(each(names, change).await)
    }
}
