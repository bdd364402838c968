//! Friends and blocked users.
//!
//! Owns what of them is shown. Both are rows that no shard caches, but a block between two who have a direct channel:
//! that is the channel's home to put among their messages.

use axum::Json;
use axum::http::StatusCode;
use chat::accounts;
use chat::people::{self, BlockOutcome};
use kv::Engine;
use schema::record::{BlockRecord, FriendRecord, FriendState};
use schema::{ChannelOp, UnixMs, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::paging::{self, Next, PageQuery, Person};
use crate::extract::{Caller, UrlPath, UrlQuery};
use crate::problem::{Answer, Problem};
use crate::shards::Shards;
use crate::state::Api;

/// The cost of a new friend or block in a user's requests: its limit is kept by counting rows, up to 5,000 on either
/// side.
const COST: u32 = 20;

/// One friend, or one who is asked to be, or asks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Friend {
    #[serde(flatten)]
    person: Person,
    /// `requested`: the caller asked. `asked`: the other did, and the caller's `PUT` accepts. `accepted`: both did.
    state: FriendState,
    /// Since when it is so, in Unix milliseconds.
    since_ms: UnixMs,
}

/// A page of friends and requests, ascending by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FriendPage {
    friends: Vec<Friend>,
    #[serde(flatten)]
    next: Next,
}

/// One whom the caller blocks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Blocked {
    #[serde(flatten)]
    person: Person,
    /// Since when, in Unix milliseconds.
    since_ms: UnixMs,
}

/// A page of those whom the caller blocks, ascending by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockPage {
    blocks: Vec<Blocked>,
    #[serde(flatten)]
    next: Next,
}

/// A block after a change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockChanged {
    user_id: UserId,
    /// Whether it was otherwise before.
    changed: bool,
}

impl Friend {
    fn new(person: Person, friend: FriendRecord) -> Self {
        Self { person, state: friend.state, since_ms: friend.since_ms }
    }
}

#[utoipa::path(
    get, path = "/v1/me/friends", tag = "people", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "Friends, and requests of either side", body = FriendPage)),
)]
pub(crate) async fn friends<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlQuery(query): UrlQuery<PageQuery>,
) -> Answer<FriendPage> {
    let rows = query.rows()?;
    let found = people::friends(&api.engine, user, query.after()?, rows + 1).await?.users;
    let (friends, next) = paging::of_users(&api, found, rows, Friend::new).await?;
    Ok(Json(FriendPage { friends, next }))
}

#[utoipa::path(
    put, path = "/v1/me/friends/{user_id}", tag = "people", security(("bearer" = [])),
    params(("user_id" = schema::UserId, Path)),
    responses((status = 200, description = "The user is asked, or, having asked before, a friend", body = Friend)),
)]
pub(crate) async fn put_friend<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(other): UrlPath<UserId>,
) -> Answer<Friend> {
    api.charge(user, COST)?;
    api.takes_writes()?;
    let friend = people::put_friend(&api.engine, user, other, api.wall()).await?;
    api.feeds.related(user, other);
    match friend.state {
        FriendState::Accepted => api.shards.visibility(user, other, false),
        FriendState::Requested | FriendState::Asked => {}
    }
    Ok(Json(Friend::new(Person::new(other, accounts::by_id(&api.engine, other).await?), friend)))
}

#[utoipa::path(
    delete, path = "/v1/me/friends/{user_id}", tag = "people", security(("bearer" = [])),
    params(("user_id" = schema::UserId, Path)),
    responses((status = 204, description = "The two are no friends, and neither asks")),
)]
pub(crate) async fn delete_friend<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(other): UrlPath<UserId>,
) -> Result<StatusCode, Problem> {
    let was_there = people::remove_friend(&api.engine, user, other).await?;
    api.feeds.related(user, other);
    if was_there {
        api.shards.visibility(user, other, true);
    }
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(
    get, path = "/v1/me/blocks", tag = "people", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "Whom the caller blocks", body = BlockPage)),
)]
pub(crate) async fn blocks<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlQuery(query): UrlQuery<PageQuery>,
) -> Answer<BlockPage> {
    let rows = query.rows()?;
    let found = people::blocks(&api.engine, user, query.after()?, rows + 1).await?.users;
    let show = |person, block: BlockRecord| Blocked { person, since_ms: block.since_ms };
    let (blocks, next) = paging::of_users(&api, found, rows, show).await?;
    Ok(Json(BlockPage { blocks, next }))
}

#[utoipa::path(
    put, path = "/v1/me/blocks/{user_id}", tag = "people", security(("bearer" = [])),
    params(("user_id" = schema::UserId, Path)),
    responses((status = 200, description = "The user is blocked, and no friend", body = BlockChanged)),
)]
pub(crate) async fn put_block<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(user_id): UrlPath<UserId>,
) -> Answer<BlockChanged> {
    api.charge(user, COST)?;
    api.takes_writes()?;
    let changed = block(&api, user, user_id, true).await?;
    Ok(Json(BlockChanged { user_id, changed }))
}

#[utoipa::path(
    delete, path = "/v1/me/blocks/{user_id}", tag = "people", security(("bearer" = [])),
    params(("user_id" = schema::UserId, Path)),
    responses((status = 204, description = "The user is not blocked by the caller")),
)]
pub(crate) async fn delete_block<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(other): UrlPath<UserId>,
) -> Result<StatusCode, Problem> {
    block(&api, user, other, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Blocks a user, or does so no longer, by whichever of the two ways is theirs. Whether anything changed.
async fn block<E: Engine, S: Shards>(api: &Api<E, S>, by: UserId, user: UserId, on: bool) -> Result<bool, Problem> {
    let changed = put_on(api, by, user, on).await;
    // Whatever came of it: an outcome that is not known may have changed something.
    api.feeds.related(by, user);
    changed
}

async fn put_on<E: Engine, S: Shards>(api: &Api<E, S>, by: UserId, user: UserId, on: bool) -> Result<bool, Problem> {
    match people::block(&api.engine, by, user, on, api.wall()).await? {
        BlockOutcome::Done { changed } => {
            if changed {
                api.shards.visibility(by, user, on);
            }
            Ok(changed)
        }
        BlockOutcome::ThroughChannel(channel) => api.change(channel, ChannelOp::Block { by, user, on }).await,
    }
}
