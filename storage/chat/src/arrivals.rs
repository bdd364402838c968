//! Arrivals: events that transactions brought to the users of one home shard, in the order of commits.
//!
//! Owns reading and clearing the rows `arrival`, which the appender writes, and in whose stead users who were absent
//! get push items. Those of homes that are gone `push::adopt` clears. Upholds I6 as `inbox` does: a page claims to reach
//! no further than it read. A row that cannot be read is set aside, since the others are cleared behind the home, and
//! the page goes on behind it.

use std::collections::BTreeSet;

use schema::limits::{ARRIVAL_ROWS_MAX, HINT_BYTES_MAX};
use schema::page::{Arrival, ArrivalsPage};
use schema::record::{ArrivalRecord, FenceRecord, PushItem};
use schema::{Incarnation, Owner, Stamp};

use super::{LayerError, commit, content, moving, push, read, unreadable};
use crate::keys;
use kv::join;
use kv::transaction::{Begin, Engine, RangeRequest, Row, Transaction, Version};

/// Bytes of contents after which a page takes no further row. One row, which is at most a batch's bodies, always comes.
const PAGE_BYTES_MAX: usize = HINT_BYTES_MAX as usize / 4;

/// Reads what arrived at `home` after a transaction, under whatever views, at a version that is `at_least` this one.
///
/// Contents are read but for the transactions in `have`. At most `rows` rows come, and `ARRIVAL_ROWS_MAX`. Events whose
/// message cannot be read are left out.
///
/// # Errors
/// The store's; 113 once the home's life is over; damage in the fence.
pub async fn read<E: Engine>(
    engine: &E,
    home: Owner,
    after: Stamp,
    at_least: u64,
    have: &BTreeSet<Stamp>,
    rows: u32,
) -> Result<ArrivalsPage, LayerError> {
    let range = keys::arrivals_after(home, after).rows(rows.min(ARRIVAL_ROWS_MAX));
    let begin = Begin::AtLeast(Version(at_least));
    let (page, unread) = read!(engine, begin, |tx| page(&tx, &range, home.incarnation, have).await)?;
    unreadable::set_aside(engine, &unread).await?;
    Ok(page)
}

/// The page of a home of this life, and the rows among its own that cannot be read.
async fn page<T: Transaction>(
    tx: &T,
    range: &RangeRequest,
    life: Incarnation,
    have: &BTreeSet<Stamp>,
) -> Result<(ArrivalsPage, Vec<Row>), LayerError> {
    let fence_key = keys::fence(life);
    let (page, fence_row) = join::both(tx.snapshot_get_range(range), tx.snapshot_get(&fence_key)).await?;
    let fence = unreadable::refuse_some(&fence_key, fence_row.as_ref(), FenceRecord::decode)?;
    let Some(FenceRecord { epoch, .. }) = fence.filter(|fence| fence.incarnation == life) else {
        // The life is over, and whoever declared it dead makes push items of these rows and clears them, in several transactions: what is left is no
        // whole.
        return Err(moving().into());
    };
    let (mut records, mut unread) = (Vec::with_capacity(page.rows.len()), Vec::new());
    for row in &page.rows {
        let place = keys::arrival_place(&row.key);
        let record = place.and_then(|(_, stamp)| Ok((stamp, ArrivalRecord::decode(&row.value)?)));
        match unreadable::skip(&row.key, record) {
            Some(record) => records.push(record),
            None => unread.push(row.clone()),
        }
    }
    let named = |(stamp, record): &(Stamp, ArrivalRecord)| -> Vec<_> {
        let events = record.events.iter().filter(|_| !have.contains(stamp));
        events.filter_map(|arrival| content::message_of(&arrival.event)).collect()
    };
    let (contents, fitting) = content::fitting(tx, records.iter().map(named), PAGE_BYTES_MAX).await?;
    let is_cut = fitting < records.len();
    records.truncate(fitting);
    let last = if is_cut {
        records.last().map(|&(last, _)| last)
    } else {
        page.rows.last().filter(|_| page.more).and_then(|row| keys::arrival_place(&row.key).ok()).map(|(_, last)| last)
    };
    let through = match last {
        Some(last) => last,
        None => schema::Position::end_of(tx.read_version().await?.0).stamp,
    };
    let mut contents = contents.into_iter();
    let mut rows = Vec::with_capacity(records.len());
    for (stamp, mut record) in records {
        let contents = if have.contains(&stamp) {
            None
        } else {
            let events = record.events.iter().map(|arrival| (stamp.at(arrival.ordinal), arrival.event.clone()));
            let events = content::events(events, &mut contents);
            let read: BTreeSet<u16> = events.iter().map(|event| event.position.ordinal).collect();
            record.events.retain(|arrival| read.contains(&arrival.ordinal));
            Some(events)
        };
        rows.push(Arrival { stamp, record, contents });
    }
    Ok((ArrivalsPage { rows, through, more: page.more || is_cut, epoch }, unread))
}

/// Clears what arrived at `home`, up to a transaction and with it, and in the same transaction writes
/// push items for those of its users who were not there.
///
/// Of thousands of items all but the last come in transactions before it, so that none is large and no arrival is
/// cleared before its items are there.
///
/// # Errors
/// The store's. Clearing again is safe.
pub async fn clear<E: Engine>(engine: &E, home: Owner, through: Stamp, pushes: &[PushItem]) -> Result<(), LayerError> {
    let range = keys::arrivals_through(home, through);
    let (before, last) = pushes.split_at(pushes.len() - pushes.len() % push::ITEMS_AT_ONCE);
    for items in before.chunks(push::ITEMS_AT_ONCE) {
        write(engine, items, None).await?;
    }
    write(engine, last, Some(&range)).await
}

/// Writes items and clears a range, in one transaction.
async fn write<E: Engine>(engine: &E, items: &[PushItem], cleared: Option<&RangeRequest>) -> Result<(), LayerError> {
    commit!(engine, Begin::Cached, |tx, _| {
        push::put(&mut tx, items);
        if let Some(range) = cleared {
            tx.clear_range(&range.begin, &range.end);
        }
        Ok(())
    })
}
