//! Messages of a channel: history and sending.
//!
//! Owns the checks that a session does for a socket: the text's length, the number of mentions. Everything else is as
//! for the commands, because it is the same code: the history layer reads, the channel's home sends.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use chat::history as past;
use kv::Engine;
use schema::command::{History, HistoryPage, HistoryWindow};
use schema::limits::{BODY_CHARS_MAX, HISTORY_ROWS_MAX, MENTIONS_MAX};
use schema::message::{MessageKind, no_mentions};
use schema::op::SendOp;
use schema::{ChannelId, ChannelOp, ClientMsgId, ErrorCode, MediaId, OpReply, Seq, UnixMs, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::paging;
use crate::extract::{Caller, JsonBody, UrlPath, UrlQuery};
use crate::problem::{Answer, Problem};
use crate::shards::Shards;
use crate::state::unexpected;

/// Messages of a page when the client names no limit.
const PAGE_DEFAULT: u32 = 50;

/// The window of the past.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryQuery {
    /// The last before this seq. Of `before`, `after` and `around` one at most; the newest if none.
    before: Option<Seq>,
    /// The first after this seq.
    after: Option<Seq>,
    /// With this seq in the middle.
    around: Option<Seq>,
    /// Messages at most: 1 to 200, 50 unless given.
    #[param(minimum = 1, maximum = 4294967295u32)]
    limit: Option<u32>,
}

impl HistoryQuery {
    /// The window, and messages at most.
    pub(super) fn window(&self) -> Result<(HistoryWindow, u32), Problem> {
        let window = HistoryWindow::from_fields(self.before, self.after, self.around)
            .map_err(|error| Problem::bad_request(format!("query: {error}")))?;
        Ok((window, paging::rows(self.limit, PAGE_DEFAULT, HISTORY_ROWS_MAX)?))
    }
}

/// A message to be sent.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SendRequest {
    /// A UUID of version 7, made once per message and repeated on every retry.
    client_msg_id: ClientMsgId,
    /// Up to 100,000 characters; with media it may be empty, or left out.
    #[serde(default = "no_text")]
    #[schema(value_type = String)]
    body: Arc<str>,
    /// The seq of the message that it answers.
    reply_to: Option<Seq>,
    /// Members whom it names, up to 50.
    #[serde(default = "no_mentions")]
    #[schema(value_type = Vec<UserId>)]
    mentions: Arc<[UserId]>,
    /// Its kind: `media` where it has any, whether that is said or not.
    #[serde(default)]
    kind: MessageKind,
    /// Own media that are whole, up to 10, each once.
    #[serde(default)]
    media: Vec<MediaId>,
}

/// The text of a message whose media say all.
pub(super) fn no_text() -> Arc<str> {
    Arc::from("")
}

/// A message that is durable.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sent {
    /// Its place in the channel.
    seq: Seq,
    /// When it was accepted, in Unix milliseconds.
    sent_ms: UnixMs,
    /// Whether it had been sent before.
    duplicate: bool,
}

#[utoipa::path(
    get, path = "/v1/channels/{channel_id}/messages", tag = "messages", security(("bearer" = [])),
    params(("channel_id" = schema::ChannelId, Path), HistoryQuery),
    responses((status = 200, description = "The page", body = HistoryPage)),
)]
pub(crate) async fn history<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(channel_id): UrlPath<ChannelId>,
    UrlQuery(query): UrlQuery<HistoryQuery>,
) -> Answer<HistoryPage> {
    let (window, limit) = query.window()?;
    let request = History { channel_id, window, limit };
    Ok(Json(past::page(&api.engine, user, &request).await?))
}

#[utoipa::path(
    post, path = "/v1/channels/{channel_id}/messages", tag = "messages", security(("bearer" = [])),
    params(("channel_id" = schema::ChannelId, Path)), request_body = SendRequest,
    responses(
        (status = 200, description = "It had been sent before: the first answer", body = Sent),
        (status = 201, description = "The message is durable", body = Sent),
    ),
)]
pub(crate) async fn send<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(channel): UrlPath<ChannelId>,
    JsonBody(request): JsonBody<SendRequest>,
) -> Result<(StatusCode, Json<Sent>), Problem> {
    let SendRequest { client_msg_id, body, reply_to, mentions, kind, media } = request;
    body_is_legal(&body, !media.is_empty())?;
    if mentions.len() > MENTIONS_MAX as usize {
        let detail = format!("{} mentions, the limit is {MENTIONS_MAX}", mentions.len());
        return Err(Problem::new(ErrorCode::LimitExceeded, detail));
    }
    let (from, ruling, audience) = (user, None, None);
    let op = ChannelOp::Send(SendOp { from, client_msg_id, kind, body, reply_to, mentions, ruling, audience, media });
    let op = api.shards.ask_before(channel, op).await?;
    match api.shards.apply(channel, op).await? {
        OpReply::Sent { seq, sent_ms, duplicate } => {
            let status = if duplicate { StatusCode::OK } else { StatusCode::CREATED };
            Ok((status, Json(Sent { seq, sent_ms, duplicate })))
        }
        reply => Err(unexpected(&reply)),
    }
}

/// Whether a message may have this text, which may be none beside media.
pub(super) fn body_is_legal(body: &str, may_be_empty: bool) -> Result<(), Problem> {
    if body.is_empty() && !may_be_empty {
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
