//! Whether a store that several processes may have open is at rest.
//!
//! Owns the waiting for a heartbeat. A node says each second that it lives, so one that says nothing in two and a half has
//! ended, or stands still.

use std::thread;
use std::time::{Duration, Instant};

use schema::limits::BEAT_MS;
use storage::layers::view::{self, Roll};

use crate::store::NodeStore;

/// How long a heartbeat is waited for.
const QUIET: Duration = Duration::from_millis(BEAT_MS * 5 / 2);
/// How often one is looked for.
const LOOK: Duration = Duration::from_millis(BEAT_MS / 4);

/// Waits until it is plain that no node serves this store.
///
/// # Errors
/// One does, and which; the store's.
pub(super) async fn must_rest<S: NodeStore>(store: &S) -> anyhow::Result<()> {
    if !S::SHARED {
        // It is open here, so nobody else has it.
        return Ok(());
    }
    let first = view::look(store).await?;
    let until = Instant::now() + QUIET;
    while !first.active.is_empty() && Instant::now() < until {
        thread::sleep(LOOK);
        let now = view::look(store).await?;
        if let Some((node, of)) = now.first_active().filter(|_| said_something(&first, &now)) {
            let name = of.record.as_ref().map_or_else(|| format!("{:x}", node.0), |record| record.name.clone());
            anyhow::bail!(
                "node {name} is active on this store (epoch {}); stop it, and those that stand by",
                now.epoch.0
            );
        }
    }
    Ok(())
}

/// Whether an active node's heartbeat has moved, or another is active by now.
fn said_something(first: &Roll, now: &Roll) -> bool {
    let beats = |roll: &Roll| -> Vec<_> { roll.active.iter().map(|node| roll.nodes[node].beat).collect() };
    first.epoch != now.epoch || beats(first) != beats(now)
}
