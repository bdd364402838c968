//! Making, ending, pausing and resuming hooks.

use schema::limits::{HOOKS_BEFORE_MAX, HOOKS_MAX, HOOKS_OF_APP_MAX};
use schema::record::{HookRecord, HookedBody, HookedRecord, RecordError};
use schema::{ErrorCode, Refusal, UnixMs};

use super::known;
use crate::notices::Worker;
use crate::{LayerError, commit, dedup, keys, read, unreadable};
use kv::transaction::{Begin, Engine, Row, Transaction};

/// A hook and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its id.
    pub id: u64,
    /// What is stored.
    pub record: HookRecord,
}

fn hook_of(row: &Row) -> Result<Hook, RecordError> {
    Ok(Hook { id: keys::hook_of(&row.key)?, record: HookRecord::decode(&row.value)? })
}

/// Makes a hook. `None` if the id is taken: draw another.
///
/// # Errors
/// 106 with `HOOKS_OF_APP_MAX` hooks of its application, or `HOOKS_MAX` of all, or `HOOKS_BEFORE_MAX` that are asked before; the
/// store's, and damage.
pub async fn create<E: Engine>(engine: &E, id: u64, record: &HookRecord) -> Result<Option<Hook>, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let key = keys::hook(id);
        if let Some(row) = tx.get(&key).await? {
            let is_ours = attempt.maybe_committed && row == record.encode();
            return Ok(is_ours.then(|| Hook { id, record: record.clone() }));
        }
        // Read for conflicts: hooks are made seldom, and each costs every append.
        let page = tx.get_range(&keys::hooks().rows(HOOKS_MAX)).await?;
        let hooks = unreadable::readable(&page.rows, hook_of);
        let own = hooks.iter().filter(|hook| hook.record.app == record.app).count();
        if own >= HOOKS_OF_APP_MAX {
            let text = format!("the application has {HOOKS_OF_APP_MAX} hooks, which is the limit");
            return Err(Refusal::new(ErrorCode::LimitExceeded, text).into());
        }
        if page.rows.len() >= HOOKS_MAX as usize {
            let text = format!("there are {HOOKS_MAX} hooks, which is the limit of all applications together");
            return Err(Refusal::new(ErrorCode::LimitExceeded, text).into());
        }
        let asked = hooks.iter().filter(|hook| hook.record.before != 0).count();
        if record.before != 0 && asked >= HOOKS_BEFORE_MAX {
            let text = format!(
                "there are {HOOKS_BEFORE_MAX} hooks that are asked before, which is the limit of all applications"
            );
            return Err(Refusal::new(ErrorCode::LimitExceeded, text).into());
        }
        tx.set(&key, &record.encode());
        Ok(Some(Hook { id, record: record.clone() }))
    })
}

/// Every hook that can be read, by id.
///
/// # Errors
/// The store's.
pub async fn list<E: Engine>(engine: &E) -> Result<Vec<Hook>, LayerError> {
    let range = keys::hooks().rows(HOOKS_MAX);
    let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
    Ok(unreadable::readable(&page.rows, hook_of))
}

/// A hook, whosever it is.
///
/// # Errors
/// The store's, and damage.
pub async fn get<E: Engine>(engine: &E, id: u64) -> Result<Option<Hook>, LayerError> {
    let key = keys::hook(id);
    let row = read!(engine, Begin::Fresh, |tx| Ok(tx.get(&key).await?))?;
    let record = unreadable::refuse_some(&key, row.as_ref(), HookRecord::decode)?;
    Ok(record.map(|record| Hook { id, record }))
}

/// A hook, if it is this application's.
///
/// # Errors
/// The store's, and damage.
pub async fn of_app<E: Engine>(engine: &E, app: u64, id: u64) -> Result<Option<Hook>, LayerError> {
    Ok(get(engine, id).await?.filter(|hook| hook.record.app == app))
}

/// Ends an application's hook, and forgets all that it was to be told and was told. Whether there was one.
///
/// # Errors
/// The store's, and damage. Then it is ended or not; what is left of one that is, upkeep clears.
pub async fn remove<E: Engine>(engine: &E, app: u64, id: u64) -> Result<bool, LayerError> {
    let was_there = commit!(engine, Begin::Fresh, |tx, attempt| {
        let key = keys::hook(id);
        let row = tx.get(&key).await?;
        let Some(record) = unreadable::refuse_some(&key, row.as_ref(), HookRecord::decode)? else {
            return Ok(attempt.maybe_committed);
        };
        if record.app == app {
            tx.clear(&key);
        }
        Ok(record.app == app)
    })?;
    if was_there {
        clear_rows(engine, id).await?;
    }
    Ok(was_there)
}

/// Ends every hook of an application. How many there were.
///
/// # Errors
/// As [`remove`]'s. Then some are ended; asking again is safe.
pub async fn remove_all<E: Engine>(engine: &E, app: u64) -> Result<u64, LayerError> {
    let mut removed = 0;
    for hook in list(engine).await?.iter().filter(|hook| hook.record.app == app) {
        removed += u64::from(remove(engine, app, hook.id).await?);
    }
    Ok(removed)
}

/// Clears what lies under a hook that is none any more. Returns how many rows went.
pub(super) async fn clear_rows<E: Engine>(engine: &E, id: u64) -> Result<u64, LayerError> {
    let mut cleared = 0;
    for range in keys::hook_rows(id) {
        cleared += dedup::clear_range(engine, &range).await?;
    }
    Ok(cleared)
}

/// Pauses a hook that takes nothing: nothing more is written for it, and nothing told. `waits_ms` is when the oldest came
/// that it has not taken. Nothing, if it is paused or gone.
///
/// # Errors
/// The store's, and damage; 113 once the worker's view has ended.
pub async fn pause<E: Engine>(
    engine: &E,
    worker: &Worker,
    id: u64,
    waits_ms: UnixMs,
    now: UnixMs,
    why: &str,
) -> Result<(), LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        worker.prove(&tx).await?;
        put_pause(&mut tx, id, waits_ms, now, why).await
    })
}

/// Pauses a hook because an operator wants that. The hook as it is then; `None` if there is no such one.
///
/// # Errors
/// The store's, and damage.
pub async fn pause_by_operator<E: Engine>(engine: &E, id: u64, now: UnixMs) -> Result<Option<Hook>, LayerError> {
    let waits_ms = super::backlog(engine, id, 1).await?.oldest_ms.unwrap_or(now);
    commit!(engine, Begin::Fresh, |tx, _| {
        put_pause(&mut tx, id, waits_ms, now, "an operator has paused it").await?;
        let key = keys::hook(id);
        let row = tx.get(&key).await?;
        let record = unreadable::refuse_some(&key, row.as_ref(), HookRecord::decode)?;
        Ok(record.map(|record| Hook { id, record }))
    })
}

/// The same of one that nobody has told anything for so long, by whoever finds that.
pub(super) async fn pause_untold<E: Engine>(
    engine: &E,
    id: u64,
    waits_ms: UnixMs,
    now: UnixMs,
) -> Result<(), LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| put_pause(&mut tx, id, waits_ms, now, "no node told it for days").await)
}

async fn put_pause<T: Transaction>(
    tx: &mut T,
    id: u64,
    waits_ms: UnixMs,
    now: UnixMs,
    why: &str,
) -> Result<(), LayerError> {
    let key = keys::hook(id);
    let row = tx.get(&key).await?;
    let record = unreadable::refuse_some(&key, row.as_ref(), HookRecord::decode)?;
    if let Some(record) = record.filter(|record| record.paused_ms.is_none()) {
        let (paused_ms, waits_ms) = (Some(now), Some(waits_ms));
        tx.set(&key, &HookRecord { paused_ms, waits_ms, why: why.to_owned(), ..record }.encode());
    }
    Ok(())
}

/// Has an application's paused hook told again: what is still there of before, from now on all, and a `hook.gap` that says
/// between which times something may be missing. The hook as it is then; `None` if there is no such one.
///
/// # Errors
/// The store's, and damage.
pub async fn resume<E: Engine>(engine: &E, app: u64, id: u64, now: UnixMs) -> Result<Option<Hook>, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::hook(id);
        let row = tx.get(&key).await?;
        let record = unreadable::refuse_some(&key, row.as_ref(), HookRecord::decode)?;
        let Some(record) = record.filter(|record| record.app == app) else { return Ok(None) };
        let Some(paused_ms) = record.paused_ms else { return Ok(Some(Hook { id, record })) };
        let from_ms = record.waits_ms.unwrap_or(paused_ms);
        let record = HookRecord { paused_ms: None, waits_ms: None, why: String::new(), ..record };
        tx.set(&key, &record.encode());
        let gap = HookedRecord { at_ms: now, body: HookedBody::Gap { from_ms, to_ms: now } };
        // Of no channel: it is told by the first lane.
        known::put(&mut tx, (id, 0), 0, &gap.encode());
        known::mark(&mut tx, (id, 0));
        Ok(Some(Hook { id, record }))
    })
}
