//! Telling a hook again what it was told.

use schema::record::{HookRecord, HookedRecord, RecordError};
use schema::{Position, UnixMs};

use super::known;
use crate::{LayerError, commit, keys, packed, read, unreadable};
use kv::transaction::{Begin, Engine, Row, Transaction, key_after};

/// Rows that are looked at at once.
const ROWS_AT_ONCE: u32 = 1_000;

/// Sets every lane of a hook back to what happened at `from_ms` or later, as far as it is kept; one that is not there yet
/// stays. Returns how many lanes were set back.
///
/// # Errors
/// The store's. Then some lanes were; asking again is safe.
pub async fn replay<E: Engine>(engine: &E, hook: u64, from_ms: UnixMs) -> Result<u32, LayerError> {
    let mut lanes = 0;
    // A lane's rows lie together: what is behind the last of one is the first of the next.
    let mut range = keys::hooked_of_hook(hook);
    // The lane that is looked at, and its last row from before that time.
    let mut at: Option<(u16, Position)> = None;
    loop {
        let limited = range.clone().rows(ROWS_AT_ONCE);
        let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&limited).await?))?;
        let mut found = None;
        for row in &page.rows {
            let Some((partition, position, at_ms)) = unreadable::skip(&row.key, place_of(row)) else { continue };
            let before = at.filter(|&(lane, _)| lane == partition).map_or(Position::START, |(_, before)| before);
            if at_ms >= from_ms {
                found = Some((partition, before));
                break;
            }
            at = Some((partition, position));
        }
        if let Some((partition, before)) = found {
            lanes += u32::from(set_back(engine, hook, partition, before).await?);
            range = keys::hooked_from(hook, partition + 1);
            at = None;
        } else if let Some(last) = page.rows.last().filter(|_| page.more) {
            range.begin = key_after(&last.key);
        } else {
            return Ok(lanes);
        }
    }
}

fn place_of(row: &Row) -> Result<(u16, Position, UnixMs), RecordError> {
    let (_, partition, position) = keys::hooked_of(&row.key)?;
    Ok((partition, position, HookedRecord::decode(&row.value)?.at_ms))
}

/// Sets a lane back to behind `before`, unless it is not as far. Whether it was.
async fn set_back<E: Engine>(engine: &E, hook: u64, partition: u16, before: Position) -> Result<bool, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let (key, hook_key) = (keys::hook_cursor(hook, partition), keys::hook(hook));
        let (row, hook_row) = (tx.get(&key).await?, tx.get(&hook_key).await?);
        let is_there = unreadable::refuse_some(&hook_key, hook_row.as_ref(), HookRecord::decode)?.is_some();
        if !is_there || super::lanes::cursor(&key, row.as_ref()) <= before {
            return Ok(false);
        }
        tx.set(&key, &packed::row(before));
        known::mark(&mut tx, (hook, partition));
        Ok(true)
    })
}
