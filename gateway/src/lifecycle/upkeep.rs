//! Upkeep of the store by the clock, beside serving: what earlier lives left unserved becomes push items, and what
//! nobody may ask for any more is forgotten: first replies beyond their 33 days, keys of creations beyond their day,
//! push items beyond theirs. The clock itself is looked at each minute, so that one that has leapt forgets nothing.
//!
//! Owns when it is done. What may be forgotten is `chat::dedup` and `chat::push`, which clock counts `chat::clock`.

use std::time::{Duration, Instant};

use chat::clock::{self, CONFIRMED_AFTER_MS, Observed};
use chat::push::Adopted;
use chat::{dedup, push};
use kv::Engine;
use schema::Epoch;

use crate::runtime::{self, Job, StorePool};

/// Rows live for a day at least, so an hour more is nothing.
const EVERY: Duration = Duration::from_secs(3_600);
/// How often the clock is looked at.
const CLOCK_EVERY: Duration = Duration::from_secs(60);
/// How often a clock that has leapt is spoken of.
const LEAPT_SAID_EVERY: Duration = Duration::from_secs(3_600);
/// When what could not be adopted is tried again.
const ADOPT_AGAIN: Duration = Duration::from_secs(10);

pub(super) struct Upkeep<S> {
    engine: S,
    /// The epoch whose predecessors left something, until it is adopted, and when that is tried next.
    ///
    /// Beside serving and not before: nobody waits for it, since sessions start from their inboxes and an item is due
    /// half a minute after its message, so a life that left much behind delays no start.
    adopt: Option<(Epoch, Instant)>,
    /// Whether all was adopted.
    adopting: Job<bool>,
    forget_at: Instant,
    forgetting: Job<()>,
    /// When the clock was looked at, and when a leap of it is spoken of again.
    looked_at: Option<Instant>,
    leapt_said: Option<Instant>,
    looking: Job<Option<Observed>>,
}

impl<S: Engine> Upkeep<S> {
    /// For a node that began `epoch`.
    pub(super) fn new(engine: S, epoch: Epoch) -> Self {
        let now = Instant::now();
        Self {
            engine,
            adopt: Some((epoch, now)),
            adopting: Job::default(),
            forget_at: now,
            forgetting: Job::default(),
            looked_at: None,
            leapt_said: None,
            looking: Job::default(),
        }
    }

    /// Begins what is due, unless it is under way. Takes as many transactions as there are thousands of rows, and as
    /// long as the store does.
    pub(super) fn run_if_due(&mut self, pool: &StorePool) {
        let now = Instant::now();
        self.look_at_clock(now, pool);
        match self.adopting.take() {
            Some(true) => self.adopt = None,
            Some(false) => self.adopt = self.adopt.map(|(epoch, _)| (epoch, now + ADOPT_AGAIN)),
            None => {}
        }
        if let Some((epoch, at)) = self.adopt
            && now >= at
            && !self.adopting.runs()
        {
            self.adopting.start(pool, adopted(self.engine.clone(), epoch));
        }
        let _done = self.forgetting.take();
        if now >= self.forget_at && !self.forgetting.runs() {
            self.forget_at = now + EVERY;
            self.forgetting.start(pool, forget(self.engine.clone()));
        }
    }

    fn look_at_clock(&mut self, now: Instant, pool: &StorePool) {
        if let Some(Some(observed)) = self.looking.take() {
            self.tell(now, observed);
        }
        let ran = self.looked_at.map_or(Duration::ZERO, |at| now - at);
        if !self.looking.runs() && (self.looked_at.is_none() || ran >= CLOCK_EVERY) {
            self.looked_at = Some(now);
            self.looking.start(pool, look(self.engine.clone(), ran));
        }
    }

    fn tell(&mut self, now: Instant, observed: Observed) {
        match observed {
            Observed::Believed => {
                if self.leapt_said.take().is_some() {
                    tracing::info!("the clock is believed again");
                }
            }
            Observed::Leapt { ahead_ms, doubted_ms } => {
                if self.leapt_said.is_none_or(|said| now - said >= LEAPT_SAID_EVERY) {
                    self.leapt_said = Some(now);
                    tracing::warn!(
                        ahead_s = ahead_ms / 1000,
                        believed_in_s = CONFIRMED_AFTER_MS.saturating_sub(doubted_ms) / 1000,
                        "the clock is ahead of the newest time in the store: nothing is forgotten by it until it is believed; \
                         if it is wrong, set it right"
                    );
                }
            }
        }
    }
}

async fn look<S: Engine>(engine: S, ran: Duration) -> Option<Observed> {
    let ran_ms = u64::try_from(ran.as_millis()).unwrap_or(u64::MAX);
    clock::observe(&engine, runtime::wall(), ran_ms)
        .await
        .inspect_err(
            |error| tracing::warn!(%error, "the clock's row cannot be read or written, upkeep goes by the old one"),
        )
        .ok()
}

async fn forget<S: Engine>(engine: S) {
    match dedup::clear(&engine, runtime::wall()).await {
        Ok(0) => {}
        Ok(rows) => tracing::info!(rows, "forgot first replies that nobody may ask for any more"),
        Err(error) => tracing::warn!(%error, "could not forget old first replies, trying again in an hour"),
    }
    match push::sweep(&engine, runtime::wall()).await {
        Ok(0) => {}
        Ok(items) => tracing::info!(items, "forgot push items that nobody fetched for a day"),
        Err(error) => tracing::warn!(%error, "could not forget old push items, trying again in an hour"),
    }
}

/// Whether nothing is left of earlier epochs.
async fn adopted<S: Engine>(engine: S, epoch: Epoch) -> bool {
    match push::adopt(&engine, epoch, runtime::wall()).await {
        Ok(Adopted { arrivals: 0, .. }) => true,
        Ok(Adopted { arrivals, items }) => {
            tracing::info!(arrivals, items, "made push items of what an earlier life left unserved");
            true
        }
        Err(error) => {
            tracing::warn!(%error, "could not make push items of what an earlier life left unserved, trying again");
            false
        }
    }
}
