//! Blocks: who wants nothing of whom.

use schema::limits::FRIENDS_MAX;
use schema::record::BlockRecord;
use schema::{ChannelId, ErrorCode, Refusal, UnixMs, UserId};

use super::{PAGE_ROWS_MAX, no_such_user, refuse_oneself, sever, ties};
use crate::keys;
use crate::{LayerError, UsersPage, commit, packed, read, unreadable, users_page};
use kv::transaction::{Begin, Engine, Transaction};

/// What came of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockOutcome {
    /// It is as asked.
    Done {
        /// Whether it was not before.
        changed: bool,
    },
    /// Nothing was done: the two have this direct channel, and its home is to be asked
    /// ([`schema::ChannelOp::Block`]), so that the block has its place among their messages.
    ThroughChannel(ChannelId),
}

/// Blocks a user, or does so no longer. A block ends the two's friendship and their requests, and neither follows the other
/// any more; its end brings none back.
///
/// # Errors
/// 107 for oneself, 102 if there is no such user, 106 if `by` blocks `FRIENDS_MAX` already; the store's, and damage.
/// Then nothing is changed, or, after the store's, it may be: asking again is safe.
pub async fn block<E: Engine>(
    engine: &E,
    by: UserId,
    user: UserId,
    on: bool,
    wall: UnixMs,
) -> Result<BlockOutcome, LayerError> {
    refuse_oneself(by, user)?;
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let key = keys::block(by, user);
        let direct = keys::direct(by, user);
        let rows = tx.get_all(&[key.clone(), direct.clone(), keys::user(user)]).await?;
        if let Some(channel) = unreadable::refuse_some(&direct, rows[1].as_ref(), packed::direct)? {
            return Ok(BlockOutcome::ThroughChannel(channel));
        }
        if rows[2].is_none() {
            return Err(no_such_user(user).into());
        }
        let changed = rows[0].is_some() != on;
        if changed && on {
            let page = tx.snapshot_get_range(&keys::blocks_after(by, None).rows(FRIENDS_MAX)).await?;
            if page.rows.len() >= FRIENDS_MAX as usize {
                let text = format!("you block {FRIENDS_MAX} users, which is the limit");
                return Err(Refusal::new(ErrorCode::LimitExceeded, text).into());
            }
            tx.set(&key, &BlockRecord { since_ms: wall }.encode());
            let ties = ties(&tx, by, user).await?;
            sever(&mut tx, ties.severed(by, user));
        } else if changed {
            tx.clear(&key);
        }
        // What an earlier attempt did is not to be done any more.
        Ok(BlockOutcome::Done { changed: changed || attempt.maybe_committed })
    })
}

/// Whom a user blocks, after one, at most `limit` of them and 500.
///
/// # Errors
/// The store's, and damage.
pub async fn blocks<E: Engine>(
    engine: &E,
    by: UserId,
    after: Option<UserId>,
    limit: u32,
) -> Result<UsersPage<BlockRecord>, LayerError> {
    let range = keys::blocks_after(by, after).rows(limit.min(PAGE_ROWS_MAX));
    read!(engine, Begin::Fresh, |tx| users_page(&tx, &range, keys::block_of, BlockRecord::decode).await)
}
