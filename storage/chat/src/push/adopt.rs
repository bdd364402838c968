//! Adoption of arrivals that homes left unserved when they went: they become push items.
//!
//! Owns the clearing of arrivals of lives that are over, which a change of the view lists. A home clears its arrivals
//! behind itself once it has told those who were there, so what is left are the last moments before it went. Nobody
//! knows any more who was there then, so there is an item for everyone, and what a user has read meanwhile is found out
//! when the item is due.

use std::collections::BTreeMap;

use schema::limits::PUSH_KEPT_MS;
use schema::record::{ArrivalRecord, EventRecordBody, MessageRecord, PushItem};
use schema::{ChannelId, Incarnation, Seq, UnixMs};

use crate::keys;
use crate::share::Share;
use crate::{LayerError, clock, commit, read, unreadable};
use kv::transaction::{Begin, Engine, Row, Transaction, key_after};

use super::{ITEMS_AT_ONCE, put};

/// Arrival rows of one transaction: some hold one event, and one may hold 8,000.
const ROWS_AT_ONCE: u32 = 64;

/// What was done about what homes had left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Adopted {
    /// Transactions' arrivals that were cleared.
    pub arrivals: u64,
    /// Items that were written.
    pub items: u64,
}

/// Lives of one read.
const LIVES_AT_ONCE: u32 = 64;

/// Turns what arrived at the homes of lives that are over into push items, and clears it, as far as these lives are of
/// this share.
///
/// It may run beside the new homes, and again, and on several nodes at once.
///
/// # Errors
/// The store's, and damage. Then some of it is done; adopting again goes on.
pub async fn adopt<E: Engine>(engine: &E, wall: UnixMs, share: &Share) -> Result<Adopted, LayerError> {
    let mut adopted = Adopted::default();
    for life in ended(engine, share).await? {
        let of_life = adopt_life(engine, wall, life).await?;
        adopted.arrivals += of_life.arrivals;
        adopted.items += of_life.items;
    }
    Ok(adopted)
}

/// Lives of a share that are over and may have left arrivals. Nothing arrives there any more, since their fences are
/// gone.
///
/// # Errors
/// The store's.
pub async fn ended<E: Engine>(engine: &E, share: &Share) -> Result<Vec<Incarnation>, LayerError> {
    let mut ended = Vec::new();
    let mut next = Some(keys::ended_lives().rows(LIVES_AT_ONCE));
    while let Some(range) = next {
        let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
        let lives = unreadable::readable(&page.rows, |row: &Row| keys::ended_of(&row.key));
        ended.extend(lives.into_iter().filter(|life| share.has_hash(keys::hash_of_life(*life))));
        next = range.after(&page);
    }
    Ok(ended)
}

/// Adoption of what one of [`ended`] left, in transactions of some thousand items, one arrival row at least.
///
/// # Errors
/// As [`adopt`].
pub async fn adopt_life<E: Engine>(engine: &E, wall: UnixMs, life: Incarnation) -> Result<Adopted, LayerError> {
    let wall = clock::believed(&engine.begin(Begin::Fresh), wall).await?;
    let mut adopted = Adopted::default();
    while let Some(step) = commit!(engine, Begin::Fresh, |tx, _| adopt_some(&mut tx, life, wall).await)? {
        adopted.arrivals += step.arrivals;
        adopted.items += step.items;
    }
    Ok(adopted)
}

/// Adopts the first rows of a life; nothing, and the word that it has ended is gone, if there are none.
async fn adopt_some<T: Transaction>(
    tx: &mut T,
    life: Incarnation,
    wall: UnixMs,
) -> Result<Option<Adopted>, LayerError> {
    let range = keys::arrivals_of(life);
    // Read without conflicts: a home that lingers may clear its own meanwhile, and an item more does no harm.
    let page = tx.snapshot_get_range(&range.clone().rows(ROWS_AT_ONCE)).await?;
    let (rows, records) = fitting(&page.rows);
    let Some(last) = rows.last() else {
        tx.clear(&keys::ended(life));
        return Ok(None);
    };
    let items = items(tx, &records, wall).await?;
    put(tx, &items);
    for row in rows.iter().filter(|row| ArrivalRecord::decode(&row.value).is_err()) {
        unreadable::keep(tx, &row.key, &row.value);
    }
    tx.clear_range(&range.begin, &key_after(&last.key));
    Ok(Some(Adopted { arrivals: rows.len() as u64, items: items.len() as u64 }))
}

/// The first rows whose events and users do not make too many items; one always fits. Of those that cannot be read
/// there is no record.
fn fitting(rows: &[Row]) -> (&[Row], Vec<ArrivalRecord>) {
    let mut records = Vec::new();
    let mut count = 0;
    for (at, row) in rows.iter().enumerate() {
        let Some(record) = unreadable::skip(&row.key, ArrivalRecord::decode(&row.value)) else { continue };
        let users = |audience: u16| record.audiences[usize::from(audience)].len();
        count += record.events.iter().map(|event| users(event.audience)).sum::<usize>();
        if !records.is_empty() && count > ITEMS_AT_ONCE {
            return (&rows[..at], records);
        }
        records.push(record);
    }
    (rows, records)
}

/// An item for each message and each of its users but the sender, unless its time is long over.
async fn items<T: Transaction>(tx: &T, records: &[ArrivalRecord], wall: UnixMs) -> Result<Vec<PushItem>, LayerError> {
    let mut messages: BTreeMap<(ChannelId, Seq), Option<MessageRecord>> = BTreeMap::new();
    for event in records.iter().flat_map(|record| &record.events) {
        if let EventRecordBody::Message { seq, .. } = event.event.body {
            messages.insert((event.event.channel, seq), None);
        }
    }
    let wanted: Vec<_> = messages.keys().map(|&(channel, seq)| keys::message(channel, seq)).collect();
    for ((message, key), row) in messages.values_mut().zip(&wanted).zip(tx.get_all(&wanted).await?) {
        *message = row.and_then(|row| unreadable::skip(key, MessageRecord::decode(&row)));
    }
    let mut items = Vec::new();
    for record in records {
        for event in &record.events {
            let EventRecordBody::Message { seq, .. } = event.event.body else { continue };
            let place = (event.event.channel, seq);
            let Some(message) = &messages[&place] else { continue };
            for &user in &record.audiences[usize::from(event.audience)] {
                let item = PushItem::new(user, place, message.from, message.sent_ms);
                if user != message.from && wall.since_ms(item.due_ms) <= PUSH_KEPT_MS {
                    items.push(item);
                }
            }
        }
    }
    Ok(items)
}
