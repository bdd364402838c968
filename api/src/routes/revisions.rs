//! Edits and deletions of messages.
//!
//! Owns the fields of both requests, and the check of a text that a session does for a socket. Who may do it, and what
//! a repeated operation answers, is the channel's home's.

use std::sync::Arc;

use axum::Json;
use kv::Engine;
use schema::op::EditOp;
use schema::{ChannelId, ChannelOp, ClientMsgId, OpReply, Seq};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::messages::body_is_legal;
use crate::extract::{Caller, JsonBody, OptionalBody, UrlPath, UrlQuery};
use crate::problem::{Answer, Problem};
use crate::shards::Shards;
use crate::state::{Api, unexpected};

/// A message's other text.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct EditRequest {
    /// A UUID of version 7, made once per operation and repeated on every retry.
    op_id: ClientMsgId,
    /// The revision that the user saw.
    base_revision: u32,
    /// The text, up to 100,000 characters.
    body: Arc<str>,
}

/// The name of an operation: in the query, or in a body.
#[derive(Debug, Deserialize, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteRequest {
    /// A UUID of version 7, made once per operation and repeated on every retry.
    op_id: Option<ClientMsgId>,
}

/// A message after a change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Revised {
    /// The revision that the operation made, also when it is repeated.
    revision: u32,
}

#[utoipa::path(
    patch, path = "/v1/channels/{channel_id}/messages/{seq}", tag = "messages", security(("bearer" = [])),
    params(("channel_id" = schema::ChannelId, Path), ("seq" = u64, Path)), request_body = EditRequest,
    responses((status = 200, description = "The message has this text", body = Revised)),
)]
pub(crate) async fn edit<E: Engine, S: Shards>(
    Caller { api, user: by, .. }: Caller<E, S>,
    UrlPath((channel, seq)): UrlPath<(ChannelId, Seq)>,
    JsonBody(request): JsonBody<EditRequest>,
) -> Answer<Revised> {
    let EditRequest { op_id, base_revision, body } = request;
    body_is_legal(&body, true)?;
    let op = EditOp { by, seq, op_id, base_revision, body, ruling: None };
    let op = api.shards.ask_before(channel, ChannelOp::Edit(op)).await?;
    revise(&api, channel, op).await
}

#[utoipa::path(
    delete, path = "/v1/channels/{channel_id}/messages/{seq}", tag = "messages", security(("bearer" = [])),
    params(("channel_id" = schema::ChannelId, Path), ("seq" = u64, Path), DeleteRequest), request_body = Option<DeleteRequest>,
    responses((status = 200, description = "The message is deleted: its seq stays, its text is gone", body = Revised)),
)]
pub(crate) async fn delete<E: Engine, S: Shards>(
    Caller { api, user: by, .. }: Caller<E, S>,
    UrlPath((channel, seq)): UrlPath<(ChannelId, Seq)>,
    UrlQuery(query): UrlQuery<DeleteRequest>,
    OptionalBody(body): OptionalBody<DeleteRequest>,
) -> Answer<Revised> {
    let op_id = match (query.op_id, body.and_then(|body| body.op_id)) {
        (Some(op_id), None) | (None, Some(op_id)) => op_id,
        (Some(in_query), Some(in_body)) if in_query == in_body => in_query,
        (Some(_), Some(_)) => return Err(Problem::bad_request("the op_id of the query is not that of the body")),
        (None, None) => return Err(Problem::bad_request("give an op_id, in the query or in a body")),
    };
    revise(&api, channel, ChannelOp::Delete { by, seq, op_id }).await
}

async fn revise<E: Engine, S: Shards>(api: &Api<E, S>, channel: ChannelId, op: ChannelOp) -> Answer<Revised> {
    match api.shards.apply(channel, op).await? {
        OpReply::Revised { revision } => Ok(Json(Revised { revision })),
        reply => Err(unexpected(&reply)),
    }
}
