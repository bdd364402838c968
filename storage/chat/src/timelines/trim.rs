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

/// States of one read, and reads of one look: 3 MB of a store in which 10 million users are looked at within four days of
/// looks by the hour.
const STATES_AT_ONCE: u32 = 1_000;
const PAGES_AT_ONCE: u32 = 100;
/// The day of a dormant timeline in which nothing is left.
const EMPTIED: u32 = u32::MAX;

/// What a look at timelines came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trimmed {
    /// Timelines that were trimmed.
    pub timelines: u64,
    /// Behind which user to go on, if there are more.
    pub next: Option<UserId>,
}

/// Trims timelines of a share behind a user that nobody trimmed for a day, of so many users as one look takes. One that was not
/// seen for long is emptied and falls asleep with it, and is nobody's work any more until it wakes.
///
/// # Errors
/// The store's. Then some are trimmed; doing it again is safe.
pub async fn trim<E: Engine>(
    engine: &E,
    (limits, wall): (&Limits, UnixMs),
    share: &Share,
    after: Option<UserId>,
) -> Result<Trimmed, LayerError> {
    let wall = clock::believed(&engine.begin(Begin::Fresh), wall).await?;
    let (today, mut timelines, mut last) = (keys::day(wall), 0, after);
    for _ in 0..PAGES_AT_ONCE {
        let range = keys::timeline_states_after(last).rows(STATES_AT_ONCE);
        let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
        let state = |row: &Row| Ok((keys::timeline_state_of(&row.key)?, packed::timeline_state(&row.value)?));
        for (user, state) in unreadable::readable(&page.rows, state) {
            // Most were read yesterday or today, and trimmed with that.
            let is_due = state.trimmed_day.saturating_add(1) < today && state.phase == Phase::Whole;
            let is_due = is_due || (state.phase == Phase::Dormant && state.trimmed_day != EMPTIED);
            if is_due && share.has_partition(Partition::of_user(user).index()) {
                trim_one(engine, user, limits, wall).await?;
                timelines += 1;
            }
        }
        last = page.rows.last().and_then(|row| keys::timeline_state_of(&row.key).ok());
        if !page.more || last.is_none() {
            return Ok(Trimmed { timelines, next: None });
        }
    }
    Ok(Trimmed { timelines, next: last })
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
        let today = keys::day(wall);
        let is_asleep = match state.phase {
            Phase::Rebuilding => return Ok(()),
            Phase::Dormant => true,
            Phase::Whole => today.saturating_sub(state.seen_day) > limits.dormant_days,
        };
        if is_asleep {
            // When it wakes it is rebuilt from logs.
            let all = keys::timeline_of(user);
            tx.clear_range(&all.begin, &all.end);
            let phase = Phase::Dormant;
            tx.set(&key, &packed::row(TimelineRow { phase, trimmed_day: EMPTIED, whole_through: None, ..state }));
            return Ok(());
        }
        let range = keys::timeline_of(user).rows(limits.rows_max.saturating_add(1));
        let page = tx.snapshot_get_range(&range).await?;
        let kept_ms = u64::from(limits.kept_days) * keys::DAY_MS;
        // The last place of the oldest moment that is kept.
        let (sent_ms, author, seq) = (UnixMs(wall.0.saturating_sub(kept_ms)), UserId(u64::MAX), Seq::ZERO);
        let oldest = Place { sent_ms, author, seq };
        let places = unreadable::readable(&page.rows, |row| Ok(entry_of(row)?.place));
        let too_many = page.rows.len() > limits.rows_max as usize;
        let last_kept = places.iter().take(limits.rows_max as usize).next_back().filter(|_| too_many).copied();
        // As many as are kept whatever their age, and then those that are not old.
        let young = places.iter().filter(|&&place| place <= oldest).count();
        let kept = young.max(limits.kept_rows as usize);
        let last_young = if kept < places.len() {
            kept.checked_sub(1).map_or(Some(oldest), |at| places.get(at).copied())
        } else {
            None
        };
        let through = [last_kept, last_young, state.whole_through].into_iter().flatten().min();
        if let Some(through) = through {
            tx.clear_range(&key_after(&key_of(user, through)), &keys::timeline_of(user).end);
        }
        tx.set(&key, &packed::row(TimelineRow { trimmed_day: today, whole_through: through, ..state }));
        Ok(())
    })
}
