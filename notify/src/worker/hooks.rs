//! The worker that calls webhooks with what happens in chat: in the order of each lane, until it is taken.
//!
//! Owns when each is called. A lane is a hook and a partition, and is told by the owner of the partition, one call at a
//! time; where it is goes on only under the fence, after an answer of success: each event is told at least once. A lane
//! whose call is not taken pauses, and so does its hook, twice as long each time; a hook that has refused several in a row
//! is asked by one lane at a time, until one is taken.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use chat::LayerError;
use chat::hooks::{self, Hook, LanePage};
use chat::notices::{Worker, events};
use kv::Engine;
use schema::limits::{HOOK_DAYS, NOTICE_WORDS_BYTES_MAX};
use schema::record::HookCallRecord;
use schema::{ChannelId, UnixMs};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Shared;
use super::pause::Pause;
use crate::hook_body;

/// Pause between two looks for something to tell, where there are hooks. A look is a read for each.
const EVERY: Duration = Duration::from_millis(250);
/// Pause between two reads of the hooks: one that was made is called from then on.
const HOOKS_EVERY: Duration = Duration::from_secs(1);
/// Lanes of one hook that are told at once, and of all together.
const LANES_OF_HOOK: usize = 16;
const LANES: usize = 64;
/// Calls of one lane that follow each other at once, before others have their turn.
const CALLS_MAX: usize = 20;
/// Calls of a hook that are refused in a row before only one lane at a time is told.
const DOWN_TIMES: u32 = 3;
/// Calls that a lane has refused in a row before its hook may be paused for what waits too long: some eight minutes.
const GIVEN_UP_TIMES: u32 = 10;

/// What came of telling a lane.
struct Ended {
    hook: u64,
    partition: u16,
    came: Came,
}

/// What its last call came to.
enum Came {
    /// There was none: the lane rests, or the store did not answer. It says nothing of the server that is called.
    Nothing,
    Taken,
    Refused(Refused),
}

/// A call that was not taken.
struct Refused {
    /// When the oldest came that waits.
    waits: UnixMs,
    why: String,
    retry_after: Option<Duration>,
}

impl Refused {
    /// How long that leads to, after one before.
    fn pause(&self, before: Option<&Pause>) -> Pause {
        Pause::after(before, self.waits, self.retry_after)
    }
}

/// What is known of one hook.
#[derive(Default)]
struct Calling {
    paused: Option<Pause>,
    lanes: HashMap<u16, Pause>,
    /// Lanes that are being told.
    busy: BTreeSet<u16>,
    /// The lane that was begun last: others have their turn first.
    last: Option<u16>,
}

impl Calling {
    /// How many more lanes may be begun.
    fn room(&self) -> usize {
        let most = match &self.paused {
            Some(pause) if !pause.is_over() => 0,
            Some(pause) if pause.times >= DOWN_TIMES => 1,
            Some(_) | None => LANES_OF_HOOK,
        };
        most.saturating_sub(self.busy.len())
    }

    fn is_free(&self, partition: u16) -> bool {
        !self.busy.contains(&partition) && self.lanes.get(&partition).is_none_or(Pause::is_over)
    }

    /// Notes what came of a lane. Whether the hook is to be paused for good: what waits is `HOOK_DAYS` old, and was refused
    /// often.
    fn note(&mut self, hook: u64, partition: u16, came: &Came, now: UnixMs) -> bool {
        self.busy.remove(&partition);
        let refused = match came {
            Came::Nothing => return false,
            Came::Taken => {
                self.lanes.remove(&partition);
                if self.paused.take().is_some_and(|pause| pause.times >= DOWN_TIMES) {
                    // It was the hook that was down, not they.
                    self.lanes.clear();
                    tracing::info!(hook, "a webhook takes its events again");
                }
                return false;
            }
            Came::Refused(refused) => refused,
        };
        let whole = refused.pause(self.paused.as_ref());
        if whole.times == 1 {
            tracing::warn!(hook, why = refused.why, "a webhook does not take its events, trying again");
        }
        self.paused = Some(whole);
        let lane = refused.pause(self.lanes.get(&partition));
        let is_given_up = lane.times >= GIVEN_UP_TIMES && now.since_ms(lane.waits) >= HOOK_DAYS * 24 * 3_600_000;
        self.lanes.insert(partition, lane);
        is_given_up
    }

    /// When the oldest came that was refused.
    fn waits(&self) -> Option<UnixMs> {
        self.lanes.values().map(|lane| lane.waits).min()
    }
}

/// Calls webhooks, for as long as the workers run.
pub(super) async fn call<E: Engine>(shared: Arc<Shared<E>>) {
    if shared.parts.providers.caller().is_none() {
        return;
    }
    let (mut hooks, mut read_at): (Vec<Hook>, _) = (Vec::new(), Instant::now());
    let mut callings: HashMap<u64, Calling> = HashMap::new();
    let mut calls = JoinSet::new();
    // Numbers of calls, under which they are logged. Another life begins elsewhere, so as not to write over its last.
    let slots = Arc::new(AtomicU16::new(fastrand::u16(..)));
    while !shared.is_stopping() {
        if Instant::now() >= read_at {
            read_at = Instant::now() + HOOKS_EVERY;
            match hooks::list(&shared.parts.engine).await {
                Ok(all) => hooks = all.into_iter().filter(|hook| hook.record.paused_ms.is_none()).collect(),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "webhooks could not be read, trying again");
                }
            }
            callings.retain(|id, calling| !calling.busy.is_empty() || hooks.iter().any(|hook| hook.id == *id));
        }
        let worker = shared.mine();
        for calling in callings.values_mut() {
            calling.lanes.retain(|&lane, _| worker.as_ref().is_some_and(|worker| worker.has_partition(lane)));
        }
        let now = shared.now();
        let waits = callings.values().filter_map(Calling::waits).map(|waits| now.since_ms(waits));
        shared.parts.counts.hooks_wait(waits.max().unwrap_or_default());
        if let Some(worker) = &worker {
            for hook in &hooks {
                let busy: usize = callings.values().map(|calling| calling.busy.len()).sum();
                let calling = callings.entry(hook.id).or_default();
                let room = calling.room().min(LANES - busy.min(LANES));
                if room == 0 {
                    continue;
                }
                let due = hooks::due(&shared.parts.engine, worker, hook.id, calling.last, room, |partition| {
                    calling.is_free(partition)
                });
                let due = match due.await {
                    Ok(due) => due,
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "what webhooks are to be told could not be read, trying again");
                        break;
                    }
                };
                for partition in due {
                    calling.busy.insert(partition);
                    calling.last = Some(partition);
                    let (shared, slots) = (Arc::clone(&shared), Arc::clone(&slots));
                    calls.spawn(call_lane(shared, worker.clone(), hook.clone(), partition, slots));
                }
            }
        }
        let look = sleep(if hooks.is_empty() { HOOKS_EVERY } else { EVERY });
        tokio::pin!(look);
        loop {
            tokio::select! {
                () = shared.stopped() => return,
                () = look.as_mut() => break,
                Some(ended) = calls.join_next() => match ended {
                    Ok(ended) => note(&shared, &mut callings, worker.as_ref(), ended).await,
                    Err(error) => {
                        tracing::error!(%error, "telling a webhook broke off");
                        // Which one is not known: all have their next turn.
                        calls.abort_all();
                        callings.values_mut().for_each(|calling| calling.busy.clear());
                    }
                },
            }
        }
    }
}

/// Notes what came of a lane, and pauses a hook for good that takes nothing.
async fn note<E: Engine>(
    shared: &Shared<E>,
    callings: &mut HashMap<u64, Calling>,
    worker: Option<&Worker>,
    Ended { hook, partition, came }: Ended,
) {
    let now = shared.now();
    let is_given_up = callings.entry(hook).or_default().note(hook, partition, &came, now);
    let (Came::Refused(Refused { waits, why, .. }), Some(worker), true) = (came, worker, is_given_up) else { return };
    let why = format!("it did not take what it was told for {HOOK_DAYS} days: {why}");
    match hooks::pause(&shared.parts.engine, worker, hook, waits, now, &why).await {
        Ok(()) => tracing::warn!(hook, why, "a webhook is paused until its application resumes it"),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(hook, error, "a webhook could not be paused, trying again");
        }
    }
}

/// Tells a lane what there is to tell.
async fn call_lane<E: Engine>(
    shared: Arc<Shared<E>>,
    worker: Worker,
    hook: Hook,
    partition: u16,
    slots: Arc<AtomicU16>,
) -> Ended {
    let mut came = Came::Nothing;
    for _ in 0..CALLS_MAX {
        match call_once(&shared, &worker, &hook, partition, &slots).await {
            Ok(Next::More) => {}
            Ok(Next::Taken) => came = Came::Taken,
            Ok(Next::Nothing) => break,
            Ok(Next::NotTaken(why)) => {
                came = Came::Refused(why);
                break;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(hook = hook.id, partition, error, "events could not be told, trying again");
                break;
            }
        }
    }
    Ended { hook: hook.id, partition, came }
}

enum Next {
    /// Nobody was called, and there may be more.
    More,
    /// A call was taken, and there may be more.
    Taken,
    Nothing,
    NotTaken(Refused),
}

async fn call_once<E: Engine>(
    shared: &Shared<E>,
    worker: &Worker,
    hook: &Hook,
    partition: u16,
    slots: &AtomicU16,
) -> Result<Next, LayerError> {
    let engine = &shared.parts.engine;
    let page = hooks::page(engine, hook.id, partition).await?;
    let LanePage { from, told, through, more: _ } = &page;
    if from == through {
        let rests = hooks::rest(engine, worker, hook.id, partition).await?;
        return Ok(if rests { Next::Nothing } else { Next::More });
    }
    let mut call = HookCallRecord {
        at_ms: shared.now(),
        partition,
        events: u16::try_from(told.len()).expect("a page has some hundred"),
        status: 0,
        took_ms: 0,
        channel: told.iter().find_map(hooks::Told::channel).unwrap_or(ChannelId(0)),
        why: String::new(),
    };
    let slot = slots.fetch_add(1, Ordering::Relaxed);
    if let Some(first) = told.first() {
        let said = hook_body::call(told, |position| events::cursor(engine, position));
        let caller = shared.parts.providers.caller().expect("who has none calls nobody");
        let began = Instant::now();
        let answer = caller.call_hook(&hook.record.url, &hook.record.secret, &said.id, said.body, call.at_ms).await;
        call.status = answer.status;
        call.took_ms = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
        if let Some(why) = answer.why {
            shared.parts.counts.hook_called(0);
            call.why = cut(&why);
            if let Err(error) = hooks::log(engine, hook.id, slot, &call).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(hook = hook.id, error, "a call of a webhook could not be logged");
            }
            let retry_after = answer.retry_after_ms.map(Duration::from_millis);
            return Ok(Next::NotTaken(Refused { waits: first.at_ms, why, retry_after }));
        }
    }
    let lane = (hook.id, partition);
    if hooks::note_told(engine, worker, lane, (*from, *through), (slot, &call)).await? && !told.is_empty() {
        shared.parts.counts.hook_called(told.len() as u64);
    }
    Ok(if told.is_empty() { Next::More } else { Next::Taken })
}

/// As much of a text as a log's row holds.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(NOTICE_WORDS_BYTES_MAX as usize)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAYS_MS: u64 = HOOK_DAYS * 24 * 3_600_000;

    fn refusal(waits: UnixMs) -> Refused {
        Refused { waits, why: "it answers 500".into(), retry_after: None }
    }

    fn refused(waits: UnixMs) -> Came {
        Came::Refused(refusal(waits))
    }

    #[test]
    fn a_hook_that_is_down_is_asked_by_one_lane_until_one_is_taken() {
        let mut calling = Calling::default();
        let now = UnixMs(DAYS_MS);
        let over = |calling: &mut Calling| {
            for pause in calling.paused.iter_mut().chain(calling.lanes.values_mut()) {
                pause.end();
            }
        };
        assert_eq!(calling.room(), LANES_OF_HOOK);
        for (partition, room) in [(1, LANES_OF_HOOK), (2, LANES_OF_HOOK), (3, 1), (4, 1)] {
            calling.busy.insert(partition);
            assert!(!calling.note(9, partition, &refused(now), now));
            assert_eq!((calling.room(), calling.is_free(partition)), (0, false), "{partition} pauses");
            over(&mut calling);
            assert_eq!((calling.room(), calling.is_free(partition)), (room, true), "{partition}");
        }
        calling.busy.insert(1);
        assert_eq!(calling.room(), 0);
        calling.note(9, 1, &Came::Nothing, now);
        assert_eq!((calling.room(), calling.lanes.len()), (1, 4), "a lane that rests says nothing of the hook");
        calling.note(9, 1, &Came::Taken, now);
        assert_eq!((calling.room(), calling.lanes.len()), (LANES_OF_HOOK, 0));
    }

    #[test]
    fn a_lane_that_alone_is_refused_pauses_while_others_go_on() {
        let (mut calling, now) = (Calling::default(), UnixMs(DAYS_MS));
        for times in 1..=9 {
            assert!(!calling.note(9, 1, &refused(UnixMs(0)), now));
            calling.note(9, 2, &Came::Taken, now);
            assert_eq!((calling.room(), calling.lanes[&1].times), (LANES_OF_HOOK, times));
        }
        assert!(calling.note(9, 1, &refused(UnixMs(0)), now), "it waits for days, and was refused ten times");
        assert_eq!(calling.waits(), Some(UnixMs(0)));
        assert!(!calling.note(9, 1, &refused(UnixMs(1)), now), "not so long");
    }
}
