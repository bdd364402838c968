//! An account's inbox: its events after a place, a snapshot in their stead, and its trimming.
//!
//! Owns the rows `inbox` (written by the appender) and `inbox floor`. Upholds I6: every read sees the floor in the same
//! snapshot as the rows, and claims to have read up to where it did and no further. An event that cannot be read, or
//! whose message cannot, is left out.

use std::collections::VecDeque;

use schema::command::SnapshotChannel;
use schema::limits::{CATCH_UP_ROWS_MAX, INBOX_DAYS, INBOX_ROWS_MAX, SNAPSHOT_CHANNELS_MAX};
use schema::mesh::SnapshotPlace;
use schema::page::{InboxPage, SnapshotPage};
use schema::record::{EventRecord, EventRecordBody, RecordError};
use schema::{ChannelId, Cursor, ErrorCode, Position, Refusal, UnixMs, UserId};

use super::{LayerError, channels, clock, commit, content, packed, read, unreadable};
use crate::keys;
use kv::join;
use kv::transaction::{Begin, Engine, Generation, RangeRequest, Row, Transaction, Version};

/// Rows that one pass of [`trim`] reads at a time, some 70 bytes each.
const TRIM_ROWS: u32 = 5_000;
/// Rows that one trimming clears in its transaction, of 30 days' worth where it is done daily.
const TRIM_GONE_MAX: u64 = 20_000;

/// Where a session starts that is opened when this store is at its version `newest`: at its cursor, or, without one,
/// after everything that is committed then. 112 for a cursor of another store, or ahead of this one.
pub(super) fn start(
    Generation(generation): Generation,
    newest: Version,
    cursor: Option<Cursor>,
) -> Result<Cursor, Refusal> {
    match cursor {
        None => Ok(Cursor { generation, position: Position::end_of(newest.0) }),
        Some(cursor) if cursor.generation != generation => {
            Err(Refusal::new(ErrorCode::BadCursor, "the cursor is of another store: connect without one"))
        }
        Some(cursor) if cursor.position.stamp.version > newest.0 => {
            Err(Refusal::new(ErrorCode::BadCursor, "the cursor is ahead of this store: connect without one"))
        }
        Some(cursor) => Ok(cursor),
    }
}

/// How much of an inbox is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxLimits {
    /// Events at most.
    pub rows: u32,
    /// Bytes of events at most, by [`schema::Event::weight_bytes`]; one always comes.
    pub bytes: u32,
    /// Whether to answer `Behind` also to a place that is more than `CATCH_UP_ROWS_MAX` events behind.
    pub at_connect: bool,
}

/// Reads `user`'s inbox after a place, at a version that is `at_least` this one, and no older than the place.
///
/// # Errors
/// The store's, and damage.
pub async fn read<E: Engine>(
    engine: &E,
    user: UserId,
    after: Position,
    at_least: u64,
    limits: InboxLimits,
) -> Result<InboxPage, LayerError> {
    let begin = Begin::AtLeast(Version(at_least.max(after.stamp.version)));
    read!(engine, begin, |tx| page(&tx, user, after, limits).await)
}

async fn page<T: Transaction>(
    tx: &T,
    user: UserId,
    after: Position,
    limits: InboxLimits,
) -> Result<InboxPage, LayerError> {
    let range = keys::inbox_after(user, after);
    // One row more than wanted tells whether the page is the last.
    let wide = if limits.at_connect { limits.rows.max(CATCH_UP_ROWS_MAX) } else { limits.rows }.saturating_add(1);
    let (floor_key, range) = (keys::inbox_floor(user), range.rows(wide));
    let (floor, page) = join::both(tx.snapshot_get(&floor_key), tx.snapshot_get_range(&range)).await?;
    match unreadable::skip(&floor_key, packed::or_default(floor.as_ref(), packed::floor)) {
        Some(floor) if after < floor => return Ok(InboxPage::Behind),
        // Whether rows were trimmed is not known: whoever comes begins with a snapshot, and goes on behind it.
        None if limits.at_connect => return Ok(InboxPage::Behind),
        Some(_) | None => {}
    }
    if limits.at_connect && page.rows.len() > CATCH_UP_ROWS_MAX as usize {
        return Ok(InboxPage::Behind);
    }
    let rows = &page.rows[..page.rows.len().min(limits.rows as usize)];
    let mut records = unreadable::readable(rows, event_of);
    let more = page.more || page.rows.len() > rows.len();
    let named = records.iter().map(|(_, event)| content::message_of(event).into_iter().collect());
    let (messages, fitting) = content::fitting(tx, named, limits.bytes as usize).await?;
    let is_cut = fitting < records.len();
    records.truncate(fitting);
    let last = if is_cut {
        records.last().map(|&(last, _)| last)
    } else {
        rows.last().filter(|_| more).and_then(|row| keys::inbox_place(&row.key).ok()).map(|(_, last)| last)
    };
    let through = match last {
        Some(last) => last,
        None => Position::end_of(tx.read_version().await?.0),
    };
    let events = content::events(records, messages);
    Ok(InboxPage::Events { events, through, exhausted: !more && !is_cut })
}

fn event_of(row: &Row) -> Result<(Position, EventRecord), RecordError> {
    let (_, position) = keys::inbox_place(&row.key)?;
    Ok((position, EventRecord::decode(&row.value)?))
}

/// The channels of an account as they are now: the first page without a place, later ones from where the last stopped.
///
/// # Errors
/// The store's, and damage.
pub async fn snapshot<E: Engine>(
    engine: &E,
    user: UserId,
    place: Option<SnapshotPlace>,
) -> Result<SnapshotPage, LayerError> {
    read!(engine, Begin::Fresh, |tx| snapshot_page(&tx, user, place).await)
}

async fn snapshot_page<T: Transaction>(
    tx: &T,
    user: UserId,
    place: Option<SnapshotPlace>,
) -> Result<SnapshotPage, LayerError> {
    let mut range = Some(keys::memberships_after(user, place.map(|place| place.last)).rows(SNAPSHOT_CHANNELS_MAX));
    let (mut states, mut more) = (Vec::new(), false);
    // The next page begins behind this one's last channel, so one is found if there is one.
    while let Some(next) = range.take().filter(|_| states.is_empty()) {
        let page = tx.snapshot_get_range(&next).await?;
        states = channels::states(tx, user, &page.rows).await?.into_iter().flatten().collect();
        more = page.more;
        range = RangeRequest::after(next, &page);
    }
    let through = match place {
        Some(place) => place.through,
        None => Position::end_of(tx.read_version().await?.0),
    };
    let channel = |state: channels::State| SnapshotChannel {
        channel_id: state.id,
        kind: state.record.kind,
        head_seq: state.head.seq,
        read_seq: state.read_seq,
        unread: state.unread(),
    };
    Ok(SnapshotPage { channels: states.into_iter().map(channel).collect(), more, through })
}

/// Rows beyond the newest `INBOX_ROWS_MAX`, and those older than `INBOX_DAYS`, go; a cursor from before them is behind.
///
/// Reads the whole inbox when it is long, so now and then is often enough. At most [`TRIM_GONE_MAX`] rows go at a time.
/// Returns how many went.
///
/// # Errors
/// The store's, and damage. Then nothing, or what was to go, is gone; trimming again is safe.
pub async fn trim<E: Engine>(engine: &E, user: UserId, wall: UnixMs) -> Result<u64, LayerError> {
    let wall = clock::believed(&engine.begin(Begin::Fresh), wall).await?;
    let oldest_ms = UnixMs(wall.0.saturating_sub(INBOX_DAYS * 24 * 3600 * 1000));
    let Some((through, gone)) = trim_through(engine, user, oldest_ms, INBOX_ROWS_MAX as usize).await? else {
        return Ok(0);
    };
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::inbox_floor(user);
        let row = tx.get(&key).await?;
        if unreadable::refuse_some(&key, row.as_ref(), packed::floor)?.unwrap_or_default() < through {
            tx.set(&key, &packed::row(through));
            let range = keys::inbox_through(user, through);
            tx.clear_range(&range.begin, &range.end);
        }
        Ok(gone)
    })
}

/// The last row that is to go, and how many there are up to it.
async fn trim_through<E: Engine>(
    engine: &E,
    user: UserId,
    oldest_ms: UnixMs,
    rows_max: usize,
) -> Result<Option<(Position, u64)>, LayerError> {
    // Rows go by trimming alone, so pages of several versions are one walk. It ends with the rows of its first version.
    let end = read!(engine, Begin::Fresh, |tx| Ok(tx.read_version().await?))?;
    let mut kept = VecDeque::new();
    let (mut after, mut aged, mut through, mut gone) = (Position::START, true, None, 0);
    loop {
        let page = read!(engine, Begin::Fresh, |tx| trim_page(&tx, user, after, oldest_ms, aged).await)?;
        aged = page.aged_all;
        kept.extend(page.positions.iter().copied().take_while(|at| at.stamp.version <= end.0));
        while gone < TRIM_GONE_MAX
            && let Some(&first) = kept.front()
            && (kept.len() > rows_max || page.aged_through.is_some_and(|aged| first <= aged))
        {
            through = kept.pop_front();
            gone += 1;
        }
        match page.positions.last() {
            Some(&last) if page.more && last.stamp.version <= end.0 && gone < TRIM_GONE_MAX => after = last,
            Some(_) | None => return Ok(through.map(|through| (through, gone))),
        }
    }
}

struct TrimPage {
    positions: Vec<Position>,
    /// The last row that is too old, if any.
    aged_through: Option<Position>,
    /// Whether the page ended before a row that is young enough.
    aged_all: bool,
    more: bool,
}

/// A page of positions. While `aged`, the rows' own age is looked at: that of the message which they name, since
/// commits, and so rows, are in the order of time.
async fn trim_page<T: Transaction>(
    tx: &T,
    user: UserId,
    after: Position,
    oldest_ms: UnixMs,
    aged: bool,
) -> Result<TrimPage, LayerError> {
    let page = tx.snapshot_get_range(&keys::inbox_after(user, after).rows(TRIM_ROWS)).await?;
    let mut positions = Vec::with_capacity(page.rows.len());
    let mut named = Vec::new();
    for row in &page.rows {
        let Some((_, position)) = unreadable::skip(&row.key, keys::inbox_place(&row.key)) else { continue };
        positions.push(position);
        // A message that was sent: an edit names one that may be much older than itself.
        if aged
            && let Some((_, EventRecord { channel, body: EventRecordBody::Message { seq, .. } })) =
                unreadable::skip(&row.key, event_of(row))
        {
            named.push((position, (channel, seq)));
        }
    }
    // Few are old when trimming is regular: a message at a time by halving, not 5,000 at once.
    let mut old = 0;
    let mut young = named.len();
    while old < young {
        let middle = old + (young - old) / 2;
        let rows = content::records(tx, &[named[middle].1]).await?;
        let is_old = rows.iter().filter_map(|(_, record)| record.as_ref()).any(|record| record.sent_ms < oldest_ms);
        if is_old { old = middle + 1 } else { young = middle }
    }
    Ok(TrimPage {
        positions,
        aged_through: old.checked_sub(1).map(|last| named[last].0),
        aged_all: aged && old == named.len(),
        more: page.more,
    })
}

/// The channel that a snapshot's next page comes after.
#[must_use]
pub fn snapshot_place(page: &SnapshotPage) -> Option<SnapshotPlace> {
    let last: ChannelId = page.channels.last().filter(|_| page.more)?.channel_id;
    Some(SnapshotPlace { through: page.through, last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;
    use kv::memory::MemoryEngine;
    use schema::Stamp;

    #[test]
    fn the_rows_beyond_the_newest_are_to_go() {
        let check = |rows: u64, rows_max: usize, through: Option<(u64, u64)>| {
            let engine = MemoryEngine::ephemeral();
            let mut tx = engine.begin(Begin::Fresh);
            let body = EventRecordBody::Read { user: UserId(1), read_seq: schema::Seq(1) };
            let event = EventRecord { channel: ChannelId(1), body }.encode();
            for version in 1..=rows {
                tx.set(&keys::inbox(UserId(1), Stamp { version, batch: 0 }.at(0)), &event);
            }
            block_on(tx.commit()).expect("written");
            // The rows' versions are made up; the store has to have reached them.
            for _version in 0..rows {
                let mut tx = engine.begin(Begin::Fresh);
                tx.set(b"later", b"");
                block_on(tx.commit()).expect("written");
            }
            let found = block_on(trim_through(&engine, UserId(1), UnixMs(0), rows_max)).expect("readable");
            assert_eq!(
                found.map(|(last, gone)| (last.stamp.version, gone)),
                through,
                "{rows} rows, at most {rows_max}"
            );
        };
        check(0, 3, None);
        check(3, 3, None);
        check(4, 3, Some((1, 1)));
        check(50, 3, Some((47, 47)));
    }
}
