//! What applications ask to be told: accepted once, found again, cancelled.
//!
//! Owns the rows `notice`, `notice due` and `first notice`. Accepted is durable: the notice and a row for each of its users
//! are one transaction. The users' rows are items like those of messages: `plan` makes jobs of them when they are due.

use std::collections::BTreeMap;

use schema::limits::NOTICE_KEY_DAYS;
use schema::record::{DeliveryRecord, DeliveryState, FirstNoticeRecord, NoticeRecord};
use schema::{ErrorCode, Medium, NoticeId, Refusal, UnixMs, UserId};

use super::apps::{self, App};
use super::events::Events;
use super::instance::instance;
use super::track;
use crate::{LayerError, commit, keys, packed, read, unreadable};
use kv::transaction::{Begin, Engine, Row, Transaction};

/// A notice to be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Drawn for this request.
    pub id: NoticeId,
    /// What is to be told.
    pub record: NoticeRecord,
    /// Whom: each once.
    pub to: Vec<UserId>,
    /// Of the whole request, by which a repetition is told from another under the same key.
    pub content_hash: u64,
}

/// Accepts a notice, or finds the one that the same request made before. Which it is, and whether it is new.
///
/// # Errors
/// 121 for a key whose first request was another, 111 beyond the application's quota; the store's, and damage. Accepting
/// again is safe under a key, and makes a second notice without one.
pub async fn accept<E: Engine>(
    engine: &E,
    app: &App,
    wanted: &Wanted,
    now: UnixMs,
) -> Result<(NoticeId, bool), LayerError> {
    let Wanted { id, record, to, content_hash } = wanted;
    commit!(engine, Begin::Fresh, |tx, attempt| {
        if attempt.maybe_committed && tx.get(&keys::notice(*id)).await?.is_some() {
            return Ok((*id, true));
        }
        if !record.key.is_empty() {
            if let Some(first) = first(&tx, app.id, &record.key, *content_hash, now).await? {
                return Ok((first, false));
            }
            let first = FirstNoticeRecord { notice: *id, content_hash: *content_hash };
            tx.set(&keys::first_notice(app.id, &record.key), &first.encode());
        }
        apps::spend(&mut tx, app, record.recipients, now).await?;
        tx.set(&keys::notice(*id), &record.encode());
        for &user in to {
            tx.set(&keys::notice_due(record.send_ms, user, *id), packed::MARK);
        }
        let event = track::event_of_user(*id, UserId(0), DeliveryState::Accepted, "", now);
        Events::default().put(&mut tx, app.id, &event);
        Ok((*id, true))
    })
}

/// The notice that the same request made before under its key, if it did.
///
/// # Errors
/// 121 for a key whose first request was another; the store's, and damage.
pub async fn again<E: Engine>(
    engine: &E,
    app: u64,
    key: &str,
    content_hash: u64,
    now: UnixMs,
) -> Result<Option<NoticeId>, LayerError> {
    if key.is_empty() {
        return Ok(None);
    }
    read!(engine, Begin::Fresh, |tx| first(&tx, app, key, content_hash, now).await)
}

async fn first<T: Transaction>(
    tx: &T,
    app: u64,
    key: &str,
    content_hash: u64,
    now: UnixMs,
) -> Result<Option<NoticeId>, LayerError> {
    let key = keys::first_notice(app, key);
    let row = tx.get(&key).await?;
    let first = unreadable::refuse_some(&key, row.as_ref(), FirstNoticeRecord::decode)?;
    let lasts = |first: &FirstNoticeRecord| now.since_ms(first.notice.made_at()) <= NOTICE_KEY_DAYS * keys::DAY_MS;
    match first.filter(lasts) {
        Some(first) if first.content_hash == content_hash => Ok(Some(first.notice)),
        Some(_) => Err(Refusal::new(ErrorCode::IdReused, "this Idempotency-Key was used for another request").into()),
        None => Ok(None),
    }
}

/// A notice and what has become of it so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was accepted.
    pub record: NoticeRecord,
    /// Jobs by their state. Of one that recurs none: each time is a notice of its own.
    pub states: BTreeMap<DeliveryState, u64>,
    /// The first of them, each with its target.
    pub deliveries: Vec<(UserId, Medium, String, DeliveryRecord)>,
}

/// Deliveries that are counted of one notice: 1,000 users with 17 targets.
const DELIVERIES_MAX: u32 = 20_000;

/// What has become of an application's notice, with at most `limit` of its deliveries.
///
/// # Errors
/// 102 if the application has no such notice; the store's, and damage.
pub async fn report<E: Engine>(engine: &E, app: u64, id: NoticeId, limit: usize) -> Result<Report, LayerError> {
    let report = report_any(engine, id, limit).await?;
    if report.record.app == app { Ok(report) } else { Err(no_such(id).into()) }
}

/// The same of a notice of whichever application, or of an operator.
///
/// # Errors
/// 102 if there is no such notice; the store's, and damage.
pub async fn report_any<E: Engine>(engine: &E, id: NoticeId, limit: usize) -> Result<Report, LayerError> {
    let key = keys::notice(id);
    let (record, page) = read!(engine, Begin::Fresh, |tx| {
        let row = tx.get(&key).await?;
        let record = unreadable::refuse_some(&key, row.as_ref(), NoticeRecord::decode)?;
        let record = record.ok_or_else(|| no_such(id))?;
        let told_as = if record.every_ms == 0 { instance(id, &record, record.send_ms) } else { id };
        let page = tx.snapshot_get_range(&keys::deliveries_of(told_as).rows(DELIVERIES_MAX)).await?;
        Ok((record, page))
    })?;
    let mut deliveries = unreadable::readable(&page.rows, |row: &Row| {
        let (_, _, user, medium, device) = keys::delivery_fields(&row.key)?;
        Ok((user, medium, device, DeliveryRecord::decode(&row.value)?))
    });
    let mut states = BTreeMap::new();
    for (.., delivery) in &deliveries {
        *states.entry(delivery.state).or_default() += 1;
    }
    deliveries.truncate(limit);
    Ok(Report { record, states, deliveries })
}

/// Cancels an application's notice: what was not sent by now is not. Whether it was not cancelled before.
///
/// # Errors
/// 102 if the application has no such notice; the store's, and damage.
pub async fn cancel<E: Engine>(engine: &E, app: u64, id: NoticeId, now: UnixMs) -> Result<bool, LayerError> {
    cancel_of(engine, Some(app), id, now).await
}

/// The same of a notice of whichever application, or of an operator.
///
/// # Errors
/// 102 if there is no such notice; the store's, and damage.
pub async fn cancel_any<E: Engine>(engine: &E, id: NoticeId, now: UnixMs) -> Result<bool, LayerError> {
    cancel_of(engine, None, id, now).await
}

async fn cancel_of<E: Engine>(engine: &E, app: Option<u64>, id: NoticeId, now: UnixMs) -> Result<bool, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let key = keys::notice(id);
        let row = tx.get(&key).await?;
        let record = unreadable::refuse_some(&key, row.as_ref(), NoticeRecord::decode)?;
        let is_its = |record: &NoticeRecord| app.is_none_or(|app| record.app == app);
        let mut record = record.filter(is_its).ok_or_else(|| no_such(id))?;
        if record.cancelled_ms.is_some() {
            return Ok(attempt.maybe_committed);
        }
        record.cancelled_ms = Some(now);
        tx.set(&key, &record.encode());
        Ok(true)
    })
}

fn no_such(id: NoticeId) -> Refusal {
    Refusal::new(ErrorCode::UnknownChannel, format!("there is no notification {id}"))
}
