//! Where the caller is named.
//!
//! Owns the page. What the caller may read of it is the layer's to say.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chat::mentions;
use kv::Engine;
use schema::Message;
use serde::Serialize;
use utoipa::ToSchema;

use super::messages::MessageBody;
use super::paging::PageQuery;
use crate::extract::{Caller, UrlQuery};
use crate::problem::Problem;
use crate::shards::Shards;
use crate::state::Api;

/// A page of messages that name the caller.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MentionPage {
    /// Newest first. There may be fewer than were asked for with more behind them: what was deleted, or is not the caller's
    /// to read any more, is left out.
    #[schema(value_type = Vec<MessageBody>)]
    messages: Vec<Arc<Message>>,
    /// Whether there are further pages.
    more: bool,
    /// The `cursor` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[utoipa::path(
    get, path = "/v1/mentions", tag = "messages", security(("bearer" = [])), params(PageQuery),
    responses(
        (status = 200, description = "Messages that name the caller; `around` of a channel's messages shows what is about \
         one", body = MentionPage),
    ),
)]
pub(crate) async fn list<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    caller: Caller,
    UrlQuery(query): UrlQuery<PageQuery>,
) -> Result<Json<MentionPage>, Problem> {
    let page = mentions::list(&api.engine, caller.user, query.after()?, query.rows()?).await?;
    let cursor = page.next.map(|place| place.to_string());
    Ok(Json(MentionPage { messages: page.messages, more: cursor.is_some(), cursor }))
}
