//! Backlog of a hook: how many events wait that it has not taken, and since when.
//!
//! Owns the count. Nothing keeps one beside the rows, since that would cost each append, and every append of a hook would quarrel over
//! it; so rows are counted where somebody wants to know, lane by lane of those that have a marker. A hook that keeps up has few of
//! those and few rows, and of one that does not no more rows are counted than `most`.

use schema::UnixMs;
use schema::record::HookedRecord;

use crate::{LayerError, keys, read, unreadable};
use kv::transaction::{Begin, Engine, RangeRequest, Row, Transaction, key_after};

/// Rows of one read.
const ROWS_AT_ONCE: u32 = 2_000;

/// What waits for a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Events that it has not taken; no more than were asked for are counted.
    pub events: u64,
    /// When the oldest happened of the lanes that were counted.
    pub oldest_ms: Option<UnixMs>,
}

/// Counts what waits for a hook, up to `most`. Of several moments: an event that comes meanwhile may be counted or not.
///
/// # Errors
/// The store's.
pub async fn backlog<E: Engine>(engine: &E, hook: u64, most: u64) -> Result<Backlog, LayerError> {
    let mut found = Backlog::default();
    let mut lanes = keys::hooks_due_after(hook, None);
    loop {
        let limited = lanes.clone().rows(ROWS_AT_ONCE);
        let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&limited).await?))?;
        for partition in unreadable::readable(&page.rows, |row: &Row| Ok(keys::hook_due_of(&row.key)?.1)) {
            count_lane(engine, (hook, partition), most, &mut found).await?;
            if found.events >= most {
                found.events = most;
                return Ok(found);
            }
        }
        match RangeRequest::after(limited, &page) {
            Some(next) => lanes = next,
            None => return Ok(found),
        }
    }
}

async fn count_lane<E: Engine>(
    engine: &E,
    (hook, partition): (u64, u16),
    most: u64,
    found: &mut Backlog,
) -> Result<(), LayerError> {
    let key = keys::hook_cursor(hook, partition);
    let row = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get(&key).await?))?;
    let mut range = keys::hooked_after(hook, partition, super::lanes::cursor(&key, row.as_ref()));
    let mut is_first = true;
    while found.events < most {
        let limited = range.clone().rows(ROWS_AT_ONCE);
        let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&limited).await?))?;
        if std::mem::take(&mut is_first) {
            let first = page.rows.iter().find_map(|row| unreadable::skip(&row.key, HookedRecord::decode(&row.value)));
            found.oldest_ms = found.oldest_ms.into_iter().chain(first.map(|first| first.at_ms)).min();
        }
        found.events += page.rows.len() as u64;
        match page.rows.last().filter(|_| page.more) {
            Some(last) => range.begin = key_after(&last.key),
            None => break,
        }
    }
    Ok(())
}
