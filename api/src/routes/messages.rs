//! A channel's messages: to read its past, to send.
//!
//! Owns the checks that a session does for a socket: the text's length, the number of mentions. Everything else is as for
//! the commands, because it is the same code: the history layer reads, the channel's home sends.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chat::history as past;
use kv::Engine;
use schema::command::{History, HistoryPage, HistoryWindow};
use schema::limits::{BODY_CHARS_MAX, HISTORY_ROWS_MAX, MENTIONS_MAX};
use schema::message::{MessageKind, no_mentions};
use schema::op::SendOp;
use schema::{ChannelId, ChannelOp, ClientMsgId, ErrorCode, OpReply, Seq, UnixMs, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::channels::unexpected;
use crate::extract::{Caller, JsonBody, UrlPath, UrlQuery};
use crate::problem::Problem;
use crate::shards::Shards;
use crate::state::Api;

/// Messages of a page when the client names no limit.
const PAGE_DEFAULT: u32 = 50;

/// Which part of the past.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryQuery {
    /// The last before this seq. Of `before`, `after` and `around` one at most; the newest if none.
    before: Option<u64>,
    /// The first after this seq.
    after: Option<u64>,
    /// With this seq in the middle.
    around: Option<u64>,
    /// Messages at most: 1 to 200, 50 unless given.
    limit: Option<u32>,
}

/// A message to be sent.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SendRequest {
    /// A UUID of version 7, made once per message and repeated on every retry.
    #[schema(value_type = String, format = "uuid")]
    client_msg_id: ClientMsgId,
    /// Up to 100,000 characters.
    #[schema(value_type = String)]
    body: Arc<str>,
    /// The seq of the message that it answers.
    #[schema(value_type = Option<u64>)]
    reply_to: Option<Seq>,
    /// Members whom it names, up to 50.
    #[serde(default = "no_mentions")]
    #[schema(value_type = Vec<String>)]
    mentions: Arc<[UserId]>,
    /// What it is.
    #[serde(default)]
    #[schema(value_type = String, example = "text")]
    kind: MessageKind,
}

/// A message that is durable.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sent {
    /// Its place in the channel.
    #[schema(value_type = u64)]
    seq: Seq,
    /// When it was accepted, in Unix milliseconds.
    #[schema(value_type = u64)]
    sent_ms: UnixMs,
    /// Whether it had been sent before.
    duplicate: bool,
}

/// A message, as [`schema::Message`] is written.
#[derive(ToSchema)]
#[schema(as = Message)]
#[expect(
    dead_code,
    reason = "only its schema is used: the fields document those of schema::Message, and a test compares them"
)]
pub(crate) struct MessageBody {
    channel_id: String,
    /// Its place in the channel.
    seq: u64,
    /// 0 as sent; each edit adds one.
    revision: u32,
    /// Who sent it.
    from: String,
    /// When it was accepted, in Unix milliseconds.
    sent_ms: u64,
    /// The sender's name for it.
    #[schema(format = "uuid")]
    client_msg_id: String,
    #[schema(example = "text")]
    kind: String,
    body: String,
    /// The seq of the message that it answers.
    reply_to: Option<u64>,
    /// Members whom it names.
    mentions: Option<Vec<String>>,
    /// When it was last edited, in Unix milliseconds.
    edited_ms: Option<u64>,
    /// Whether it was deleted: then its text is empty.
    deleted: Option<bool>,
    /// How often each emoji was put to it, in the order in which they first came.
    reactions: Option<Vec<TallyBody>>,
}

/// How many put one emoji to a message, as [`schema::message::Tally`] is written.
#[derive(ToSchema)]
#[schema(as = Tally)]
#[expect(dead_code, reason = "only its schema is used: the fields document those of schema::message::Tally")]
pub(crate) struct TallyBody {
    #[schema(example = "👍")]
    emoji: String,
    count: u32,
    /// Whether the caller is one of them.
    mine: Option<bool>,
}

/// A page of a channel's past, as [`HistoryPage`] is written.
#[derive(ToSchema)]
#[schema(as = HistoryPage)]
#[expect(dead_code, reason = "only its schema is used: the fields document those of schema::command::HistoryPage")]
pub(crate) struct HistoryBody {
    /// Ascending by seq.
    messages: Vec<MessageBody>,
    /// The channel's newest seq, or the last that the caller may see if it has left; 0 if there is none.
    head_seq: u64,
    /// The oldest seq that the caller may see; the one after `head_seq` if there is none.
    first_seq: u64,
    /// Whether there is more in the asked direction.
    more: bool,
}

#[utoipa::path(
    get, path = "/v1/channels/{channel_id}/messages", tag = "messages", security(("bearer" = [])),
    params(("channel_id" = String, Path), HistoryQuery),
    responses((status = 200, description = "The page", body = HistoryBody)),
)]
pub(crate) async fn history<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    caller: Caller,
    UrlPath(channel_id): UrlPath<ChannelId>,
    UrlQuery(query): UrlQuery<HistoryQuery>,
) -> Result<Json<HistoryPage>, Problem> {
    let window = HistoryWindow::from_fields(query.before.map(Seq), query.after.map(Seq), query.around.map(Seq))
        .map_err(|error| Problem::bad_request(format!("query: {error}")))?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if limit == 0 {
        return Err(Problem::bad_request(format!("query: limit is 0, ask for 1 to {HISTORY_ROWS_MAX} messages")));
    }
    let request = History { channel_id, window, limit: limit.min(HISTORY_ROWS_MAX) };
    Ok(Json(past::page(&api.engine, caller.user, &request).await?))
}

#[utoipa::path(
    post, path = "/v1/channels/{channel_id}/messages", tag = "messages", security(("bearer" = [])),
    params(("channel_id" = String, Path)), request_body = SendRequest,
    responses(
        (status = 200, description = "It had been sent before: the first answer", body = Sent),
        (status = 201, description = "The message is durable", body = Sent),
    ),
)]
pub(crate) async fn send<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    caller: Caller,
    UrlPath(channel): UrlPath<ChannelId>,
    JsonBody(request): JsonBody<SendRequest>,
) -> Result<(StatusCode, Json<Sent>), Problem> {
    let SendRequest { client_msg_id, body, reply_to, mentions, kind } = request;
    body_is_legal(&body)?;
    if mentions.len() > MENTIONS_MAX as usize {
        let detail = format!("{} mentions, the limit is {MENTIONS_MAX}", mentions.len());
        return Err(Problem::new(ErrorCode::LimitExceeded, detail));
    }
    let op = ChannelOp::Send(SendOp { from: caller.user, client_msg_id, kind, body, reply_to, mentions });
    match api.shards.apply(channel, op).await? {
        OpReply::Sent { seq, sent_ms, duplicate } => {
            let status = if duplicate { StatusCode::OK } else { StatusCode::CREATED };
            Ok((status, Json(Sent { seq, sent_ms, duplicate })))
        }
        reply => Err(unexpected(&reply)),
    }
}

/// Whether a message may have this text.
pub(super) fn body_is_legal(body: &str) -> Result<(), Problem> {
    if body.is_empty() {
        return Err(Problem::bad_request("the body is empty"));
    }
    // A text of at most so many bytes has at most so many characters, and needs no counting.
    if body.len() > BODY_CHARS_MAX as usize {
        let chars = body.chars().count();
        if chars > BODY_CHARS_MAX as usize {
            let detail = format!("the body is {chars} characters, the limit is {BODY_CHARS_MAX}");
            return Err(Problem::new(ErrorCode::BodyTooLong, detail));
        }
    }
    Ok(())
}
