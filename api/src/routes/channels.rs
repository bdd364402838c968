//! Channels: to create, list and rename them, and to mark them as read.
//!
//! Owns what of a channel its members are shown. Whatever changes one is an operation of its home.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use chat::accounts;
use chat::channels::{self, ChannelSummary};
use kv::Engine;
use schema::event::Role;
use schema::op::{ChannelKind, CreateOp, PastAccess};
use schema::record::UserRecord;
use schema::{ChannelId, ChannelOp, ErrorCode, Message, OpReply, Seq, UnixMs, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::paging::{Next, PageQuery};
use super::users::Profile;
use crate::extract::{Caller, JsonBody, UrlPath, UrlQuery, idempotency_key};
use crate::names;
use crate::problem::{Answer, Problem};
use crate::shards::Shards;
use crate::state::{Api, entropy, unexpected};

/// A channel to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum CreateRequest {
    /// The one channel of the caller and another user.
    Direct {
        /// The other.
        user_id: UserId,
    },
    /// A new group, owned by the caller.
    Group {
        /// 1 to 128 characters on one line.
        title: String,
        /// The other members.
        #[serde(default)]
        member_ids: Vec<UserId>,
    },
    /// A new channel of any number of members, owned by the caller, who adds them.
    Large {
        /// 1 to 128 characters on one line.
        title: String,
        /// What those who join may read: `all`, or, unless given, what is sent since they `joined`.
        #[serde(default)]
        history: PastAccess,
    },
}

/// A change of a channel.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ChannelChange {
    /// 1 to 128 characters on one line.
    title: Option<String>,
}

/// A channel as one of its members sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Channel {
    channel_id: ChannelId,
    kind: ChannelKind,
    /// Empty for a direct one.
    title: String,
    /// Of a direct one, who the other is.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<Profile>,
    /// What the caller may do there.
    role: Role,
    /// Whether the caller wants no notifications.
    muted: bool,
    /// What its members may read: `all`, or what was sent since they `joined`.
    history: PastAccess,
    member_count: u32,
    created_ms: UnixMs,
    /// The newest seq.
    head_seq: Seq,
    /// The caller's read mark.
    read_seq: Seq,
    /// Messages after the mark, or after the caller joined.
    unread: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_message: Option<Arc<Message>>,
}

impl Channel {
    fn new(summary: ChannelSummary, peer: Option<(UserId, Option<UserRecord>)>) -> Self {
        Self {
            channel_id: summary.id,
            kind: summary.record.kind,
            title: summary.record.title,
            peer: peer.and_then(|(peer, record)| record.map(|record| Profile::new(peer, record))),
            role: summary.role,
            muted: summary.muted,
            history: summary.record.past,
            member_count: summary.record.member_count,
            created_ms: summary.record.created_ms,
            head_seq: summary.head.seq,
            read_seq: summary.read_seq,
            unread: summary.unread,
            last_message: summary.last_message,
        }
    }
}

/// A page of channels, most recently active first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelPage {
    channels: Vec<Channel>,
    /// Messages that are unread in all of the caller's channels, on this page or not.
    unread_total: u64,
    #[serde(flatten)]
    next: Next,
}

/// The newest message that the caller has read.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct MarkRequest {
    read_seq: Seq,
}

/// A read mark.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Mark {
    /// Its place: it never goes back, nor beyond the newest message.
    read_seq: Seq,
    /// Messages after it.
    unread: u64,
}

#[utoipa::path(
    post, path = "/v1/channels", tag = "channels", security(("bearer" = [])), request_body = CreateRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same channel for 24 h")),
    responses(
        (status = 200, description = "That direct channel exists", body = Channel),
        (status = 201, description = "The channel", body = Channel),
    ),
)]
pub(crate) async fn create<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<CreateRequest>,
) -> Result<(StatusCode, Json<Channel>), Problem> {
    let idempotency_key = idempotency_key(&headers)?.map(Into::into);
    let (kind, title, members, past) = match request {
        CreateRequest::Direct { user_id } => (ChannelKind::Direct, "".into(), vec![user_id], PastAccess::Joined),
        CreateRequest::Group { title, member_ids } => {
            let title = names::title("title", &title)?.into();
            let members: BTreeSet<_> = member_ids.into_iter().filter(|&member| member != user).collect();
            let limit = api.config.group_members_max;
            if members.len() >= limit as usize {
                let detail = format!("{} members with you, the limit is {limit}", members.len() + 1);
                return Err(Problem::new(ErrorCode::GroupFull, detail));
            }
            (ChannelKind::Group, title, members.into_iter().collect(), PastAccess::Joined)
        }
        CreateRequest::Large { title, history } => {
            (ChannelKind::Large, names::title("title", &title)?.into(), Vec::new(), history)
        }
    };
    let create = CreateOp { kind, title, creator: user, members, idempotency_key, past };
    let drawn = ChannelId::new(api.wall(), entropy()?);
    let (channel, existed) = match api.shards.apply(drawn, ChannelOp::Create(create)).await? {
        OpReply::Created { channel, existed } => (channel, existed),
        reply => return Err(unexpected(&reply)),
    };
    // A repeated key gets its first answer again.
    let status = if existed && kind == ChannelKind::Direct { StatusCode::OK } else { StatusCode::CREATED };
    let summary = channels::get(&api.engine, user, channel).await?;
    Ok((status, Json(show(&api, summary).await?)))
}

#[utoipa::path(
    get, path = "/v1/channels", tag = "channels", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "The caller's channels by recent activity", body = ChannelPage)),
)]
pub(crate) async fn list<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlQuery(query): UrlQuery<PageQuery>,
) -> Answer<ChannelPage> {
    let page = channels::list(&api.engine, user, query.after()?, query.rows()?).await?;
    let peers: Vec<_> = page.channels.iter().filter_map(|summary| summary.peer).collect();
    let mut profiles = accounts::by_ids(&api.engine, &peers).await?.into_iter();
    let show = |summary: ChannelSummary| {
        let peer = summary.peer.map(|peer| (peer, profiles.next().expect("one for each peer")));
        Channel::new(summary, peer)
    };
    let channels = page.channels.into_iter().map(show).collect();
    Ok(Json(ChannelPage { channels, unread_total: page.unread_total, next: Next::after(page.next) }))
}

#[utoipa::path(
    get, path = "/v1/channels/{channel_id}", tag = "channels", security(("bearer" = [])),
    params(("channel_id" = schema::ChannelId, Path)),
    responses((status = 200, description = "The channel", body = Channel)),
)]
pub(crate) async fn one<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(channel): UrlPath<ChannelId>,
) -> Answer<Channel> {
    let summary = channels::get(&api.engine, user, channel).await?;
    Ok(Json(show(&api, summary).await?))
}

#[utoipa::path(
    patch, path = "/v1/channels/{channel_id}", tag = "channels", security(("bearer" = [])),
    params(("channel_id" = schema::ChannelId, Path)), request_body = ChannelChange,
    responses((status = 200, description = "The channel after it", body = Channel)),
)]
pub(crate) async fn change<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(channel): UrlPath<ChannelId>,
    JsonBody(change): JsonBody<ChannelChange>,
) -> Answer<Channel> {
    if let Some(title) = &change.title {
        let title = names::title("title", title)?.into();
        api.change(channel, ChannelOp::SetTitle { by: user, title }).await?;
    }
    let summary = channels::get(&api.engine, user, channel).await?;
    Ok(Json(show(&api, summary).await?))
}

#[utoipa::path(
    post, path = "/v1/channels/{channel_id}/mark", tag = "channels", security(("bearer" = [])),
    params(("channel_id" = schema::ChannelId, Path)), request_body = MarkRequest,
    responses((status = 200, description = "The mark after it", body = Mark)),
)]
pub(crate) async fn mark<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(channel): UrlPath<ChannelId>,
    JsonBody(request): JsonBody<MarkRequest>,
) -> Answer<Mark> {
    let op = ChannelOp::Mark { user, read_seq: request.read_seq };
    match api.shards.apply(channel, op).await? {
        OpReply::Marked { read_seq, unread } => Ok(Json(Mark { read_seq, unread })),
        reply => Err(unexpected(&reply)),
    }
}

/// The channel as its member sees it, with the other's profile if it is direct.
async fn show<E: Engine, S: Shards>(api: &Api<E, S>, summary: ChannelSummary) -> Result<Channel, Problem> {
    let peer = match summary.peer {
        Some(peer) => Some((peer, accounts::by_id(&api.engine, peer).await?)),
        None => None,
    };
    Ok(Channel::new(summary, peer))
}
