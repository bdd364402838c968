//! Forgets first replies that nobody may ask for any more.
//!
//! Owns clearing by day, and the row that tells up to which day it was done. Rows are written by the appender.

use schema::UnixMs;
use schema::limits::{DEDUP_CLEARED_DAYS, DEDUP_DAYS};

use super::share::Share;
use super::{LayerError, clock, commit, packed, unreadable};
use crate::keys;
use kv::transaction::{Begin, Engine, RangeRequest, Transaction, key_after};

const _: () = assert!(DEDUP_CLEARED_DAYS > DEDUP_DAYS + 1, "an id of any day that is still answered keeps its row");

/// Rows that one transaction clears: some 100 KB with their keys, and less than a commit's time on any engine.
const CLEAR_ROWS: u32 = 1_000;

/// Clears the rows of ids made more than 33 days before `wall`, and idempotency keys of more than 24 hours, as far as
/// they are of this share. Once a day is often enough; it takes as many transactions as there are thousands of rows.
/// Returns how many rows went.
///
/// A clock that has leapt clears nothing more ([`clock`]). Never goes back: a `wall` that is behind an earlier call's
/// clears nothing more.
///
/// # Errors
/// The store's. Then some of it was cleared; clearing again is safe.
pub async fn clear<E: Engine>(engine: &E, wall: UnixMs, share: &Share) -> Result<u64, LayerError> {
    let wall = clock::believed(&engine.begin(Begin::Fresh), wall).await?;
    let days = u32::try_from(DEDUP_CLEARED_DAYS).expect("33");
    // The floor goes first: what is missing above it is damage.
    let floor = raise_floor(engine, keys::day(wall).saturating_sub(days)).await?;
    let mut cleared = 0;
    if share.has_rest() {
        cleared += clear_range(engine, &keys::idempotencies_before((floor + days).saturating_sub(1))).await?;
    }
    for hash in (0..=u8::MAX).filter(|&hash| share.has_hash(hash)) {
        cleared += clear_range(engine, &keys::dedups_before(hash, floor)).await?;
    }
    Ok(cleared)
}

/// The day before which rows may go, which is `day` or later.
async fn raise_floor<E: Engine>(engine: &E, day: u32) -> Result<u32, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::dedup_floor();
        let row = tx.get(&key).await?;
        let before = unreadable::refuse_some(&key, row.as_ref(), packed::day)?.unwrap_or_default();
        if day > before {
            tx.set(&key, &packed::row(day));
        }
        Ok(day.max(before))
    })
}

/// Clears a range, some thousand rows at a time. Returns how many there were.
pub(super) async fn clear_range<E: Engine>(engine: &E, range: &RangeRequest) -> Result<u64, LayerError> {
    let mut cleared = 0;
    loop {
        let (rows, more) = commit!(engine, Begin::Fresh, |tx, _| {
            let page = tx.snapshot_get_range(&range.clone().rows(CLEAR_ROWS)).await?;
            if let Some(last) = page.rows.last() {
                tx.clear_range(&range.begin, &key_after(&last.key));
            }
            Ok((page.rows.len() as u64, page.more))
        })?;
        cleared += rows;
        if !more {
            return Ok(cleared);
        }
    }
}
