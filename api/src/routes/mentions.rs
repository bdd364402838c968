//! Mentions: the messages that name the caller.
//!
//! Owns the page. What the caller may read of it is the layer's to say.

use std::sync::Arc;

use axum::Json;
use chat::mentions;
use kv::Engine;
use schema::Message;
use serde::Serialize;
use utoipa::ToSchema;

use super::paging::{Next, PageQuery};
use crate::extract::{Caller, UrlQuery};
use crate::problem::Answer;
use crate::shards::Shards;

/// A page of messages that name the caller.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MentionPage {
    /// Newest first. There may be fewer than were asked for with more behind them: what was deleted, or is not the
    /// caller's to read any more, is left out.
    messages: Vec<Arc<Message>>,
    #[serde(flatten)]
    next: Next,
}

#[utoipa::path(
    get, path = "/v1/mentions", tag = "messages", security(("bearer" = [])), params(PageQuery),
    responses(
        (status = 200, description = "Messages that name the caller; `around` of a channel's messages shows what is about \
         one", body = MentionPage),
    ),
)]
pub(crate) async fn list<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlQuery(query): UrlQuery<PageQuery>,
) -> Answer<MentionPage> {
    let page = mentions::list(&api.engine, user, query.after()?, query.rows()?).await?;
    Ok(Json(MentionPage { messages: page.messages, next: Next::after(page.next) }))
}
