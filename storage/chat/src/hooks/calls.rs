//! The log of a hook's calls: what came of each of the last.
//!
//! Limit: a node counts its own calls and writes over the row of its number, so of several nodes together the log shows about
//! the last `HOOK_CALLS_MAX`.

use schema::UnixMs;
use schema::limits::{HOOK_CALLS_MAX, HOOK_DAYS};
use schema::record::HookCallRecord;

use crate::{LayerError, commit, keys, read, unreadable};
use kv::transaction::{Begin, Engine, Row, Transaction};

/// Writes a call, in the place of an older one.
pub(super) fn put<T: Transaction>(tx: &mut T, hook: u64, slot: u16, call: &HookCallRecord) {
    tx.set(&keys::hook_call(hook, slot % HOOK_CALLS_MAX), &call.encode());
}

/// Logs a call by its number on this node.
///
/// # Errors
/// The store's.
pub async fn log<E: Engine>(engine: &E, hook: u64, slot: u16, call: &HookCallRecord) -> Result<(), LayerError> {
    commit!(engine, Begin::Cached, |tx, _| {
        put(&mut tx, hook, slot, call);
        Ok(())
    })
}

/// The last calls of a hook, the newest first, at most `limit`, none older than `HOOK_DAYS`.
///
/// # Errors
/// The store's.
pub async fn logged<E: Engine>(
    engine: &E,
    hook: u64,
    wall: UnixMs,
    limit: usize,
) -> Result<Vec<HookCallRecord>, LayerError> {
    let range = keys::hook_calls(hook).rows(HOOK_CALLS_MAX.into());
    let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
    let mut calls = unreadable::readable(&page.rows, |row: &Row| HookCallRecord::decode(&row.value));
    calls.retain(|call| wall.since_ms(call.at_ms) <= HOOK_DAYS * keys::DAY_MS);
    calls.sort_by_key(|call| std::cmp::Reverse((call.at_ms, call.partition)));
    calls.truncate(limit);
    Ok(calls)
}
