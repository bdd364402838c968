//! Events of an application's notifications: what became of each, in order.
//!
//! Owns what of a request is checked. How an answer grows is [`crate::following`]'s.

use axum::Extension;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chat::notices::apps::Scope;
use chat::notices::events;
use kv::Engine;
use schema::Cursor;
use schema::notice_event::NoticeEvent;
use serde::Deserialize;
use utoipa::IntoParams;

use super::paging::rows;
use crate::extract::{AppCaller, UrlQuery};
use crate::following::{self, Until};
use crate::problem::Problem;
use crate::shards::Shards;

/// Lines of an answer at most, and where none is named.
const LINES_MAX: u32 = 1_000;
const LINES_DEFAULT: u32 = 100;

/// Which events are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// The cursor of the last that is known; absent for the earliest that is kept.
    after: Option<String>,
    /// Lines at most: 1 to 1,000, 100 unless given; where it follows, without a bound.
    #[param(minimum = 1, maximum = 4294967295u32)]
    limit: Option<u32>,
    /// Whether the answer stays open and tells what comes.
    #[serde(default)]
    follow: bool,
}

#[utoipa::path(
    get, path = "/v1/notifications/events", tag = "notifications", security(("app" = [])), params(EventsQuery),
    responses((
        status = 200, body = NoticeEvent, content_type = "application/x-ndjson",
        description = "A line each, the earliest first; an empty line where nothing has come for 15 s",
    )),
)]
pub(crate) async fn list<E: Engine, S: Shards>(
    AppCaller { api, app }: AppCaller<E, S>,
    UrlQuery(EventsQuery { after, limit, follow }): UrlQuery<EventsQuery>,
    until: Extension<Until>,
) -> Result<Response, Problem> {
    AppCaller::<E, S>::may(&app, Scope::Read)?;
    let limit = rows(limit, LINES_DEFAULT, LINES_MAX)?;
    let parse = |text: String| text.parse().map_err(|_| Problem::bad_request("query: after is no cursor of an event"));
    let after: Option<Cursor> = after.map(parse).transpose()?;
    let after = events::place(&api.engine, after)?;
    let kind = [(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))];
    if follow {
        let place = api.followers.enter(app.id)?;
        return Ok((kind, following::body(api.engine.clone(), place, after, until.0)).into_response());
    }
    let page = events::events(&api.engine, app.id, after, limit).await?;
    Ok((kind, following::lines(&api.engine, &page)).into_response())
}
