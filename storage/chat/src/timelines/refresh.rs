//! A timeline that is read: its user seen, what it is owed written, and one that got no rows rebuilt.
//!
//! Owns the order in which one comes back: that it gets rows again is committed first, then its authors' logs are read at a
//! later version. So a post is in a log that is read, or comes by a step that finds its reader there (I15).

use schema::{UnixMs, UserId};

use super::page::{Authors, authors, key_of};
use super::{Limits, merge, trim};
use crate::packed::{Phase, TimelineRow};
use crate::posts::{self, Entry};
use crate::{LayerError, commit, keys, packed, read, recent, unreadable};
use kv::join;
use kv::transaction::{Begin, Engine, Row, Transaction};

/// Authors whose posts are owed, above which all of the timeline is rebuilt.
const OWED_MAX: u32 = 10;

/// Whether something is to be written before a timeline is read.
pub(super) async fn needs_refresh<E: Engine>(engine: &E, reader: UserId, wall: UnixMs) -> Result<bool, LayerError> {
    let (key, owed) = (keys::timeline_state(reader), keys::owed_to(reader).rows(1));
    let (state, owed) = read!(engine, recent(engine), |tx| {
        let rows = join::both(tx.snapshot_get(&key), tx.snapshot_get_range(&owed)).await?;
        Ok(rows)
    })?;
    let today = keys::day(wall);
    let state = state.and_then(|row| unreadable::skip(&key, packed::timeline_state(&row)));
    let is_whole = state.is_some_and(|state| state.phase == Phase::Whole && state.seen_day >= today);
    Ok(!is_whole || !owed.rows.is_empty())
}

/// Notes that a user reads its feed, writes the posts that are owed to its timeline, and rebuilds it if it got no rows. On the
/// first read of a day what is too old or too much is forgotten.
///
/// # Errors
/// The store's, and damage. Doing it again is safe.
pub async fn refresh<E: Engine>(engine: &E, reader: UserId, limits: &Limits, wall: UnixMs) -> Result<(), LayerError> {
    let today = keys::day(wall);
    let mut state = seen(engine, reader, today).await?;
    if state.phase == Phase::Rebuilding {
        state = rebuild(engine, reader, limits).await?;
    }
    loop {
        let range = keys::owed_to(reader).rows(OWED_MAX + 1);
        let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
        if page.rows.is_empty() {
            break;
        }
        if page.rows.len() > OWED_MAX as usize {
            begin_rebuilding(engine, reader).await?;
            state = rebuild(engine, reader, limits).await?;
            continue;
        }
        for row in &page.rows {
            match unreadable::skip(&row.key, keys::timeline_owed_of(&row.key)) {
                Some((_, author)) => pay(engine, reader, author, limits).await?,
                // It names nobody.
                None => unreadable::set_aside(engine, std::slice::from_ref(row)).await?,
            }
        }
    }
    if state.trimmed_day < today {
        trim::trim_one(engine, reader, limits, wall).await?;
    }
    Ok(())
}

/// Notes that a user reads its feed, and that it gets rows from here on. Its state then.
async fn seen<E: Engine>(engine: &E, reader: UserId, today: u32) -> Result<TimelineRow, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::timeline_state(reader);
        let row = tx.get(&key).await?;
        // One that cannot be read is rebuilt, and another takes its place.
        let stored = row.as_ref().and_then(|row| unreadable::skip(&key, packed::timeline_state(row)));
        if let (None, Some(row)) = (&stored, &row) {
            unreadable::keep(&mut tx, &key, row);
        }
        let state = match stored {
            Some(state @ TimelineRow { phase: Phase::Whole | Phase::Rebuilding, .. }) => {
                TimelineRow { seen_day: state.seen_day.max(today), ..state }
            }
            Some(TimelineRow { phase: Phase::Dormant, .. }) | None => {
                TimelineRow { seen_day: today, phase: Phase::Rebuilding, trimmed_day: 0, whole_through: None }
            }
        };
        if stored != Some(state) {
            tx.set(&key, &packed::row(state));
        }
        Ok(state)
    })
}

/// Has all of a timeline that gets rows written again.
async fn begin_rebuilding<E: Engine>(engine: &E, reader: UserId) -> Result<(), LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::timeline_state(reader);
        let row = tx.get(&key).await?;
        if let Some(state) = unreadable::refuse_some(&key, row.as_ref(), packed::timeline_state)? {
            tx.set(&key, &packed::row(TimelineRow { phase: Phase::Rebuilding, ..state }));
        }
        Ok(())
    })
}

/// Writes the newest posts of all authors. Begins after it was committed that the timeline gets rows.
async fn rebuild<E: Engine>(engine: &E, reader: UserId, limits: &Limits) -> Result<TimelineRow, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::timeline_state(reader);
        let row = tx.get(&key).await?;
        let Some(state) = unreadable::refuse_some(&key, row.as_ref(), packed::timeline_state)? else {
            return Err(unreadable::missing(&key, "timeline state").into());
        };
        match state.phase {
            Phase::Rebuilding => {}
            // Another read of the same user was quicker.
            Phase::Whole | Phase::Dormant => return Ok(state),
        }
        // For conflicts: what is owed from here on stays.
        let owed = tx.get_range(&keys::owed_to(reader)).await?;
        let authors = authors(&tx, reader).await?;
        let wanted = limits.rebuilt_rows as usize;
        let is_wanted = |entry: &Entry| Authors::is_wanted(&authors, entry);
        let mut newest = merge::newest(&tx, &authors.logs, None, wanted + 1, is_wanted).await?;
        let more = newest.len() > wanted;
        newest.truncate(wanted);
        put(&mut tx, reader, &newest);
        owed.rows.iter().for_each(|row: &Row| tx.clear(&row.key));
        let whole_through = newest.last().map(|entry| entry.place).filter(|_| more);
        let state = TimelineRow { phase: Phase::Whole, whole_through, ..state };
        tx.set(&key, &packed::row(state));
        Ok(state)
    })
}

/// Writes the newest posts of one author that are owed. Where there are more, the timeline is whole down to the last of them.
async fn pay<E: Engine>(engine: &E, reader: UserId, author: UserId, limits: &Limits) -> Result<(), LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let (owed_key, key) = (keys::timeline_owed(reader, author), keys::timeline_state(reader));
        let (feed_key, heavy_key) = (keys::feed_of(author), keys::heavy(reader, author));
        let (owed, row) = join::both(tx.get(&owed_key), tx.get(&key)).await?;
        if owed.is_none() {
            return Ok(());
        }
        let (feed, heavy) = join::both(tx.snapshot_get(&feed_key), tx.snapshot_get(&heavy_key)).await?;
        let state = unreadable::refuse_some(&key, row.as_ref(), packed::timeline_state)?;
        let feed = feed.and_then(|row| unreadable::skip(&feed_key, packed::feed(&row)));
        // One that is rebuilt has all, and one whose pages look into the log needs nothing.
        if let (Some(state @ TimelineRow { phase: Phase::Whole, .. }), Some(feed), None) = (state, feed, heavy) {
            let range = posts::behind(author, feed.channel, None).rows(limits.backfill_posts);
            let page = tx.snapshot_get_range(&range).await?;
            let entries = posts::entries(author, &page.rows);
            put(&mut tx, reader, &entries);
            let last = entries.last().map(|entry| entry.place).filter(|_| page.more);
            let whole_through = match (state.whole_through, last) {
                (Some(whole), Some(last)) => Some(whole.min(last)),
                (whole, last) => whole.or(last),
            };
            if whole_through != state.whole_through {
                tx.set(&key, &packed::row(TimelineRow { whole_through, ..state }));
            }
        }
        tx.clear(&owed_key);
        Ok(())
    })
}

/// Writes rows of a timeline.
fn put<T: Transaction>(tx: &mut T, reader: UserId, entries: &[Entry]) {
    for entry in entries {
        tx.set(&key_of(reader, entry.place), &packed::row((entry.channel, entry.audience)));
    }
}
