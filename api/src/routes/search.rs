//! Words in what the caller may read.
//!
//! Owns the query's fields and what a search costs. Where to look, and what is found, is the layer's; that an index is behind
//! its messages is told to the channel's home, which writes it.

use axum::Json;
use axum::extract::State;
use chat::search;
use kv::Engine;
use schema::command::{Search, SearchPage};
use schema::limits::{SEARCH_CHARS_MAX, SEARCH_HITS_MAX};
use schema::{ChannelId, ErrorCode, MessagePlace, UnixMs, UserId};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::extract::{Caller, UrlQuery};
use crate::problem::Problem;
use crate::shards::Shards;
use crate::state::Api;

/// What a search costs of a user's requests beside its own, as on a socket: it reads as much as 20 pages of history.
const COST: u32 = 19;
/// Hits of a page when the client names no limit.
const HITS_DEFAULT: u32 = 20;
/// Channels of one search whose homes are told that their index is behind; others are told by the next.
const BEHIND_TOLD_MAX: usize = 64;

/// What to look for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchQuery {
    /// Words, all of which a message must have: up to 200 characters.
    q: String,
    /// In this channel alone.
    #[param(value_type = Option<String>)]
    channel_id: Option<ChannelId>,
    /// By this user alone.
    #[param(value_type = Option<String>)]
    from: Option<UserId>,
    /// Sent before this time, in Unix milliseconds.
    before_ms: Option<u64>,
    /// That of the page before; absent for the first.
    #[param(value_type = Option<String>)]
    cursor: Option<MessagePlace>,
    /// Hits at most: 1 to 50, 20 unless given.
    limit: Option<u32>,
}

/// A page of hits, as [`SearchPage`] is written.
#[derive(ToSchema)]
#[schema(as = SearchPage)]
#[expect(dead_code, reason = "only its schema is used: the fields document those of schema::command::SearchPage")]
pub(crate) struct SearchBody {
    /// Newest first.
    hits: Vec<HitBody>,
    /// Whether there may be older ones. A page may be short, or empty, with more behind it.
    more: bool,
    /// The `cursor` of the next page, if there is more.
    cursor: Option<String>,
}

/// One message that was found, as [`schema::command::SearchHit`] is written.
#[derive(ToSchema)]
#[schema(as = SearchHit)]
#[expect(dead_code, reason = "only its schema is used: the fields document those of schema::command::SearchHit")]
pub(crate) struct HitBody {
    channel_id: String,
    /// `around` of the channel's messages shows what is about it.
    seq: u64,
    /// When it was sent, in Unix milliseconds.
    sent_ms: u64,
    /// Who sent it.
    from: String,
    /// The text about the first word found, cut.
    snippet: String,
}

#[utoipa::path(
    get, path = "/v1/search", tag = "messages", security(("bearer" = [])), params(SearchQuery),
    responses((status = 200, description = "Messages that the caller may read and that have all the words", body = SearchBody)),
)]
pub(crate) async fn find<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    caller: Caller,
    UrlQuery(query): UrlQuery<SearchQuery>,
) -> Result<Json<SearchPage>, Problem> {
    let SearchQuery { q, channel_id, from, before_ms, cursor, limit } = query;
    let chars = q.chars().count();
    if chars > SEARCH_CHARS_MAX as usize {
        let detail = format!("query: q is {chars} characters, the limit is {SEARCH_CHARS_MAX}");
        return Err(Problem::new(ErrorCode::LimitExceeded, detail));
    }
    let limit = match limit.unwrap_or(HITS_DEFAULT) {
        0 => return Err(Problem::bad_request(format!("query: limit is 0, ask for 1 to {SEARCH_HITS_MAX} hits"))),
        limit => limit.min(SEARCH_HITS_MAX),
    };
    api.charge(&caller, COST)?;
    let request = Search { query: q, channel_id, from, before_ms: before_ms.map(UnixMs), limit, cursor };
    let found = search::query(&api.engine, caller.user, &request).await?;
    for &channel in found.behind.iter().take(BEHIND_TOLD_MAX) {
        api.shards.index(channel);
    }
    Ok(Json(found.page))
}
