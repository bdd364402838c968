//! What the workers count, for whoever shows it.
//!
//! Owns the counters and where they are added up. Threads write them as things happen; whoever asks reads them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use chat::keys::Queue;
use chat::notices::cache::Asked;
use chat::notices::{Depth, Planned};
use chat::push::Decision;
use hdrhistogram::Histogram;
use schema::{Medium, UnixMs};

use crate::outcome::{Fault, Outcome};

/// Attempts of one medium.
#[derive(Debug, Default)]
struct Attempts {
    sent: AtomicU64,
    failed: [AtomicU64; Fault::ALL.len()],
    /// Jobs that had nothing to say any more.
    withdrawn: AtomicU64,
    /// Jobs that were given up.
    dead: AtomicU64,
    /// Jobs that were put off for their users' quiet hours.
    quiet: AtomicU64,
    /// Jobs that were put off, and that were dropped, by their users' limits.
    put_off: AtomicU64,
    dropped: AtomicU64,
    under_way: AtomicU64,
    /// Whether every provider of the medium is left alone.
    is_stopped: AtomicU64,
}

/// How often caches were asked, by name.
type AskedOf = dyn Fn() -> Vec<(&'static str, Asked)> + Send + Sync;

/// The caches of the workers, once there are any.
#[derive(Default)]
struct Caches(OnceLock<Box<AskedOf>>);

impl fmt::Debug for Caches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Caches")
    }
}

/// What waits in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Which queue.
    pub queue: Queue,
    /// Its rows, due or not.
    pub rows: u64,
    /// Those that are due among them.
    pub due: u64,
    /// For how long the oldest has been due.
    pub oldest_ms: u64,
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Counts {
    attempts: Box<[Attempts]>,
    decisions: Mutex<BTreeMap<Decision, u64>>,
    jobs: AtomicU64,
    caches: Caches,
    /// Events that applications were called with, and calls that they did not take.
    events: [AtomicU64; 2],
    /// Milliseconds for which the oldest event waits that was not taken.
    events_oldest_ms: AtomicU64,
    /// Events that webhooks took, calls that they took, calls that they did not, and for how many milliseconds the oldest
    /// waits of those.
    hooks: [AtomicU64; 4],
    queues: Mutex<Vec<Waiting>>,
    /// Milliseconds of attempts, whatever came of them.
    attempt_ms: Mutex<Histogram<u64>>,
    /// Milliseconds from when a job was made until a provider had it.
    sent_ms: Mutex<Histogram<u64>>,
}

impl Default for Counts {
    fn default() -> Self {
        let histogram = || Mutex::new(Histogram::new_with_bounds(1, 24 * 3_600_000, 2).expect("legal bounds"));
        Self {
            attempts: Medium::ALL.iter().map(|_| Attempts::default()).collect(),
            decisions: Mutex::default(),
            jobs: AtomicU64::default(),
            caches: Caches::default(),
            events: Default::default(),
            events_oldest_ms: AtomicU64::default(),
            hooks: Default::default(),
            queues: Mutex::default(),
            attempt_ms: histogram(),
            sent_ms: histogram(),
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counts {
    fn of(&self, medium: Medium) -> &Attempts {
        let at = Medium::ALL.iter().position(|&one| one == medium).expect("every medium is in the list");
        &self.attempts[at]
    }

    pub(crate) fn planned(&self, planned: &Planned) {
        let mut decisions = lock(&self.decisions);
        for (&decision, &items) in &planned.decisions {
            *decisions.entry(decision).or_default() += items;
        }
        self.jobs.fetch_add(planned.jobs, Ordering::Relaxed);
    }

    pub(crate) fn begun(&self, medium: Medium) {
        self.of(medium).under_way.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, medium: Medium, outcome: &Outcome, took_ms: u64, since_planned_ms: u64) {
        let attempts = self.of(medium);
        attempts.under_way.fetch_sub(1, Ordering::Relaxed);
        lock(&self.attempt_ms).saturating_record(took_ms.max(1));
        match outcome {
            Outcome::Sent { .. } => {
                attempts.sent.fetch_add(1, Ordering::Relaxed);
                lock(&self.sent_ms).saturating_record(since_planned_ms.max(1));
            }
            Outcome::Failed { fault, .. } => {
                let at = Fault::ALL.iter().position(|one| one == fault).expect("every class is in the list");
                attempts.failed[at].fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn withdrawn(&self, medium: Medium) {
        self.of(medium).withdrawn.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dead(&self, medium: Medium) {
        self.of(medium).dead.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn quiet(&self, medium: Medium) {
        self.of(medium).quiet.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn limited(&self, medium: Medium, is_dropped: bool) {
        let of = self.of(medium);
        if is_dropped { &of.dropped } else { &of.put_off }.fetch_add(1, Ordering::Relaxed);
    }

    /// Has caches asked from now on how often they were.
    pub(crate) fn show_caches(&self, asked: impl Fn() -> Vec<(&'static str, Asked)> + Send + Sync + 'static) {
        // A node has workers once.
        let _set_before = self.caches.0.set(Box::new(asked));
    }

    pub(crate) fn stopped(&self, medium: Medium, is_stopped: bool) {
        self.of(medium).is_stopped.store(is_stopped.into(), Ordering::Relaxed);
    }

    pub(crate) fn waiting(&self, depths: &[(Queue, Depth)], now: UnixMs) {
        let age_ms = |oldest: Option<UnixMs>| oldest.map_or(0, |oldest| now.since_ms(oldest));
        let waiting =
            |&(queue, Depth { rows, due, oldest }): &_| Waiting { queue, rows, due, oldest_ms: age_ms(oldest) };
        *lock(&self.queues) = depths.iter().map(waiting).collect();
    }

    /// Items that became jobs or nothing, by what was decided.
    #[must_use]
    pub fn decisions(&self) -> BTreeMap<Decision, u64> {
        lock(&self.decisions).clone()
    }

    pub(crate) fn events_told(&self, events: u64) {
        self.events[0].fetch_add(events, Ordering::Relaxed);
    }

    pub(crate) fn events_failed(&self) {
        self.events[1].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn events_wait(&self, oldest_ms: u64) {
        self.events_oldest_ms.store(oldest_ms, Ordering::Relaxed);
    }

    /// Events that applications were called with and took, calls that they did not take, and for how many milliseconds the
    /// oldest event waits of those that did not.
    #[must_use]
    pub fn events(&self) -> [u64; 3] {
        let [told, failed] = &self.events;
        [told, failed, &self.events_oldest_ms].map(|count| count.load(Ordering::Relaxed))
    }

    /// A webhook was called, and took so many events, or none.
    pub(crate) fn hook_called(&self, taken: u64) {
        let [events, calls, failed, _] = &self.hooks;
        events.fetch_add(taken, Ordering::Relaxed);
        if taken > 0 { calls } else { failed }.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn hooks_wait(&self, oldest_ms: u64) {
        self.hooks[3].store(oldest_ms, Ordering::Relaxed);
    }

    /// Events that webhooks took, calls that they took and calls that they did not, and for how many milliseconds the oldest
    /// event waits of those that they did not.
    #[must_use]
    pub fn hooks(&self) -> [u64; 4] {
        self.hooks.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// Jobs that were made.
    #[must_use]
    pub fn jobs(&self) -> u64 {
        self.jobs.load(Ordering::Relaxed)
    }

    /// Hits and misses of each cache, by its name.
    #[must_use]
    pub fn caches(&self) -> Vec<(&'static str, Asked)> {
        self.caches.0.get().map_or_else(Vec::new, |asked| asked())
    }

    /// Attempts by medium and what came of them, `sent` or a class of fault, and jobs that ended or were put off without
    /// one.
    pub fn outcomes(&self) -> impl Iterator<Item = (Medium, &'static str, u64)> {
        Medium::ALL.iter().zip(&self.attempts).flat_map(|(&medium, attempts)| {
            let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
            let failed = Fault::ALL.iter().zip(&attempts.failed).map(move |(fault, count)| (fault.word(), of(count)));
            let ends = [
                ("sent", of(&attempts.sent)),
                ("withdrawn", of(&attempts.withdrawn)),
                ("dead", of(&attempts.dead)),
                ("quiet", of(&attempts.quiet)),
                ("put_off", of(&attempts.put_off)),
                ("dropped", of(&attempts.dropped)),
            ];
            ends.into_iter().chain(failed).map(move |(word, count)| (medium, word, count))
        })
    }

    /// Attempts that are under way, and whether a medium is stopped, by medium.
    pub fn states(&self) -> impl Iterator<Item = (Medium, u64, bool)> {
        Medium::ALL.iter().zip(&self.attempts).map(|(&medium, attempts)| {
            let under_way = attempts.under_way.load(Ordering::Relaxed);
            (medium, under_way, attempts.is_stopped.load(Ordering::Relaxed) != 0)
        })
    }

    /// What waited in each queue when that was looked at last.
    #[must_use]
    pub fn queues(&self) -> Vec<Waiting> {
        lock(&self.queues).clone()
    }

    /// How long attempts took, in milliseconds.
    #[must_use]
    pub fn attempt_ms(&self) -> Histogram<u64> {
        lock(&self.attempt_ms).clone()
    }

    /// How long it took from when a job was made until a provider had it, in milliseconds.
    #[must_use]
    pub fn sent_ms(&self) -> Histogram<u64> {
        lock(&self.sent_ms).clone()
    }
}
