//! Upkeep of the store by the clock, beside serving: what lives that are over left unserved becomes push items, and what
//! nobody may ask for any more is forgotten: first replies beyond their 33 days, keys of creations beyond their day,
//! push items beyond theirs, what became of notifications beyond its month, rows of timelines beyond theirs. The clock itself is looked at each minute, so that one that has leapt forgets nothing.
//!
//! Owns when it is done, each time for what is this node's of it under the view as it stands ([`Share`]). What may be
//! forgotten is `chat::dedup`, `chat::push` and `chat::notices`, which clock counts `chat::clock`.

use std::future::Future;
use std::time::{Duration, Instant};

use chat::clock::{self, CONFIRMED_AFTER_MS, Observed};
use chat::push::Adopted;
use chat::share::Share;
use chat::timelines::{self, Limits, Trimmed};
use chat::{dedup, hooks, notices, push};
use kv::Engine;
use schema::{Incarnation, UserId};

use crate::runtime::{self, Job, StorePool};

/// Rows live for a day at least, so an hour more is nothing.
const EVERY: Duration = Duration::from_secs(3_600);
/// How often the clock is looked at.
const CLOCK_EVERY: Duration = Duration::from_secs(60);
/// How often a clock that has leapt is spoken of.
const LEAPT_SAID_EVERY: Duration = Duration::from_secs(3_600);
/// Period of the search for lives that are over: an item is due half a minute after its message.
const ADOPT_EVERY: Duration = Duration::from_secs(10);

pub(super) struct Upkeep<S> {
    engine: S,
    me: Incarnation,
    /// Beside serving and not before: nobody waits for it, since sessions start from their inboxes, so a life that left
    /// much behind delays no start.
    adopting: Chore<()>,
    /// Gives the user behind whose timeline the next look goes on.
    forgetting: Chore<Option<UserId>>,
    timelines_after: Option<UserId>,
    looking: Chore<Option<Observed>>,
    looked_at: Instant,
    /// When a leap of the clock was spoken of.
    leapt_said: Option<Instant>,
}

/// Something that is done again and again in the background, never twice at once.
struct Chore<T> {
    job: Job<T>,
    due: Option<Instant>,
}

impl<T: Send + 'static> Chore<T> {
    fn due(at: Instant) -> Self {
        Self { job: Job::default(), due: Some(at) }
    }

    /// Begins it if it is due. What came of it if it has ended, for whoever says when it is due again.
    fn round<F>(&mut self, now: Instant, pool: &StorePool, begin: impl FnOnce() -> F) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        if self.due.take_if(|due| now >= *due).is_some() {
            self.job.start(pool, begin());
        }
        self.job.take()
    }
}

impl<S: Engine> Upkeep<S> {
    /// For a node that has just begun to serve.
    pub(super) fn new(engine: S, me: Incarnation) -> Self {
        let now = Instant::now();
        Self {
            engine,
            me,
            adopting: Chore::due(now),
            forgetting: Chore::due(now),
            timelines_after: None,
            looking: Chore::due(now),
            looked_at: now,
            leapt_said: None,
        }
    }

    /// Begins what is due. Takes as many transactions as there are thousands of rows, and as long as the store does.
    pub(super) fn run_if_due(&mut self, pool: &StorePool) {
        let now = Instant::now();
        let (me, engine) = (self.me, || self.engine.clone());
        let ran = now - self.looked_at;
        let looked = self.looking.round(now, pool, || {
            self.looked_at = now;
            look(engine(), ran)
        });
        if let Some(()) = self.adopting.round(now, pool, || adopt(engine(), me)) {
            self.adopting.due = Some(now + ADOPT_EVERY);
        }
        let timelines_after = self.timelines_after;
        if let Some(next) = self.forgetting.round(now, pool, || forget(engine(), me, timelines_after)) {
            self.timelines_after = next;
            self.forgetting.due = Some(now + EVERY);
        }
        if let Some(observed) = looked {
            self.looking.due = Some(self.looked_at + CLOCK_EVERY);
            observed.into_iter().for_each(|observed| self.tell(now, observed));
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

async fn forget<S: Engine>(engine: S, me: Incarnation, timelines_after: Option<UserId>) -> Option<UserId> {
    let share = match Share::current(&engine, me).await {
        Ok(share) => share,
        Err(error) => {
            tracing::warn!(%error, "the view cannot be read, forgetting what is old in an hour");
            return timelines_after;
        }
    };
    match dedup::clear(&engine, runtime::wall(), &share).await {
        Ok(0) => {}
        Ok(rows) => tracing::info!(rows, "forgot first replies that nobody may ask for any more"),
        Err(error) => tracing::warn!(%error, "could not forget old first replies, trying again in an hour"),
    }
    match push::sweep(&engine, runtime::wall(), &share).await {
        Ok(0) => {}
        Ok(items) => tracing::info!(items, "forgot push items that nobody fetched for a day"),
        Err(error) => tracing::warn!(%error, "could not forget old push items, trying again in an hour"),
    }
    match notices::sweep(&engine, runtime::wall(), &share).await {
        Ok(0) => {}
        Ok(rows) => tracing::info!(rows, "forgot what became of notifications more than 30 days ago"),
        Err(error) => tracing::warn!(%error, "could not forget old notifications, trying again in an hour"),
    }
    match hooks::sweep(&engine, runtime::wall(), &share).await {
        Ok(0) => {}
        Ok(rows) => tracing::info!(rows, "forgot what webhooks were told more than 3 days ago"),
        Err(error) => tracing::warn!(%error, "could not forget what webhooks were told, trying again in an hour"),
    }
    match timelines::trim(&engine, (&Limits::default(), runtime::wall()), &share, timelines_after).await {
        Ok(Trimmed { timelines, next }) => {
            if timelines > 0 {
                tracing::info!(timelines, "forgot what is old or too much in timelines that nobody read for a day");
            }
            next
        }
        Err(error) => {
            tracing::warn!(%error, "could not trim timelines, trying again in an hour");
            timelines_after
        }
    }
}

async fn adopt<S: Engine>(engine: S, me: Incarnation) {
    let adopted = async { push::adopt(&engine, runtime::wall(), &Share::current(&engine, me).await?).await };
    match adopted.await {
        Ok(Adopted { arrivals: 0, .. }) => {}
        Ok(Adopted { arrivals, items }) => {
            tracing::info!(arrivals, items, "made push items of what a life that is over left unserved");
        }
        Err(error) => {
            tracing::warn!(%error, "could not make push items of what a life that is over left unserved, trying again");
        }
    }
}
