//! Upkeep of the store by the clock, beside serving: what earlier lives left unserved becomes push items, and what
//! nobody may ask for any more is forgotten: first replies beyond their 33 days, keys of creations beyond their day,
//! push items beyond theirs.
//!
//! Owns when it is done. What may be forgotten is `chat::dedup` and `chat::push`.

use std::time::{Duration, Instant};

use chat::push::Adopted;
use chat::{dedup, push};
use kv::Engine;
use schema::Epoch;

use crate::runtime::{self, Job, StorePool};

/// Rows live for a day at least, so an hour more is nothing.
const EVERY: Duration = Duration::from_secs(3_600);
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
}

impl<S: Engine> Upkeep<S> {
    /// For a node that began `epoch`.
    pub(super) fn new(engine: S, epoch: Epoch) -> Self {
        let now = Instant::now();
        Self { engine, adopt: Some((epoch, now)), adopting: Job::default(), forget_at: now, forgetting: Job::default() }
    }

    /// Begins what is due, unless it is under way. Takes as many transactions as there are thousands of rows, and as
    /// long as the store does.
    pub(super) fn run_if_due(&mut self, pool: &StorePool) {
        let now = Instant::now();
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
