//! Backlogs of webhooks, which are bounded by count: one for which too much waits, and does not become less, is paused.
//!
//! Owns when that is looked at, and by whom: once a minute, by the owner of the first partition. Nothing is counted where events are
//! written; `chat::hooks::backlog` counts rows, of those hooks alone that are behind, and no more than [`COUNTED_MAX`]. One
//! that was resumed, or is told again what it was told, may have more than the bound and is not paused as long as it works that off.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chat::LayerError;
use chat::hooks::{self, Backlog, Hook};
use kv::Engine;
use schema::UnixMs;
use schema::limits::{HOOK_BACKLOG_MAX, HOOK_CALLS_MAX};

use super::Shared;

/// Pause between two looks.
const EVERY: Duration = Duration::from_secs(60);
/// Events that are counted of one hook.
const COUNTED_MAX: u64 = 2 * HOOK_BACKLOG_MAX;
/// Looks in a row at which too much waits, and none fewer than at the one before, until a hook is paused.
const TIMES: u32 = 10;

/// What the last looks at a hook found.
#[derive(Debug, Default)]
struct Growth {
    events: u64,
    /// Looks in a row.
    times: u32,
}

impl Growth {
    /// Notes one more look. Whether the hook is to be paused. Where more waits than is counted, what it took since says whether it
    /// becomes less.
    fn note(&mut self, events: u64, took: bool) -> bool {
        let shrinks = if events >= COUNTED_MAX { took } else { events < self.events };
        self.times = if events < HOOK_BACKLOG_MAX || shrinks { 0 } else { self.times + 1 };
        self.events = events;
        self.times >= TIMES
    }
}

/// Looks at backlogs, for as long as the workers run.
pub(super) async fn bound<E: Engine>(shared: Arc<Shared<E>>) {
    let mut growths: HashMap<u64, Growth> = HashMap::new();
    while !shared.is_stopping() {
        if let Err(error) = look(&shared, &mut growths).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "how much waits for webhooks could not be counted, trying again");
        }
        shared.rest(EVERY).await;
    }
}

async fn look<E: Engine>(shared: &Shared<E>, growths: &mut HashMap<u64, Growth>) -> Result<(), LayerError> {
    let Some(worker) = shared.mine().filter(|worker| worker.has_partition(0)) else {
        growths.clear();
        return Ok(());
    };
    let engine = &shared.parts.engine;
    let hooks: Vec<Hook> =
        hooks::list(engine).await?.into_iter().filter(|hook| hook.record.paused_ms.is_none()).collect();
    growths.retain(|id, _| hooks.iter().any(|hook| hook.id == *id));
    for hook in hooks {
        let Backlog { events, oldest_ms } = hooks::backlog(engine, hook.id, COUNTED_MAX).await?;
        let now = shared.now();
        let took = events >= COUNTED_MAX && has_taken(shared, hook.id, now).await?;
        if growths.entry(hook.id).or_default().note(events, took) {
            let why = format!(
                "{events} events waited for it, which is more than {HOOK_BACKLOG_MAX}, and they became no fewer"
            );
            hooks::pause(engine, &worker, hook.id, oldest_ms.unwrap_or(now), now, &why).await?;
            tracing::warn!(hook = hook.id, why, "a webhook is paused until its application resumes it");
        }
        if shared.is_stopping() {
            break;
        }
    }
    Ok(())
}

/// Whether a hook has taken a call since about the last look.
async fn has_taken<E: Engine>(shared: &Shared<E>, hook: u64, now: UnixMs) -> Result<bool, LayerError> {
    let calls = hooks::logged(&shared.parts.engine, hook, now, HOOK_CALLS_MAX.into()).await?;
    let since_ms = 2 * u64::try_from(EVERY.as_millis()).unwrap_or(u64::MAX);
    Ok(calls.iter().any(|call| (200..300).contains(&call.status) && now.since_ms(call.at_ms) <= since_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks, in thousands of events, `+` behind those at which it took something; the number of the look at which it is paused.
    fn check(looks: &str, expected: Option<usize>) {
        let mut growth = Growth::default();
        let paused = looks.split_whitespace().position(|look| {
            let events: u64 = look.trim_end_matches('+').parse().expect("thousands");
            growth.note((events * 1_000).min(COUNTED_MAX), look.ends_with('+'))
        });
        assert_eq!(paused.map(|at| at + 1), expected, "{looks}");
    }

    #[test]
    fn a_hook_is_paused_for_which_too_much_waits_for_ten_minutes_and_becomes_no_less() {
        check(&"1000 ".repeat(12), Some(10));
        check(&"999 ".repeat(20), None);
        check("999 1000 1001 1002 1003 1004 1005 1006 1007 1008 1009", Some(11));
        check("1000 1100 1200 1300 1400 1500 1600 1700 1800 1700 1800 1900 2000 2100 2200 2300 2400", None);
        // One that works off what it has to.
        check("1900 1800 1700 1600 1500 1400 1300 1200 1100 1090 1080 1070 1060 1050", None);
        // More than is counted: one that takes nothing, and one that is told three days again.
        check(&"9000 ".repeat(12), Some(10));
        check(&"9000+ ".repeat(30), None);
        check(&format!("{} 9000+ {}", "9000 ".repeat(9), "9000 ".repeat(9)), None);
    }
}
