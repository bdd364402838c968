//! Whom one knows, and of whom one wants nothing: friends and blocks.
//!
//! Owns what of them is shown. Both are rows that no shard caches, but a block between two who have a direct channel: that
//! is the channel's home to put among their messages.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chat::people::{self, BlockOutcome};
use chat::{LayerError, accounts};
use kv::Engine;
use schema::record::{BlockRecord, FriendRecord, FriendState, UserRecord};
use schema::{ChannelOp, OpReply, UnixMs, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::channels::unexpected;
use super::paging::{self, PageQuery};
use crate::extract::{Caller, UrlPath, UrlQuery};
use crate::problem::Problem;
use crate::shards::Shards;
use crate::state::Api;

/// What a new friend or block costs of a user's requests: its limit is kept by counting rows, up to 5,000 on either side.
const COST: u32 = 20;

/// One friend, or one who is asked to be, or asks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Friend {
    #[schema(value_type = String)]
    user_id: UserId,
    username: String,
    display_name: String,
    /// `requested`: the caller asked. `asked`: the other did, and the caller's `PUT` accepts. `accepted`: both did.
    #[schema(value_type = String, example = "accepted")]
    state: FriendState,
    /// Since when it is so, in Unix milliseconds.
    #[schema(value_type = u64)]
    since_ms: UnixMs,
}

/// A page of friends and requests, ascending by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FriendPage {
    friends: Vec<Friend>,
    /// Whether there are further pages.
    more: bool,
    /// The `cursor` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// One whom the caller blocks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Blocked {
    #[schema(value_type = String)]
    user_id: UserId,
    username: String,
    display_name: String,
    /// Since when, in Unix milliseconds.
    #[schema(value_type = u64)]
    since_ms: UnixMs,
}

/// A page of those whom the caller blocks, ascending by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockPage {
    blocks: Vec<Blocked>,
    /// Whether there are further pages.
    more: bool,
    /// The `cursor` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// A block after a change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockChanged {
    #[schema(value_type = String)]
    user_id: UserId,
    /// Whether it was otherwise before.
    changed: bool,
}

impl Friend {
    fn new(user_id: UserId, friend: FriendRecord, user: Option<UserRecord>) -> Self {
        let (username, display_name) = names(user);
        Self { user_id, username, display_name, state: friend.state, since_ms: friend.since_ms }
    }
}

impl Blocked {
    fn new(user_id: UserId, block: BlockRecord, user: Option<UserRecord>) -> Self {
        let (username, display_name) = names(user);
        Self { user_id, username, display_name, since_ms: block.since_ms }
    }
}

/// Username and display name; empty of an account that is gone.
pub(super) fn names(user: Option<UserRecord>) -> (String, String) {
    user.map_or_else(Default::default, |user| (user.username, user.display_name))
}

#[utoipa::path(
    get, path = "/v1/me/friends", tag = "people", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "Friends, and requests of either side", body = FriendPage)),
)]
pub(crate) async fn friends<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    caller: Caller,
    UrlQuery(query): UrlQuery<PageQuery>,
) -> Result<Json<FriendPage>, Problem> {
    let (after, rows) = (query.after()?, query.rows()?);
    let mut found = people::friends(&api.engine, caller.user, after, paging::with_next(rows)).await?.users;
    let more = paging::cut(&mut found, rows);
    let cursor = found.last().filter(|_| more).map(|(user, _)| user.to_string());
    let records = records(&api, &found).await?;
    let friends = found.into_iter().zip(records).map(|((user, friend), record)| Friend::new(user, friend, record));
    Ok(Json(FriendPage { friends: friends.collect(), more, cursor }))
}

#[utoipa::path(
    put, path = "/v1/me/friends/{user_id}", tag = "people", security(("bearer" = [])),
    params(("user_id" = String, Path)),
    responses((status = 200, description = "The user is asked, or, having asked before, a friend", body = Friend)),
)]
pub(crate) async fn put_friend<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    caller: Caller,
    UrlPath(user): UrlPath<UserId>,
) -> Result<Json<Friend>, Problem> {
    api.charge(&caller, COST)?;
    api.takes_writes()?;
    let friend = people::put_friend(&api.engine, caller.user, user, api.wall()).await?;
    Ok(Json(Friend::new(user, friend, accounts::by_id(&api.engine, user).await?)))
}

#[utoipa::path(
    delete, path = "/v1/me/friends/{user_id}", tag = "people", security(("bearer" = [])),
    params(("user_id" = String, Path)),
    responses((status = 204, description = "The two are no friends, and neither asks")),
)]
pub(crate) async fn delete_friend<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    caller: Caller,
    UrlPath(user): UrlPath<UserId>,
) -> Result<StatusCode, Problem> {
    people::remove_friend(&api.engine, caller.user, user).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(
    get, path = "/v1/me/blocks", tag = "people", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "Whom the caller blocks", body = BlockPage)),
)]
pub(crate) async fn blocks<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    caller: Caller,
    UrlQuery(query): UrlQuery<PageQuery>,
) -> Result<Json<BlockPage>, Problem> {
    let (after, rows) = (query.after()?, query.rows()?);
    let mut found = people::blocks(&api.engine, caller.user, after, paging::with_next(rows)).await?.users;
    let more = paging::cut(&mut found, rows);
    let cursor = found.last().filter(|_| more).map(|(user, _)| user.to_string());
    let records = records(&api, &found).await?;
    let blocks = found.into_iter().zip(records).map(|((user, block), record)| Blocked::new(user, block, record));
    Ok(Json(BlockPage { blocks: blocks.collect(), more, cursor }))
}

#[utoipa::path(
    put, path = "/v1/me/blocks/{user_id}", tag = "people", security(("bearer" = [])),
    params(("user_id" = String, Path)),
    responses((status = 200, description = "The user is blocked, and no friend", body = BlockChanged)),
)]
pub(crate) async fn put_block<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    caller: Caller,
    UrlPath(user_id): UrlPath<UserId>,
) -> Result<Json<BlockChanged>, Problem> {
    api.charge(&caller, COST)?;
    api.takes_writes()?;
    let changed = block(&api, caller.user, user_id, true).await?;
    Ok(Json(BlockChanged { user_id, changed }))
}

#[utoipa::path(
    delete, path = "/v1/me/blocks/{user_id}", tag = "people", security(("bearer" = [])),
    params(("user_id" = String, Path)),
    responses((status = 204, description = "The user is not blocked by the caller")),
)]
pub(crate) async fn delete_block<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    caller: Caller,
    UrlPath(user): UrlPath<UserId>,
) -> Result<StatusCode, Problem> {
    block(&api, caller.user, user, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Blocks a user, or does so no longer, by whichever of the two ways is theirs. Whether anything changed.
async fn block<E: Engine, S: Shards>(api: &Api<E, S>, by: UserId, user: UserId, on: bool) -> Result<bool, Problem> {
    match people::block(&api.engine, by, user, on, api.wall()).await? {
        BlockOutcome::Done { changed } => Ok(changed),
        BlockOutcome::ThroughChannel(channel) => {
            match api.shards.apply(channel, ChannelOp::Block { by, user, on }).await? {
                OpReply::Changed { changed } => Ok(changed),
                reply => Err(unexpected(&reply)),
            }
        }
    }
}

/// The accounts of a page's users, in their order.
async fn records<E: Engine, S: Shards, R>(
    api: &Api<E, S>,
    rows: &[(UserId, R)],
) -> Result<Vec<Option<UserRecord>>, LayerError> {
    let users: Vec<_> = rows.iter().map(|&(user, _)| user).collect();
    accounts::by_ids(&api.engine, &users).await
}
