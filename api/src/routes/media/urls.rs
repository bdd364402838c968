//! URLs of what messages carry, for those who may read them.

use std::collections::BTreeMap;

use axum::Json;
use chat::media as known;
use kv::Engine;
use schema::{ChannelId, ErrorCode, Seq, UnixMs};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::library;
use crate::extract::{Caller, JsonBody};
use crate::library::Urls;
use crate::problem::{Answer, Problem};
use crate::shards::Shards;

/// Messages of one request.
const SEQS_MAX: usize = 100;

/// Messages whose media are to be fetched.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct UrlsRequest {
    /// Their channel.
    channel_id: ChannelId,
    /// Up to 100 of them. What the caller may not read, or what carries no media, is left out of the answer.
    seqs: Vec<Seq>,
}

/// URLs of media.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UrlsOfMedia {
    /// By media.
    #[schema(value_type = BTreeMap<String, Urls>)]
    media: BTreeMap<String, Urls>,
    /// Their expiry, in Unix milliseconds.
    expires_ms: UnixMs,
}

#[utoipa::path(
    post, path = "/v1/media/urls", tag = "media", security(("bearer" = [])), request_body = UrlsRequest,
    responses((status = 200, description = "URLs of the media that these messages carry", body = UrlsOfMedia)),
)]
pub(crate) async fn urls<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    JsonBody(UrlsRequest { channel_id, seqs }): JsonBody<UrlsRequest>,
) -> Answer<UrlsOfMedia> {
    library(&api)?;
    if seqs.len() > SEQS_MAX {
        let text = format!("{} seqs, the limit is {SEQS_MAX}", seqs.len());
        return Err(Problem::new(ErrorCode::LimitExceeded, text));
    }
    let (now, carried) = (api.wall(), known::carried(&api.engine, user, channel_id, &seqs).await?);
    let urls = carried.iter().map(|attachment| (attachment.media_id.to_string(), api.signer.urls(attachment, now)));
    Ok(Json(UrlsOfMedia { media: urls.collect(), expires_ms: api.signer.expires(now) }))
}
