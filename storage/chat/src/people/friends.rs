//! Friends: one asks, the other accepts by asking too, either ends it.

use schema::limits::{FRIENDS_MAX, FRIENDSHIPS_AT_ONCE};
use schema::record::{FriendRecord, FriendState};
use schema::{ErrorCode, Refusal, UnixMs, UserId};

use super::{PAGE_ROWS_MAX, no_such_user, refuse_oneself, sever, ties};
use crate::posts::counters::Counter;
use crate::{LayerError, UsersPage, commit, keys, read, timelines, unreadable, users_page};
use kv::join;
use kv::transaction::{Begin, Engine, Transaction};

/// Asks `other` to be `user`'s friend, or accepts if `other` asked before. Asking again changes nothing.
///
/// Answers the friendship as `user` sees it then.
///
/// # Errors
/// 107 for oneself, 102 if there is no such user, 117 across a block of either, 106 if either has `FRIENDS_MAX` friends
/// and requests; the store's, and damage. Then nothing is changed, or, after the store's, it may be: asking again is
/// safe.
pub async fn put_friend<E: Engine>(
    engine: &E,
    user: UserId,
    other: UserId,
    wall: UnixMs,
) -> Result<FriendRecord, LayerError> {
    refuse_oneself(user, other)?;
    commit!(engine, Begin::Fresh, |tx, _| put(&mut tx, user, other, wall).await)
}

async fn put<T: Transaction>(
    tx: &mut T,
    user: UserId,
    other: UserId,
    wall: UnixMs,
) -> Result<FriendRecord, LayerError> {
    let keys = [keys::friend(user, other), keys::user(other), keys::block(user, other), keys::block(other, user)];
    let rows = tx.get_all(&keys).await?;
    let stored = unreadable::refuse_some(&keys[0], rows[0].as_ref(), FriendRecord::decode)?;
    let state = match stored {
        Some(record @ FriendRecord { state: FriendState::Requested | FriendState::Accepted, .. }) => return Ok(record),
        Some(FriendRecord { state: FriendState::Asked, .. }) => FriendState::Accepted,
        None => FriendState::Requested,
    };
    if rows[1].is_none() {
        return Err(no_such_user(other).into());
    }
    if rows[2].is_some() || rows[3].is_some() {
        return Err(Refusal::new(ErrorCode::Blocked, "one of you blocks the other").into());
    }
    if stored.is_none() {
        join::both(has_room(tx, user, "you have"), has_room(tx, other, "the other has")).await?;
    }
    tx.set(&keys[0], &FriendRecord { state, since_ms: wall }.encode());
    tx.set(&keys::friend(other, user), &FriendRecord { state: state.mirrored(), since_ms: wall }.encode());
    if state == FriendState::Accepted {
        for (reader, author) in [(user, other), (other, user)] {
            Counter::Friends(reader).add(tx, 1);
            timelines::begin_reading(tx, reader, author).await?;
        }
    }
    Ok(FriendRecord { state, since_ms: wall })
}

/// Friendships of pairs of users, each as if the second had accepted what the first asked. Those that are there stay as
/// they are.
///
/// # Errors
/// As [`put_friend`], of any pair; then none is made, or, after the store's error, all may be: making them again is safe.
///
/// # Panics
/// If there are more than [`FRIENDSHIPS_AT_ONCE`] pairs.
pub async fn make_friends<E: Engine>(engine: &E, pairs: &[(UserId, UserId)], wall: UnixMs) -> Result<(), LayerError> {
    assert!(pairs.len() <= FRIENDSHIPS_AT_ONCE as usize, "{} pairs are more than one transaction makes", pairs.len());
    pairs.iter().try_for_each(|&(one, other)| refuse_oneself(one, other))?;
    commit!(engine, Begin::Fresh, |tx, _| {
        for &(one, other) in pairs {
            put(&mut tx, one, other, wall).await?;
            put(&mut tx, other, one, wall).await?;
        }
        Ok(())
    })
}

/// Whether a user may have one friend more. Requests are rare and lists are short, so the rows are counted: 5,000 of 30
/// bytes at most. Read without conflicts, so that many who ask one user at once do not fail each other; as many as do
/// may pass the limit together.
async fn has_room<T: Transaction>(tx: &T, user: UserId, who: &str) -> Result<(), LayerError> {
    let page = tx.snapshot_get_range(&keys::friends_after(user, None).rows(FRIENDS_MAX)).await?;
    if page.rows.len() >= FRIENDS_MAX as usize {
        let text = format!("{who} {FRIENDS_MAX} friends and requests, which is the limit");
        return Err(Refusal::new(ErrorCode::LimitExceeded, text).into());
    }
    Ok(())
}

/// Withdraws a request, declines one, or ends a friendship, for both sides. Whether there was any.
///
/// # Errors
/// The store's. Then it may be gone all the same: removing again is safe.
pub async fn remove_friend<E: Engine>(engine: &E, user: UserId, other: UserId) -> Result<bool, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let ties = ties(&tx, user, other).await?;
        let there = ties.friend.is_some();
        if there {
            sever(&mut tx, ties.unfriended(user, other));
        }
        // What an earlier attempt removed is not there any more.
        Ok(there || attempt.maybe_committed)
    })
}

/// A user's friends and requests after one, at most `limit` of them and 500.
///
/// # Errors
/// The store's, and damage.
pub async fn friends<E: Engine>(
    engine: &E,
    user: UserId,
    after: Option<UserId>,
    limit: u32,
) -> Result<UsersPage<FriendRecord>, LayerError> {
    let range = keys::friends_after(user, after).rows(limit.min(PAGE_ROWS_MAX));
    read!(engine, Begin::Fresh, |tx| users_page(&tx, &range, keys::friend_of, FriendRecord::decode).await)
}
