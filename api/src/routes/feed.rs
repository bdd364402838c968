//! News feeds: to post, and to read what friends and those who are followed have posted.
//!
//! Owns the requests and the pages. What a feed holds and what of it the caller sees is `timeline`'s; posts are stored by
//! the home of their author's channel.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use chat::posts;
use kv::Engine;
use schema::message::{MessageKind, no_mentions};
use schema::op::{ChannelKind, CreateOp, PastAccess, SendOp};
use schema::{Audience, ChannelId, ChannelOp, ClientMsgId, MediaId, OpReply, UserId};
use serde::{Deserialize, Serialize};
use timeline::{FeedPage as Read, Place};
use utoipa::{IntoParams, ToSchema};

use super::messages::no_text;
use super::paging::{self, Next};
use super::posts::{Post, Posted, is_legal, send};
use crate::extract::{Caller, JsonBody, UrlPath, UrlQuery};
use crate::problem::{Answer, Problem};
use crate::shards::Shards;
use crate::state::{Api, entropy, unexpected};

/// Posts of a page at most.
const PAGE_MAX: u32 = 100;
/// Posts of a page when the client names no limit.
const PAGE_DEFAULT: u32 = 20;

/// The page that is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FeedQuery {
    /// That of the page before; absent for the newest posts.
    cursor: Option<String>,
    /// Posts at most: 1 to 100, 20 unless given.
    #[param(minimum = 1, maximum = 4294967295u32)]
    limit: Option<u32>,
}

impl FeedQuery {
    /// The place before which the page begins, and posts at most.
    fn page(&self) -> Result<(Option<Place>, u32), Problem> {
        let parse = |text: &String| text.parse().map_err(|_| Problem::bad_request("query: not a cursor of a feed"));
        Ok((self.cursor.as_ref().map(parse).transpose()?, paging::rows(self.limit, PAGE_DEFAULT, PAGE_MAX)?))
    }
}

/// A post to be published.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct PostRequest {
    /// A UUID of version 7, made once per post and repeated on every retry.
    client_post_id: ClientMsgId,
    /// Up to 5,000 characters; with media it may be empty, or left out.
    #[serde(default = "no_text")]
    #[schema(value_type = String)]
    body: Arc<str>,
    /// Own media that are whole, up to 10, each once.
    #[serde(default)]
    media: Vec<MediaId>,
    /// Users whom it names, up to 50.
    #[serde(default = "no_mentions")]
    #[schema(value_type = Vec<UserId>)]
    mentions: Arc<[UserId]>,
    /// For whom it is: `friends`, or `public`: anybody, as long as the account is public.
    audience: Audience,
}

/// A page of a feed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeedPage {
    /// Newest first. There may be fewer than were asked for with more behind them: what was deleted, or is not the
    /// caller's to read any more, is left out.
    posts: Vec<Post>,
    #[serde(flatten)]
    next: Next,
}

impl FeedPage {
    fn new<E, S>(api: &Api<E, S>, Read { posts, next }: Read) -> Self {
        Self { posts: posts.into_iter().map(|post| Post::new(api, post)).collect(), next: Next::after(next) }
    }
}

#[utoipa::path(
    post, path = "/v1/me/feed", tag = "feed", security(("bearer" = [])), request_body = PostRequest,
    responses(
        (status = 200, description = "It had been posted before: the first answer", body = Posted),
        (status = 201, description = "The post is durable, and on its way to its readers", body = Posted),
    ),
)]
pub(crate) async fn publish<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    JsonBody(request): JsonBody<PostRequest>,
) -> Result<(StatusCode, Json<Posted>), Problem> {
    let PostRequest { client_post_id, body, media, mentions, audience } = request;
    let op = SendOp {
        from: user,
        client_msg_id: client_post_id,
        kind: MessageKind::Text,
        body,
        reply_to: None,
        mentions,
        ruling: None,
        audience: Some(audience),
        media,
    };
    // Before anything is made for it.
    is_legal(&op)?;
    let sent = send(&api, channel_of(&api, user).await?, op).await?;
    api.feeds.posted();
    Ok(sent)
}

/// The channel of a user's posts, made with the first.
async fn channel_of<E: Engine, S: Shards>(api: &Api<E, S>, user: UserId) -> Result<ChannelId, Problem> {
    if let Some(channel) = posts::feed_of(&api.engine, user).await? {
        return Ok(channel);
    }
    let create = CreateOp {
        kind: ChannelKind::Feed,
        title: "".into(),
        creator: user,
        members: Vec::new(),
        idempotency_key: None,
        past: PastAccess::Joined,
    };
    let drawn = ChannelId::new(api.wall(), entropy()?);
    match api.shards.apply(drawn, ChannelOp::Create(create)).await? {
        OpReply::Created { channel, .. } => Ok(channel),
        reply => Err(unexpected(&reply)),
    }
}

#[utoipa::path(
    get, path = "/v1/me/feed", tag = "feed", security(("bearer" = [])), params(FeedQuery),
    responses((status = 200, description = "What friends and those whom the caller follows have posted", body = FeedPage)),
)]
pub(crate) async fn mine<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlQuery(query): UrlQuery<FeedQuery>,
) -> Answer<FeedPage> {
    let (before, rows) = query.page()?;
    Ok(Json(FeedPage::new(&api, api.feeds.feed(user, before, rows, api.wall()).await?)))
}

#[utoipa::path(
    get, path = "/v1/users/{user_id}/feed", tag = "feed", security(("bearer" = [])),
    params(("user_id" = schema::UserId, Path), FeedQuery),
    responses((status = 200, description = "What of a user's posts the caller may see", body = FeedPage)),
)]
pub(crate) async fn of_user<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(author): UrlPath<UserId>,
    UrlQuery(query): UrlQuery<FeedQuery>,
) -> Answer<FeedPage> {
    let (before, rows) = query.page()?;
    Ok(Json(FeedPage::new(&api, api.feeds.feed_of(user, author, before, rows).await?)))
}
