//! Changes of what became of applications' notices, in the order in which they were made: for whoever follows them.
//!
//! Owns the rows `notice event` and `event cursor`. A change is written in the transaction that makes it, under that
//! transaction's stamp, so that whoever reads on from a place misses none and sees each once. How an application is told
//! is `api`'s (it asks) and `notify`'s (it is called).
//! Limit: the events of one application lie in one range, whose rate is that of one server of the store.

use bytes::Bytes;
use schema::record::{NoticeEventRecord, NoticeRecord, RecordError};
use schema::{Cursor, ErrorCode, NoticeId, Position, Refusal, UnixMs};

use super::Worker;
use super::apps::App;
use crate::{LayerError, commit, keys, packed, read, unreadable};
use kv::Generation;
use kv::transaction::{Begin, Engine, Row, Transaction, key_after};

/// Events that one transaction has written: each has a number behind the transaction's stamp.
#[derive(Debug, Default)]
pub(super) struct Events {
    written: u16,
}

impl Events {
    /// Writes one. Of what is of no application, codes and what operators send, nobody follows anything.
    pub(super) fn put<T: Transaction>(&mut self, tx: &mut T, app: u64, event: &NoticeEventRecord) {
        if app == 0 {
            return;
        }
        tx.set_versionstamped_key(&keys::notice_events_prefix(app), &self.written.to_be_bytes(), &event.encode());
        self.written = self.written.checked_add(1).expect("a transaction has far fewer than 65,536 events");
    }
}

/// The application of a notice, if it is still known.
pub(super) async fn app_of<T: Transaction>(tx: &T, origin: NoticeId) -> Result<Option<u64>, LayerError> {
    let key = keys::notice(origin);
    let row = tx.snapshot_get(&key).await?;
    Ok(row.and_then(|row| unreadable::skip(&key, NoticeRecord::decode(&row))).map(|notice| notice.app))
}

/// Events of an application, and where they end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsPage {
    /// The earliest first, each with its place.
    pub events: Vec<(Position, NoticeEventRecord)>,
    /// The place to go on from.
    pub through: Position,
    /// Whether there are more by now.
    pub more: bool,
}

/// The place that a cursor names in this store; the earliest without one.
///
/// # Errors
/// 112 for a cursor of another store.
pub fn place<E: Engine>(engine: &E, cursor: Option<Cursor>) -> Result<Position, Refusal> {
    let Generation(generation) = engine.generation();
    match cursor {
        None => Ok(Position::START),
        Some(cursor) if cursor.generation == generation => Ok(cursor.position),
        Some(_) => Err(Refusal::new(ErrorCode::BadCursor, "the cursor is of another store: ask without one")),
    }
}

/// The cursor of a place in this store.
#[must_use]
pub fn cursor<E: Engine>(engine: &E, position: Position) -> Cursor {
    let Generation(generation) = engine.generation();
    Cursor { generation, position }
}

/// Events of an application after a place, at most `limit`. Those that cannot be read are left out.
///
/// # Errors
/// The store's.
pub async fn events<E: Engine>(engine: &E, app: u64, after: Position, limit: u32) -> Result<EventsPage, LayerError> {
    let range = keys::notice_events_after(app, after).rows(limit);
    let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
    let last = page.rows.last().map(|row| keys::notice_event_of(&row.key)).transpose()?;
    let through = last.map_or(after, |(_, position)| position);
    Ok(EventsPage { events: unreadable::readable(&page.rows, event_of), through, more: page.more })
}

fn event_of(row: &Row) -> Result<(Position, NoticeEventRecord), RecordError> {
    let (_, position) = keys::notice_event_of(&row.key)?;
    Ok((position, NoticeEventRecord::decode(&row.value)?))
}

/// Has an application called with its events from now on, at a URL and signed with a secret; or, without a URL, no more.
/// One that is called already goes on from where it is. `None` if there is no such application.
///
/// # Errors
/// The store's, and damage.
pub async fn call<E: Engine>(engine: &E, app: u64, url: Option<&(String, String)>) -> Result<Option<App>, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::app(app);
        let row = tx.get(&key).await?;
        let record = unreadable::refuse_some(&key, row.as_ref(), schema::record::AppRecord::decode)?;
        let Some(mut record) = record else { return Ok(None) };
        (record.events_url, record.events_secret) = url.cloned().unzip();
        let cursor_key = keys::event_cursor(app);
        if url.is_none() {
            tx.clear(&cursor_key);
        } else if tx.get(&cursor_key).await?.is_none() {
            let newest = tx.snapshot_get_range(&keys::notice_events_newest(app).rows(1)).await?;
            let newest = newest.rows.first().map(|row| keys::notice_event_of(&row.key)).transpose()?;
            let (_, position) = newest.unwrap_or_default();
            tx.set(&cursor_key, &packed::row(position));
        }
        tx.set(&key, &record.encode());
        Ok(Some(App { id: app, record }))
    })
}

/// Up to where an application was called: from the start, where that cannot be read. `None` if it is not to be called.
///
/// Places are of one store: in another, to which the application went along, it begins with what is there.
///
/// # Errors
/// The store's, and damage; 113 once the worker's view has ended.
pub async fn called<E: Engine>(engine: &E, worker: &Worker, app: u64) -> Result<Option<Position>, LayerError> {
    let key = keys::event_cursor(app);
    let row = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get(&key).await?))?;
    if let Some(row) = row {
        return Ok(Some(read_cursor(&key, &row)));
    }
    commit!(engine, Begin::Fresh, |tx, _| {
        worker.prove(&tx).await?;
        let (key, app_key) = (keys::event_cursor(app), keys::app(app));
        let (row, cursor) = (tx.get(&app_key).await?, tx.get(&key).await?);
        let record = unreadable::refuse_some(&app_key, row.as_ref(), schema::record::AppRecord::decode)?;
        if record.is_none_or(|record| record.events_url.is_none()) {
            return Ok(None);
        }
        let place = cursor.map_or(Position::START, |row| read_cursor(&key, &row));
        tx.set(&key, &packed::row(place));
        Ok(Some(place))
    })
}

/// Notes up to where an application was called, if it still is to be and nobody has noted more. Whether that was noted.
///
/// # Errors
/// The store's, and damage; 113 once the worker's view has ended. Noting again is safe.
pub async fn note_called<E: Engine>(
    engine: &E,
    worker: &Worker,
    app: u64,
    from: Position,
    through: Position,
) -> Result<bool, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        worker.prove(&tx).await?;
        let key = keys::event_cursor(app);
        let row = tx.get(&key).await?;
        // Without a row it is called no more.
        let Some(row) = row else { return Ok(false) };
        let there = read_cursor(&key, &row);
        if there != from {
            return Ok(attempt.maybe_committed && there == through);
        }
        tx.set(&key, &packed::row(through));
        Ok(true)
    })
}

fn read_cursor(key: &[u8], row: &Bytes) -> Position {
    unreadable::skip(key, packed::event_cursor(row)).unwrap_or(Position::START)
}

/// Events of one transaction.
const CLEARED_AT_ONCE: u32 = 2_000;

/// Forgets an application's events from before a time. Returns how many rows went.
pub(super) async fn forget<E: Engine>(engine: &E, app: u64, before: UnixMs) -> Result<u64, LayerError> {
    let mut forgotten = 0;
    loop {
        let range = &keys::notice_events_after(app, Position::START).rows(CLEARED_AT_ONCE);
        let (rows, more) = commit!(engine, Begin::Fresh, |tx, _| {
            let page = tx.snapshot_get_range(range).await?;
            // They lie in the order of their commits, whose times differ from that by clocks' differences. What cannot be
            // read goes with those around it.
            let is_over = |row: &&Row| NoticeEventRecord::decode(&row.value).map_or(true, |event| event.at_ms < before);
            let over = page.rows.iter().take_while(is_over).count();
            if let Some(last) = over.checked_sub(1) {
                tx.clear_range(&range.begin, &key_after(&page.rows[last].key));
            }
            Ok((over as u64, page.more && over == page.rows.len()))
        })?;
        forgotten += rows;
        if !more {
            return Ok(forgotten);
        }
    }
}
