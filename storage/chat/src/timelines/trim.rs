//! Rows of timelines that are forgotten: those beyond the newest so many, and the old.
//!
//! Owns how many are kept. What is forgotten is read from authors' logs from then on: a timeline that is trimmed is whole
//! down to its last row that is kept.

use schema::{Partition, Seq, UnixMs, UserId};

use super::Limits;
use super::page::{entry_of, key_of};
use crate::packed::{Phase, Place, TimelineRow};
use crate::share::Share;
use crate::{LayerError, clock, commit, keys, packed, read, unreadable};
use kv::transaction::{Begin, Engine, Row, Transaction, key_after};

/// States of one read.
const STATES_AT_ONCE: u32 = 1_000;

/// Trims the timelines of a share that were not trimmed for a day. Returns how many were.
///
/// # Errors
/// The store's. Then some are trimmed; doing it again is safe.
pub async fn trim<E: Engine>(engine: &E, limits: &Limits, wall: UnixMs, share: &Share) -> Result<u64, LayerError> {
    let wall = clock::believed(&engine.begin(Begin::Fresh), wall).await?;
    let (today, mut trimmed, mut last) = (keys::day(wall), 0, None);
    loop {
        let range = keys::timeline_states_after(last).rows(STATES_AT_ONCE);
        let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
        let state = |row: &Row| Ok((keys::timeline_state_of(&row.key)?, packed::timeline_state(&row.value)?));
        for (user, state) in unreadable::readable(&page.rows, state) {
            // Most were read yesterday or today, and trimmed with that.
            let is_due = state.trimmed_day.saturating_add(1) < today && state.phase != Phase::Rebuilding;
            if is_due && share.has_partition(Partition::of_user(user).index()) {
                trim_one(engine, user, limits, wall).await?;
                trimmed += 1;
            }
        }
        let end = page.rows.last().and_then(|row| keys::timeline_state_of(&row.key).ok());
        if !page.more || end.is_none() {
            return Ok(trimmed);
        }
        last = end;
    }
}

/// Trims one timeline.
pub(super) async fn trim_one<E: Engine>(
    engine: &E,
    user: UserId,
    limits: &Limits,
    wall: UnixMs,
) -> Result<(), LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::timeline_state(user);
        let row = tx.get(&key).await?;
        let Some(state) = unreadable::refuse_some(&key, row.as_ref(), packed::timeline_state)? else { return Ok(()) };
        let range = keys::timeline_of(user).rows(limits.rows_max.saturating_add(1));
        let page = tx.snapshot_get_range(&range).await?;
        let kept_ms = u64::from(limits.kept_days) * keys::DAY_MS;
        // The last place of the oldest moment that is kept.
        let (sent_ms, author, seq) = (UnixMs(wall.0.saturating_sub(kept_ms)), UserId(u64::MAX), Seq::ZERO);
        let oldest = Place { sent_ms, author, seq };
        let places = unreadable::readable(&page.rows, |row| Ok(entry_of(row)?.place));
        let too_many = page.rows.len() > limits.rows_max as usize;
        let last_kept = places.iter().take(limits.rows_max as usize).next_back().filter(|_| too_many).copied();
        let has_old = places.last().is_some_and(|&last| last > oldest);
        let through = [last_kept, has_old.then_some(oldest), state.whole_through].into_iter().flatten().min();
        if let Some(through) = through {
            tx.clear_range(&key_after(&key_of(user, through)), &keys::timeline_of(user).end);
        }
        tx.set(&key, &packed::row(TimelineRow { trimmed_day: keys::day(wall), whole_through: through, ..state }));
        Ok(())
    })
}
