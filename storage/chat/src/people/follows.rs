//! Followers: who has the public posts of somebody else in its feed, without asking.

use schema::limits::FRIENDS_MAX;
use schema::record::{RecordError, UserRecord};
use schema::{ErrorCode, Refusal, UnixMs, UserId};

use super::{PAGE_ROWS_MAX, no_such_user, refuse_oneself, sever, ties};
use crate::posts::counters::Counter;
use crate::{LayerError, UsersPage, commit, keys, packed, read, timelines, unreadable, users_page};
use kv::transaction::{Begin, Engine, Transaction};

/// Follows an author whose account is public. Whether the user did not before.
///
/// # Errors
/// 107 for oneself, 102 if there is no such user, 103 if its account is not public, 117 across a block of either, 106 if the
/// user follows `FRIENDS_MAX` others; the store's, and damage. Then nothing is changed, or, after the store's, it may be:
/// asking again is safe.
pub async fn follow<E: Engine>(engine: &E, user: UserId, author: UserId, wall: UnixMs) -> Result<bool, LayerError> {
    refuse_oneself(user, author)?;
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let (key, author_key) = (keys::follow(user, author), keys::user(author));
        let wanted = [key.clone(), author_key.clone(), keys::block(user, author), keys::block(author, user)];
        let rows = tx.get_all(&wanted).await?;
        if rows[0].is_some() {
            return Ok(attempt.maybe_committed);
        }
        let record = unreadable::refuse_some(&author_key, rows[1].as_ref(), UserRecord::decode)?;
        let record = record.ok_or_else(|| no_such_user(author))?;
        if rows[2].is_some() || rows[3].is_some() {
            return Err(Refusal::new(ErrorCode::Blocked, "one of you blocks the other").into());
        }
        if !record.public {
            let text = format!("the account of user {author} is not public");
            return Err(Refusal::new(ErrorCode::PermissionDenied, text).into());
        }
        let page = tx.snapshot_get_range(&keys::follows_after(user, None).rows(FRIENDS_MAX)).await?;
        if page.rows.len() >= FRIENDS_MAX as usize {
            let text = format!("you follow {FRIENDS_MAX} users, which is the limit");
            return Err(Refusal::new(ErrorCode::LimitExceeded, text).into());
        }
        tx.set(&key, &packed::row(wall));
        tx.set(&keys::follower(author, user), packed::MARK);
        Counter::Following(user).add(&mut tx, 1);
        Counter::Followers(author, user).add(&mut tx, 1);
        timelines::begin_reading(&mut tx, user, author).await?;
        Ok(true)
    })
}

/// Follows an author no longer. Whether the user did.
///
/// # Errors
/// The store's, and damage. Then it may be so all the same: asking again is safe.
pub async fn unfollow<E: Engine>(engine: &E, user: UserId, author: UserId) -> Result<bool, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let ties = ties(&tx, user, author).await?;
        if ties.follows {
            sever(&mut tx, ties.unfollowed(user, author));
        }
        // What an earlier attempt ended is not there any more.
        Ok(ties.follows || attempt.maybe_committed)
    })
}

/// Whom a user follows, after one, and since when: at most `limit` of them and 500.
///
/// # Errors
/// The store's, and damage.
pub async fn followed<E: Engine>(
    engine: &E,
    user: UserId,
    after: Option<UserId>,
    limit: u32,
) -> Result<UsersPage<UnixMs>, LayerError> {
    let range = keys::follows_after(user, after).rows(limit.min(PAGE_ROWS_MAX));
    read!(engine, Begin::Fresh, |tx| users_page(&tx, &range, keys::follow_of, packed::since).await)
}

/// One who follows somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Follower;

/// Who follows an author, after one: at most `limit` of them and 500.
///
/// # Errors
/// The store's, and damage.
pub async fn followers<E: Engine>(
    engine: &E,
    author: UserId,
    after: Option<UserId>,
    limit: u32,
) -> Result<UsersPage<Follower>, LayerError> {
    let range = keys::followers_after(author, after).rows(limit.min(PAGE_ROWS_MAX));
    let follower: fn(&[u8]) -> Result<Follower, RecordError> = |_mark| Ok(Follower);
    read!(engine, Begin::Fresh, |tx| users_page(&tx, &range, keys::follower_of, follower).await)
}
