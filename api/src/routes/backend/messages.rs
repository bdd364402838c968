//! Messages of a backend, to one channel or to many, and what it reads: history, presence.
//!
//! Owns in whose name one is sent, that each is sent once, and the ids of those that go to many channels: they follow from
//! the one that is given, so that a request that is repeated doubles nothing.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use chat::{history as past, presence};
use kv::Engine;
use schema::command::{History, HistoryPage};
use schema::limits::{MENTIONS_MAX, PRESENCE_USERS_MAX, PUBLISHED_BYTES_MAX};
use schema::message::{MessageKind, no_mentions};
use schema::op::SendOp;
use schema::{ChannelId, ChannelOp, ClientMsgId, ErrorCode, MediaId, OpReply, PresenceState, Seq, UnixMs, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::super::messages::{HistoryQuery, body_is_legal, no_text};
use super::super::notifications::is_category;
use super::{Backend, Named, Refused, check_length, each, no_such_user};
use crate::extract::{JsonBody, UrlPath, UrlQuery};
use crate::problem::{Answer, Problem};
use crate::shards::Shards;
use crate::state::unexpected;

/// Channels of one broadcast.
const CHANNELS_MAX: usize = 1_000;

/// A message to be sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerSend {
    /// In whose name: a member's, or, unless given, the application's own.
    #[schema(value_type = Option<String>)]
    from: Option<Named>,
    /// A UUID of version 7, made once per message and repeated on every retry.
    client_msg_id: ClientMsgId,
    /// Up to 100,000 characters; with media it may be empty, or left out.
    #[serde(default = "no_text")]
    #[schema(value_type = String)]
    body: Arc<str>,
    /// The seq of the message that it answers.
    reply_to: Option<Seq>,
    /// Members whom it names, up to 50.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    mentions: Vec<Named>,
    /// Its kind: `media` where it has any, whether that is said or not.
    #[serde(default)]
    kind: MessageKind,
    /// Media of the one in whose name it is sent, up to 10, each once.
    #[serde(default)]
    media: Vec<MediaId>,
}

/// A message to be sent to many channels.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BroadcastRequest {
    /// The channels, 1,000 at most.
    channels: Vec<ChannelId>,
    /// In whose name: that of a member of each, or, unless given, the application's own.
    #[schema(value_type = Option<String>)]
    from: Option<Named>,
    /// A UUID of version 7, made once per broadcast and repeated on every retry: the ids of the messages follow from it.
    client_msg_id: ClientMsgId,
    /// Up to 100,000 characters.
    body: Arc<str>,
    /// Its kind.
    #[serde(default)]
    kind: MessageKind,
}

/// A message that was sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerSent {
    /// Its place in the channel.
    seq: Seq,
    /// When it was accepted, in Unix milliseconds.
    sent_ms: UnixMs,
    /// Whether it had been sent before.
    duplicate: bool,
    /// In whose name.
    from: UserId,
}

/// What became of a broadcast in one channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BroadcastOutcome {
    channel_id: ChannelId,
    /// The id of the message there.
    client_msg_id: ClientMsgId,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<Seq>,
    /// Whether it had been sent before.
    duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
}

/// What became of it in each, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BroadcastOutcomes {
    /// In whose name.
    from: UserId,
    outcomes: Vec<BroadcastOutcome>,
}

/// Something to be told to those who are there.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishRequest {
    /// What happened, in the application's words: 1 to 64 of `[A-Za-z0-9._-]`.
    event: Arc<str>,
    /// What it says of that: a text of 4 KiB at most.
    #[serde(default = "nothing")]
    #[schema(value_type = String)]
    data: Arc<str>,
}

fn nothing() -> Arc<str> {
    "".into()
}

/// Users whose presence is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PresenceRequest {
    /// 200 at most.
    #[schema(value_type = Vec<String>)]
    users: Vec<Named>,
}

/// The presence of one user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerPresence {
    /// As the request named it.
    #[schema(value_type = String, example = "external:customer-17")]
    user: Named,
    user_id: UserId,
    /// `online`, `away` or `offline`.
    #[schema(value_type = String, example = "online")]
    state: PresenceState,
    /// When the user last did something, to within 5 minutes; 0 if that is not known.
    last_active_ms: UnixMs,
}

/// The presence of those who are there, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerPresences {
    entries: Vec<ServerPresence>,
}

#[utoipa::path(
    post, path = "/v1/server/channels/{channel_id}/messages", tag = "server", security(("app" = [])),
    params(("channel_id" = String, Path)),
    request_body = ServerSend,
    responses(
        (status = 200, description = "It had been sent before: the first answer", body = ServerSent),
        (status = 201, description = "The message is durable", body = ServerSent),
    ),
)]
pub(crate) async fn send<E: Engine, S: Shards>(
    backend: Backend<E, S>,
    UrlPath(channel): UrlPath<ChannelId>,
    JsonBody(request): JsonBody<ServerSend>,
) -> Result<(StatusCode, Json<ServerSent>), Problem> {
    let ServerSend { from, client_msg_id, body, reply_to, mentions, kind, media } = request;
    body_is_legal(&body, !media.is_empty())?;
    if mentions.len() > MENTIONS_MAX as usize {
        let detail = format!("{} mentions, the limit is {MENTIONS_MAX}", mentions.len());
        return Err(Problem::new(ErrorCode::LimitExceeded, detail));
    }
    let users = backend.users(&mentions).await?;
    let user = |name: &Named| users.get(name).copied().ok_or_else(|| no_such_user(name));
    let mentions = mentions.iter().map(user).collect::<Result<Vec<_>, _>>()?.into();
    let from = backend.sender(from.as_ref()).await?;
    let op = SendOp { from, client_msg_id, kind, body, reply_to, mentions, ruling: None, audience: None, media };
    let (seq, sent_ms, duplicate) = backend.sent(channel, op).await?;
    let status = if duplicate { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(ServerSent { seq, sent_ms, duplicate, from })))
}

#[utoipa::path(
    post, path = "/v1/server/broadcast", tag = "server", security(("app" = [])),
    request_body = BroadcastRequest,
    responses((status = 200, description = "What became of it in each channel: repeated, it is sent where it was not", body = BroadcastOutcomes)),
)]
pub(crate) async fn broadcast<E: Engine, S: Shards>(
    backend: Backend<E, S>,
    JsonBody(request): JsonBody<BroadcastRequest>,
) -> Answer<BroadcastOutcomes> {
    let BroadcastRequest { channels, from, client_msg_id, body, kind } = request;
    check_length("channels", channels.len(), CHANNELS_MAX)?;
    body_is_legal(&body, false)?;
    backend.charge(channels.len())?;
    let from = backend.sender(from.as_ref()).await?;
    let send = async |channel: ChannelId| {
        let client_msg_id = id_within(client_msg_id, channel);
        let (body, reply_to, mentions) = (Arc::clone(&body), None, no_mentions());
        let (ruling, audience, media) = (None, None, Vec::new());
        let op = SendOp { from, client_msg_id, kind, body, reply_to, mentions, ruling, audience, media };
        let (seq, duplicate, refused) = match backend.sent(channel, op).await {
            Ok((seq, _, duplicate)) => (Some(seq), duplicate, None),
            Err(problem) => (None, false, Some(problem.into())),
        };
        BroadcastOutcome { channel_id: channel, client_msg_id, seq, duplicate, refused }
    };
    let outcomes = each(channels, send).await;
    Ok(Json(BroadcastOutcomes { from, outcomes }))
}

/// The id of a broadcast's message in one channel: of the same time, and always the same.
fn id_within(id: ClientMsgId, channel: ChannelId) -> ClientMsgId {
    let hash = Sha256::new().chain_update(id.to_string()).chain_update(channel.0.to_be_bytes()).finalize();
    ClientMsgId::new(id.made_at(), u128::from_be_bytes(hash[..16].try_into().expect("sixteen bytes")))
}

#[utoipa::path(
    post, path = "/v1/server/channels/{channel_id}/publish", tag = "server", security(("app" = [])),
    params(("channel_id" = String, Path)),
    request_body = PublishRequest,
    responses((status = 204, description = "Sessions of its members that are there are told, of a group of more than 20 those that \
         have it open; it is kept nowhere, and nobody is told later")),
)]
pub(crate) async fn publish<E: Engine, S: Shards>(
    backend: Backend<E, S>,
    UrlPath(channel): UrlPath<ChannelId>,
    JsonBody(PublishRequest { event, data }): JsonBody<PublishRequest>,
) -> Result<StatusCode, Problem> {
    if !is_category(&event) {
        return Err(Problem::bad_request("event has 1 to 64 characters of [A-Za-z0-9._-]"));
    }
    if data.len() > PUBLISHED_BYTES_MAX as usize {
        let detail = format!("data has {} bytes, the limit is {PUBLISHED_BYTES_MAX}", data.len());
        return Err(Problem::new(ErrorCode::BodyTooLong, detail));
    }
    let by = backend.own_account().await?;
    match backend.api.shards.apply(channel, ChannelOp::Publish { by, event, data }).await? {
        OpReply::Told => Ok(StatusCode::NO_CONTENT),
        reply => Err(unexpected(&reply)),
    }
}

#[utoipa::path(
    get, path = "/v1/server/channels/{channel_id}/messages", tag = "server", security(("app" = [])),
    params(("channel_id" = String, Path), HistoryQuery),
    responses((status = 200, description = "The page, of all that was sent there", body = HistoryPage)),
)]
pub(crate) async fn history<E: Engine, S: Shards>(
    backend: Backend<E, S>,
    UrlPath(channel_id): UrlPath<ChannelId>,
    UrlQuery(query): UrlQuery<HistoryQuery>,
) -> Answer<HistoryPage> {
    let (window, limit) = query.window()?;
    let reader = backend.own_account().await?;
    Ok(Json(past::page(&backend.api.engine, reader, &History { channel_id, window, limit }).await?))
}

#[utoipa::path(
    post, path = "/v1/server/presence", tag = "server", security(("app" = [])),
    request_body = PresenceRequest,
    responses((status = 200, description = "As their homes last said, whoever they hide from", body = ServerPresences)),
)]
pub(crate) async fn presences<E: Engine, S: Shards>(
    backend: Backend<E, S>,
    JsonBody(PresenceRequest { users: names }): JsonBody<PresenceRequest>,
) -> Answer<ServerPresences> {
    check_length("users", names.len(), PRESENCE_USERS_MAX as usize)?;
    backend.charge(names.len() / 10)?;
    let users = backend.users(&names).await?;
    let wanted: Vec<_> = names.into_iter().filter_map(|name| users.get(&name).map(|&user| (name, user))).collect();
    let ids: Vec<_> = wanted.iter().map(|&(_, user)| user).collect();
    let found = presence::get_all(&backend.api.engine, &ids).await?;
    let show = |((user, user_id), record): ((Named, UserId), schema::record::PresenceRecord)| ServerPresence {
        user,
        user_id,
        state: record.state,
        last_active_ms: record.last_active_ms,
    };
    Ok(Json(ServerPresences { entries: wanted.into_iter().zip(found).map(show).collect() }))
}

impl<E: Engine, S: Shards> Backend<E, S> {
    /// In whose name something is sent.
    async fn sender(&self, from: Option<&Named>) -> Result<UserId, Problem> {
        match from {
            Some(name) => {
                let user = self.user(name).await?;
                super::users::check_not_ours(user)?;
                Ok(user)
            }
            None => self.own_account().await,
        }
    }

    /// Sends, or finds that it was sent.
    async fn sent(&self, channel: ChannelId, op: SendOp) -> Result<(Seq, UnixMs, bool), Problem> {
        match self.api.shards.apply(channel, ChannelOp::Send(op)).await? {
            OpReply::Sent { seq, sent_ms, duplicate } => Ok((seq, sent_ms, duplicate)),
            reply => Err(unexpected(&reply)),
        }
    }
}
