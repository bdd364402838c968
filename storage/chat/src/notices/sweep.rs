//! What is forgotten of notifications.
//!
//! Owns how long it is known what became of them: 30 days.

use schema::limits::DELIVERY_DAYS;
use schema::record::{FirstNoticeRecord, NoticeRecord};
use schema::{Medium, UnixMs};

use super::{apps, events};
use crate::share::Share;
use crate::{LayerError, clock, commit, dedup, keys, read, unreadable};
use kv::transaction::{Begin, Engine, Row, Transaction};

/// Forgets what became of notifications more than `DELIVERY_DAYS` before `wall`, as far as it is of this share. Returns
/// how many rows went.
///
/// # Errors
/// The store's. Then some are gone; sweeping again is safe.
pub async fn sweep<E: Engine>(engine: &E, wall: UnixMs, share: &Share) -> Result<u64, LayerError> {
    if !share.has_rest() {
        return Ok(0);
    }
    let wall = clock::believed(&engine.begin(Begin::Fresh), wall).await?;
    let before = UnixMs(wall.0.saturating_sub(DELIVERY_DAYS * keys::DAY_MS));
    let mut swept = dedup::clear_range(engine, &keys::deliveries_before(keys::day(before))).await?;
    swept += dedup::clear_range(engine, &keys::spent_before(keys::day(before))).await?;
    for &medium in Medium::ALL {
        swept += dedup::clear_range(engine, &keys::given_up_before(medium, before)).await?;
    }
    for app in apps::list(engine).await? {
        swept += events::forget(engine, app.id, before).await?;
    }
    Ok(swept + forget_notices(engine, wall, before).await?)
}

/// Notices of one transaction.
const NOTICES_AT_ONCE: u32 = 200;

/// Forgets notices that were made before a time, each with the key of its request, but for those that are still to be
/// told.
async fn forget_notices<E: Engine>(engine: &E, wall: UnixMs, before: UnixMs) -> Result<u64, LayerError> {
    let mut forgotten = 0;
    let mut next = Some(keys::notices_before(before).rows(NOTICES_AT_ONCE));
    while let Some(range) = next {
        let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
        let over =
            &unreadable::readable(&page.rows, |row: &Row| Ok((row.key.clone(), NoticeRecord::decode(&row.value)?)));
        forgotten += commit!(engine, Begin::Fresh, |tx, _| {
            let mut cleared = 0;
            for (key, notice) in over.iter().filter(|(_, notice)| is_over(notice, wall)) {
                tx.clear(key);
                let first_key = keys::first_notice(notice.app, &notice.key);
                let first = tx.get(&first_key).await?;
                let first = first.and_then(|row| unreadable::skip(&first_key, FirstNoticeRecord::decode(&row)));
                // The key may have made another since.
                if first.is_some_and(|first| keys::notice(first.notice) == *key) {
                    tx.clear(&first_key);
                }
                cleared += 1;
            }
            Ok(cleared)
        })?;
        next = range.after(&page);
    }
    Ok(forgotten)
}

/// Whether nobody is to be told a notice any more, by a day's room for what was put off.
fn is_over(notice: &NoticeRecord, wall: UnixMs) -> bool {
    let recurs = notice.every_ms > 0 && notice.cancelled_ms.is_none();
    !recurs && wall.since_ms(notice.send_ms) > notice.expires_ms.saturating_add(DELIVERY_DAYS * keys::DAY_MS)
}
