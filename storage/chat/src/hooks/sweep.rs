//! What is forgotten of webhooks.
//!
//! Owns how long what was told is kept: `HOOK_DAYS`. What was not told stays, but for a hook that is paused. One that is told
//! nothing at all, since no node calls, is paused a day later than one that takes nothing, so that its rows have a bound too.

use std::collections::BTreeSet;

use schema::limits::HOOK_DAYS;
use schema::record::{AppRecord, HookedRecord, RecordError};
use schema::{Position, UnixMs};

use super::registry::{self, Hook, clear_rows};
use crate::share::Share;
use crate::{LayerError, clock, commit, keys, read, unreadable};
use kv::transaction::{Begin, Engine, RangeRequest, Row, Transaction, key_after, prefix_end};

/// Rows of one transaction.
const ROWS_AT_ONCE: u32 = 2_000;

/// Forgets what hooks were told more than `HOOK_DAYS` before `wall`, and what is left of hooks that are none any more, as
/// far as it is of this share. Returns how many rows went.
///
/// # Errors
/// The store's. Then some are gone; sweeping again is safe.
pub async fn sweep<E: Engine>(engine: &E, wall: UnixMs, share: &Share) -> Result<u64, LayerError> {
    if !share.has_rest() {
        return Ok(0);
    }
    let wall = clock::believed(&engine.begin(Begin::Fresh), wall).await?;
    let before = UnixMs(wall.0.saturating_sub(HOOK_DAYS * keys::DAY_MS));
    let untold_before = UnixMs(before.0.saturating_sub(keys::DAY_MS));
    let mut swept = 0;
    let mut hooks = registry::list(engine).await?;
    for app in hooks.iter().map(|hook| hook.record.app).collect::<BTreeSet<_>>() {
        // One that was made while its application was revoked.
        if is_revoked(engine, app).await? {
            swept += registry::remove_all(engine, app).await?;
            hooks.retain(|hook| hook.record.app != app);
        }
    }
    for hook in &hooks {
        let (forgotten, waits_ms) = forget(engine, hook, before).await?;
        swept += forgotten;
        // What was told and is replayed is never so old.
        if let Some(waits_ms) = waits_ms.filter(|&waits_ms| waits_ms < untold_before) {
            registry::pause_untold(engine, hook.id, waits_ms, wall).await?;
        }
    }
    for table in keys::tables_of_hooks() {
        swept += forget_gone(engine, &table, &hooks).await?;
    }
    Ok(swept)
}

/// Forgets the rows of a hook from before a time, lane by lane. How many, and when the oldest came that was not told.
async fn forget<E: Engine>(engine: &E, hook: &Hook, before: UnixMs) -> Result<(u64, Option<UnixMs>), LayerError> {
    let (mut forgotten, mut waits_ms, mut next) = (0, None, Some(0_u16));
    while let Some(partition) = next {
        let range = &keys::hooked_from(hook.id, partition).rows(1);
        let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(range).await?))?;
        let Some(first) = page.rows.first() else { break };
        let (_, partition, _) = keys::hooked_of(&first.key)?;
        forgotten += forget_lane(engine, hook, partition, before).await?;
        let untold = first_untold(engine, hook.id, partition).await?;
        waits_ms = [waits_ms, untold].into_iter().flatten().min();
        next = partition.checked_add(1);
    }
    Ok((forgotten, waits_ms))
}

/// When the first came of what a lane is still to tell.
async fn first_untold<E: Engine>(engine: &E, hook: u64, partition: u16) -> Result<Option<UnixMs>, LayerError> {
    let key = keys::hook_cursor(hook, partition);
    let page = read!(engine, Begin::Fresh, |tx| {
        let told = super::lanes::cursor(&key, tx.snapshot_get(&key).await?.as_ref());
        Ok(tx.snapshot_get_range(&keys::hooked_after(hook, partition, told).rows(1)).await?)
    })?;
    Ok(unreadable::readable(&page.rows, |row| HookedRecord::decode(&row.value)).first().map(|first| first.at_ms))
}

async fn forget_lane<E: Engine>(engine: &E, hook: &Hook, partition: u16, before: UnixMs) -> Result<u64, LayerError> {
    let mut forgotten = 0;
    loop {
        let range = &keys::hooked_after(hook.id, partition, Position::START).rows(ROWS_AT_ONCE);
        let (rows, more) = commit!(engine, Begin::Fresh, |tx, _| {
            let key = keys::hook_cursor(hook.id, partition);
            // For conflicts: a replay may set it back.
            let told = super::lanes::cursor(&key, tx.get(&key).await?.as_ref());
            let page = tx.snapshot_get_range(range).await?;
            // They lie in the order of their commits, whose times differ from that by clocks' differences. What cannot be
            // read goes with those around it.
            let is_over = |row: &&Row| {
                let is_told = hook.record.paused_ms.is_some() || position_of(row).is_ok_and(|at| at <= told);
                is_told && HookedRecord::decode(&row.value).map_or(true, |record| record.at_ms < before)
            };
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

fn position_of(row: &Row) -> Result<Position, RecordError> {
    keys::hooked_of(&row.key).map(|(_, _, position)| position)
}

/// Clears what lies in a table under hooks that are none any more: an append may have known one for a second longer.
async fn forget_gone<E: Engine>(engine: &E, table: &RangeRequest, hooks: &[Hook]) -> Result<u64, LayerError> {
    let known: BTreeSet<u64> = hooks.iter().map(|hook| hook.id).collect();
    let (mut forgotten, mut range) = (0, table.clone().rows(1));
    loop {
        let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
        let Some(first) = page.rows.first() else { return Ok(forgotten) };
        let hook = keys::hook_of_row(&first.key)?;
        if !known.contains(&hook) && !is_there(engine, hook).await? {
            forgotten += clear_rows(engine, hook).await?;
        }
        range.begin = prefix_end(&first.key[..9]);
    }
}

/// Whether no secret of an application counts any more. One that cannot be read is none of those.
async fn is_revoked<E: Engine>(engine: &E, app: u64) -> Result<bool, LayerError> {
    let key = keys::app(app);
    let row = read!(engine, Begin::Fresh, |tx| Ok(tx.get(&key).await?))?;
    let record = row.map(|row| unreadable::skip(&key, AppRecord::decode(&row)));
    Ok(record.is_none_or(|record| record.is_some_and(|record| record.secrets.is_empty())))
}

/// One may have been made since they were listed.
async fn is_there<E: Engine>(engine: &E, hook: u64) -> Result<bool, LayerError> {
    let key = keys::hook(hook);
    read!(engine, Begin::Fresh, |tx| Ok(tx.get(&key).await?.is_some()))
}
