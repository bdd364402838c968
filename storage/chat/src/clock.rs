//! The clock that upkeep goes by, and the order of a channel's times.
//!
//! Owns the newest time that is believed, in a row of its own. A wall clock that leaps (a dead battery, a wrong time
//! server, a restored machine) must not forget what is still asked for: what clears by age clears by [`believed`],
//! which is never more than [`LEAP_MS`] ahead of that row. The row follows a clock that goes on; one that leapt is
//! believed after a day of serving.

use kv::transaction::{Begin, Engine, Transaction};
use schema::UnixMs;

use super::packed::{self, ClockRow};
use super::{LayerError, commit, unreadable};
use crate::keys;

/// How far a wall clock may be ahead of what is known and count as right. A node looks each minute, so that an hour is
/// room for a store that was away; of what is cleared by age, keys of creations have the shortest life, a day.
pub const LEAP_MS: u64 = 3600 * 1000;

/// How long nodes serve with a clock that leapt until it is believed: long enough for somebody to read the warning.
pub const CONFIRMED_AFTER_MS: u64 = 24 * 3600 * 1000;

/// What a look at the clock found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// It goes on from what is known, or is behind it.
    Believed,
    /// It has leapt. Upkeep goes by the old time until it was shown for [`CONFIRMED_AFTER_MS`].
    Leapt {
        /// How far it is ahead.
        ahead_ms: u64,
        /// For how long it has been shown.
        doubted_ms: u64,
    },
}

/// Notes what a node's wall clock shows, which has served for `ran_ms` since it last did so.
///
/// # Errors
/// The store's, and damage in the row. Then nothing is noted.
pub async fn observe<E: Engine>(engine: &E, wall: UnixMs, ran_ms: u64) -> Result<Observed, LayerError> {
    let key = &keys::clock();
    commit!(engine, Begin::Fresh, |tx, _| {
        let row = tx.get(key).await?;
        let row = unreadable::refuse_some(key, row.as_ref(), packed::clock)?;
        let (next, observed) = judge(row, wall, ran_ms);
        tx.set(key, &packed::row(next));
        Ok(observed)
    })
}

fn judge(row: Option<ClockRow>, wall: UnixMs, ran_ms: u64) -> (ClockRow, Observed) {
    let believed = (ClockRow { believed_ms: wall, doubted_ms: 0 }, Observed::Believed);
    let Some(row) = row else { return believed };
    let ahead_ms = wall.since_ms(row.believed_ms);
    let doubted_ms = row.doubted_ms + ran_ms;
    if ahead_ms <= LEAP_MS || doubted_ms >= CONFIRMED_AFTER_MS {
        return believed;
    }
    // What was served is time that has passed, whatever the clock shows.
    (ClockRow { believed_ms: row.believed_ms.plus_ms(ran_ms), doubted_ms }, Observed::Leapt { ahead_ms, doubted_ms })
}

/// The time by which something may be forgotten: `wall`, unless that has leapt. Where the row cannot be read nothing
/// is. Read without conflicts, since it only grows older.
pub(super) async fn believed<T: Transaction>(tx: &T, wall: UnixMs) -> Result<UnixMs, LayerError> {
    let key = keys::clock();
    let Some(row) = tx.snapshot_get(&key).await? else { return Ok(wall) };
    let row = unreadable::skip(&key, packed::clock(&row));
    Ok(row.map_or(UnixMs(0), |row| wall.min(row.believed_ms.plus_ms(LEAP_MS))))
}

/// The time of a channel's next message. It never goes back, unless what is there is of a clock that was more than
/// [`LEAP_MS`] ahead: then that clock's messages keep their time, and no later one takes it on.
pub(super) fn next_sent(wall: UnixMs, newest: UnixMs) -> UnixMs {
    if newest.since_ms(wall) > LEAP_MS { wall } else { wall.max(newest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3600 * 1000;

    /// Shows clocks in hours from a start, an hour of serving before each: `!` marks a leap.
    fn check(shown: &[(u64, &str)]) {
        let mut row = None;
        for (at, &(hours, says)) in shown.iter().enumerate() {
            let (next, observed) = judge(row, UnixMs((10_000 + hours) * HOUR_MS), HOUR_MS);
            let found = if observed == Observed::Believed { "" } else { "!" };
            assert_eq!(found, says, "look {at} of {shown:?}: {next:?}");
            row = Some(next);
        }
    }

    #[test]
    fn a_clock_that_goes_on_is_believed_and_one_that_leaps_is_not() {
        check(&[(0, ""), (1, ""), (2, ""), (2, ""), (3, "")]);
        check(&[(0, ""), (34 * 24, "!"), (34 * 24 + 1, "!"), (2, "")]);
        // The doubt begins anew with each leap.
        check(&[(0, ""), (48, "!"), (1, ""), (49, "!")]);
        // One that was ahead at first is corrected, and one that fell back catches up like a leap.
        check(&[(40 * 24, ""), (1, ""), (2, "")]);
    }

    #[test]
    fn a_leap_that_lasts_for_a_day_of_serving_is_believed() {
        let leapt = (0..23).map(|hour| (500 + hour, "!"));
        let shown: Vec<_> = [(0, "")].into_iter().chain(leapt).chain([(523, ""), (524, "")]).collect();
        check(&shown);
    }

    #[test]
    fn the_next_time_of_a_channel_never_goes_back_but_from_a_leap() {
        for (wall, newest, next) in [(5, 3, 5), (3, 5, 5), (3, 3 + LEAP_MS, 3 + LEAP_MS), (3, 4 + LEAP_MS, 3)] {
            assert_eq!(next_sent(UnixMs(wall), UnixMs(newest)), UnixMs(next), "{wall} after {newest}");
        }
    }
}
