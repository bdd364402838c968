//! Search over the messages that the caller may read.
//!
//! Owns the query's fields and what a search costs. Where to look, and what is found, is the layer's; that an index is
//! behind its messages is told to the channel's home, which writes it.

use axum::Json;
use chat::search;
use kv::Engine;
use schema::command::{Search, SearchPage};
use schema::limits::{SEARCH_CHARS_MAX, SEARCH_HITS_MAX};
use schema::{ChannelId, ErrorCode, MessagePlace, UnixMs, UserId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::paging;
use crate::extract::{Caller, UrlQuery};
use crate::problem::{Answer, Problem};
use crate::shards::Shards;

/// The cost of a search in a user's requests, beside its own, as on a socket: it reads as much as 20 pages of history.
const COST: u32 = 19;
/// Hits of a page when the client names no limit.
const HITS_DEFAULT: u32 = 20;
/// Channels of one search whose homes are told that their index is behind; others are told by the next.
const BEHIND_TOLD_MAX: usize = 64;

/// The query of a search.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchQuery {
    /// Words, all of which a message must have: up to 200 characters.
    q: String,
    /// In this channel alone.
    channel_id: Option<ChannelId>,
    /// By this user alone.
    from: Option<UserId>,
    /// Sent before this time, in Unix milliseconds.
    before_ms: Option<UnixMs>,
    /// That of the page before; absent for the first.
    cursor: Option<MessagePlace>,
    /// Hits at most: 1 to 50, 20 unless given.
    #[param(minimum = 1, maximum = 4294967295u32)]
    limit: Option<u32>,
}

#[utoipa::path(
    get, path = "/v1/search", tag = "messages", security(("bearer" = [])), params(SearchQuery),
    responses((status = 200, description = "Messages that the caller may read and that have all the words", body = SearchPage)),
)]
pub(crate) async fn find<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlQuery(query): UrlQuery<SearchQuery>,
) -> Answer<SearchPage> {
    let SearchQuery { q, channel_id, from, before_ms, cursor, limit } = query;
    let chars = q.chars().count();
    if chars > SEARCH_CHARS_MAX as usize {
        let detail = format!("query: q is {chars} characters, the limit is {SEARCH_CHARS_MAX}");
        return Err(Problem::new(ErrorCode::LimitExceeded, detail));
    }
    let limit = paging::rows(limit, HITS_DEFAULT, SEARCH_HITS_MAX)?;
    api.charge(user, COST)?;
    let request = Search { query: q, channel_id, from, before_ms, limit, cursor };
    let found = search::query(&api.engine, user, &request).await?;
    for &channel in found.behind.iter().take(BEHIND_TOLD_MAX) {
        api.shards.index(channel);
    }
    Ok(Json(found.page))
}
