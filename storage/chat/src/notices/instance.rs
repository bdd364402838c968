//! Users who are to be told an application's notice now: each becomes jobs, one for each target.
//!
//! Owns the one transaction of that, under the fence: the user's row cleared, the jobs set, and of a notice that recurs the
//! user's next row.

use std::collections::BTreeMap;

use schema::limits::JOB_KEPT_MS;
use schema::record::{AppRecord, DeliveryState, JobRecord, NoticeRecord};
use schema::{ChannelId, NoticeId, Seq, UnixMs, UserId};

use super::contacts::Contact;
use super::events::Events;
use super::links::Target;
use super::plan::Planned;
use super::reach::{Reach, Reached};
use super::{Scan, Worker, jobs, track};
use crate::{LayerError, commit, keys, packed, unreadable};
use kv::join;
use kv::transaction::{Begin, Engine, Row, Transaction};

/// Users of one transaction.
const USERS_AT_ONCE: usize = 200;

/// A user who is to be told.
struct Due {
    key: Vec<u8>,
    at: UnixMs,
    user: UserId,
    notice: NoticeId,
}

/// Makes jobs of the notices that are due at `now` for the worker's users, at most some hundred: one round.
///
/// # Errors
/// As of `plan`.
pub async fn instances<E: Engine>(
    engine: &E,
    worker: &Worker,
    scan: &mut Scan,
    reach: &Reach,
    now: UnixMs,
) -> Result<Planned, LayerError> {
    let rows = scan.due(engine, worker, now, USERS_AT_ONCE).await?;
    if rows.is_empty() {
        return Ok(Planned::default());
    }
    let more = rows.len() >= USERS_AT_ONCE;
    let due = &unreadable::readable(&rows, |row: &Row| {
        let (_, at, user, notice) = keys::notice_due_fields(&row.key)?;
        Ok(Due { key: row.key.to_vec(), at, user, notice })
    });
    commit!(engine, Begin::Fresh, |tx, _| {
        worker.prove(&tx).await?;
        let still_there = tx.get_all(&due.iter().map(|due| &due.key).collect::<Vec<_>>()).await?;
        let due: Vec<&Due> = due.iter().zip(still_there).filter(|(_, row)| row.is_some()).map(|(due, _)| due).collect();
        let mut notices = notices(&tx, due.iter().map(|due| due.notice)).await?;
        end_of_revoked(&tx, &mut notices, now).await?;
        let told = due.iter().filter(|due| notices.get(&due.notice).is_some_and(|notice| wants(notice, due, now)));
        let mut users: Vec<UserId> = told.map(|due| due.user).collect();
        users.sort_unstable();
        users.dedup();
        let reached = join::try_all(users.iter().map(|&user| reach.read(&tx, user, now))).await?;
        let reached: BTreeMap<UserId, Reached> = users.into_iter().zip(reached).collect();
        let (mut made, mut events) = (0, Events::default());
        for due in due.iter().copied() {
            tx.clear(&due.key);
            let Some(notice) = notices.get(&due.notice) else { continue };
            let before = made;
            if wants(notice, due, now) {
                let Reached { contacts, settings } = &reached[&due.user];
                for contact in contacts.0.iter().filter(|contact| reach.takes_notice(settings, contact, notice)) {
                    let id = instance(due.notice, notice, due.at);
                    let delivery = jobs::put(&mut tx, contact, due.user, id, &job(notice, due, now));
                    let Contact { medium, device, .. } = contact;
                    let target = Target { notice: id, user: due.user, medium: *medium, device: device.clone() };
                    events.put(&mut tx, notice.app, &track::event(&target, &delivery));
                    made += 1;
                }
            }
            if made == before {
                let (state, why) = untold(notice, due, now);
                events.put(&mut tx, notice.app, &track::event_of_user(due.notice, due.user, state, why, now));
            }
            if let Some(next) = next(notice, due, now) {
                tx.set(&keys::notice_due(next, due.user, due.notice), packed::MARK);
            }
        }
        Ok(Planned { items: due.len() as u64, jobs: made, decisions: BTreeMap::new(), more })
    })
}

/// The notices of these ids that there are.
pub(super) async fn notices<T: Transaction>(
    tx: &T,
    ids: impl Iterator<Item = NoticeId>,
) -> Result<BTreeMap<NoticeId, NoticeRecord>, LayerError> {
    let mut ids: Vec<NoticeId> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    let wanted: Vec<_> = ids.iter().map(|&id| keys::notice(id)).collect();
    let rows = tx.snapshot_get_all(&wanted).await?;
    let notice = |((id, key), row): ((NoticeId, &Vec<u8>), Option<bytes::Bytes>)| {
        Some((id, unreadable::skip(key, NoticeRecord::decode(&row?))?))
    };
    Ok(ids.into_iter().zip(&wanted).zip(rows).filter_map(notice).collect())
}

/// Whether a user is to be told it now: unless it was cancelled, or its time is over.
fn wants(notice: &NoticeRecord, due: &Due, now: UnixMs) -> bool {
    notice.cancelled_ms.is_none() && now.since_ms(due.at) < notice.expires_ms
}

/// What became of it for a user for whom it made no job.
fn untold(notice: &NoticeRecord, due: &Due, now: UnixMs) -> (DeliveryState, &'static str) {
    if notice.cancelled_ms.is_some() {
        (DeliveryState::Withdrawn, "it was cancelled")
    } else if wants(notice, due, now) {
        (DeliveryState::Withdrawn, "its user has no target that it may go to")
    } else {
        (DeliveryState::Expired, "nobody had planned it before it was of no use")
    }
}

/// The name of what a user is told at one time: of a notice that recurs another each time. So is one that is due long after
/// it was accepted: what became of it is kept by the day in its name.
pub(super) fn instance(id: NoticeId, notice: &NoticeRecord, at: UnixMs) -> NoticeId {
    if notice.every_ms == 0 && at.since_ms(id.made_at()) <= keys::DAY_MS { id } else { id.at(at) }
}

/// Lets notices of applications that were revoked count as cancelled: whoever could cancel them may not any more.
async fn end_of_revoked<T: Transaction>(
    tx: &T,
    notices: &mut BTreeMap<NoticeId, NoticeRecord>,
    now: UnixMs,
) -> Result<(), LayerError> {
    let mut apps: Vec<u64> = notices.values().map(|notice| notice.app).filter(|&app| app != 0).collect();
    apps.sort_unstable();
    apps.dedup();
    let wanted: Vec<_> = apps.iter().map(|&app| keys::app(app)).collect();
    let rows = tx.snapshot_get_all(&wanted).await?;
    let is_revoked = |(key, row): (&Vec<u8>, Option<bytes::Bytes>)| {
        let app = row.and_then(|row| unreadable::skip(key, AppRecord::decode(&row)));
        app.is_some_and(|app| app.secrets.is_empty())
    };
    let revoked: Vec<bool> = wanted.iter().zip(rows).map(is_revoked).collect();
    for (app, _) in apps.iter().zip(revoked).filter(|(_, revoked)| *revoked) {
        let of_app = notices.values_mut().filter(|notice| notice.app == *app);
        of_app.for_each(|notice| notice.cancelled_ms = notice.cancelled_ms.or(Some(now)));
    }
    Ok(())
}

fn job(notice: &NoticeRecord, due: &Due, now: UnixMs) -> JobRecord {
    let expires_ms = due.at.plus_ms(notice.expires_ms).min(now.plus_ms(JOB_KEPT_MS));
    let (channel, seq) = (ChannelId(0), Seq::ZERO);
    JobRecord { channel, seq, origin: due.notice, planned_ms: now, expires_ms, attempts: 0, leased: false }
}

/// When a user is to be told it again: at the next of its times that is to come, so that nobody is told several at once
/// after an outage.
fn next(notice: &NoticeRecord, due: &Due, now: UnixMs) -> Option<UnixMs> {
    if notice.every_ms == 0 || notice.cancelled_ms.is_some() {
        return None;
    }
    let passed = now.since_ms(due.at) / notice.every_ms;
    Some(due.at.plus_ms((passed + 1) * notice.every_ms))
}
