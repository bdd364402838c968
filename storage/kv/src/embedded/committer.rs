//! The committing thread: takes what waits, has it judged, stores it in one batch, and answers.
//!
//! Upholds I3: nothing is published or answered before the `fsync` of the batch that holds it returned. A write or an
//! `fsync` that fails ends the engine: trying again could report success for pages that the system dropped.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use futures_channel::oneshot;

use super::empty_ranges::EmptyRanges;
use super::rows::{Rows, View};
use super::stats::{EngineStats, GroupSample};
use super::views::Views;
use super::watchdog::Watched;
use super::{EmbeddedOptions, OnFatal};
use crate::clock::Clock;
use crate::error::Error;
use crate::local::{Closed, Held, Submission, Waiter, register};
use crate::resolver::{Admitted, Resolver, Write};
use crate::transaction::{Committed, Version};

/// Commits that may wait. At 100 rows of 200 bytes each that is 320 MB, hence also [`WAITING_BYTES_MAX`].
const WAITING_MAX: usize = 16_384;

/// Bytes of commits that may wait: four of the largest groups.
const WAITING_BYTES_MAX: usize = 4 * crate::limits::GROUP_BYTES_MAX;

type AnswerTo = oneshot::Sender<Result<Committed, Error>>;

/// What the committing thread and everybody else share.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    /// `None` once the engine is closed.
    pub(super) views: Mutex<Option<Views>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stats: EngineStats,
    pub(super) watched: Watched,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Submission, AnswerTo)>,
    len_bytes: usize,
    closing: bool,
}

impl Shared {
    pub(super) fn new(view: View, clock: Arc<dyn Clock>) -> Self {
        Self {
            queue: Mutex::default(),
            arrived: Condvar::new(),
            views: Mutex::new(Some(Views::new(view))),
            clock,
            stats: EngineStats::default(),
            watched: Watched::default(),
        }
    }

    /// Puts a commit into the queue.
    pub(super) fn submit(&self, submission: Submission, answer: AnswerTo) -> Result<(), Error> {
        let size_bytes = submission.request.size_bytes;
        let mut queue = self.queue();
        if queue.closing {
            return Err(Error::fatal(Closed));
        }
        let full = queue.waiting.len() >= WAITING_MAX || queue.len_bytes + size_bytes > WAITING_BYTES_MAX;
        if full {
            EngineStats::add(&self.stats.throttled, 1);
            return Err(Error::Throttled);
        }
        queue.len_bytes += size_bytes;
        queue.waiting.push_back((submission, answer));
        EngineStats::add(&self.stats.waiting, 1);
        // Only an empty queue has a sleeper.
        if queue.waiting.len() == 1 {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// No commit is taken in from now on; those that wait are finished.
    pub(super) fn close(&self) {
        self.queue().closing = true;
        self.arrived.notify_one();
    }

    /// Waits for commits. `None` when closing and none is left.
    fn wait(&self) -> Option<VecDeque<(Submission, AnswerTo)>> {
        let mut queue = self.queue();
        loop {
            if !queue.waiting.is_empty() {
                queue.len_bytes = 0;
                return Some(std::mem::take(&mut queue.waiting));
            }
            if queue.closing {
                return None;
            }
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn views(&self) -> MutexGuard<'_, Option<Views>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of the committing thread.
pub(super) struct Committer {
    rows: Rows,
    resolver: Resolver<Waiter>,
    newest: Arc<View>,
    empty_ranges: EmptyRanges,
    shared: Arc<Shared>,
    on_fatal: OnFatal,
}

impl Committer {
    pub(super) fn new(rows: Rows, reserve: Version, shared: &Arc<Shared>, options: &EmbeddedOptions) -> Self {
        let newest = Arc::clone(shared.views().as_ref().expect("not closed yet").newest());
        Self {
            rows,
            resolver: Resolver::restart(reserve),
            newest,
            empty_ranges: EmptyRanges::default(),
            shared: Arc::clone(shared),
            on_fatal: Arc::clone(&options.on_fatal),
        }
    }

    /// Commits until the engine closes or the disk fails.
    pub(super) fn run(mut self) {
        while let Some(mut taken) = self.shared.wait() {
            while !taken.is_empty() {
                let mut held = Held::default();
                if let Err(error) = self.commit_group(&mut taken, &mut held) {
                    // Nobody hears of it before the hook, which may end the process.
                    (self.on_fatal)(&error);
                    return;
                }
                held.send();
            }
        }
    }

    /// Commits the first of `taken`, as many as a group holds. When it returns `Ok`, `held` may be sent.
    fn commit_group(&mut self, taken: &mut VecDeque<(Submission, AnswerTo)>, held: &mut Held) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let _watched = shared.watched.begin();
        let group = self.resolver.open();
        let mut batch = Batch { below: &self.newest, empty_ranges: &mut self.empty_ranges, rows: BTreeMap::new() };
        let mut transactions = 0;
        while self.resolver.has_room()
            && let Some((submission, answer)) = taken.pop_front()
        {
            shared.stats.waiting.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            let since = submission.request.read_version;
            let result = if submission.is_read_only() {
                Ok(Committed::reads(since))
            } else {
                match self.resolver.admit(submission.request) {
                    Ok(Admitted { stamp, writes }) => {
                        writes.into_iter().try_for_each(|write| batch.apply(write))?;
                        transactions += 1;
                        Ok(Committed { version: group.version, stamp })
                    }
                    Err(error) => Err(error),
                }
            };
            if result.is_ok() {
                held.told.extend(register(&mut self.resolver, submission.watches, since));
            }
            count(&shared.stats, &result);
            held.answers.push((answer, result));
        }
        self.resolver.seal();
        let rows = batch.rows;
        if !rows.is_empty() || group.reserve.is_some() {
            self.store(rows, group.reserve, transactions)?;
        }
        let fired = self.resolver.release(shared.clock.now_ms(), group.version);
        self.publish(group.version);
        EngineStats::add(&shared.stats.commits, transactions);
        held.told.extend(fired.into_iter().map(|waiter| (waiter, Ok(()))));
        Ok(())
    }

    fn store(&self, rows: GroupRows, reserve: Option<Version>, transactions: usize) -> Result<(), Error> {
        let bytes = |(key, value): (&Bytes, &Option<Bytes>)| key.len() + value.as_ref().map_or(0, Bytes::len);
        let written_bytes = rows.iter().map(bytes).sum();
        let rows_len = rows.len();
        let began = Instant::now();
        self.rows.store(reserve, rows.into_iter()).map_err(Error::fatal)?;
        let stats = &self.shared.stats;
        EngineStats::add(&stats.groups, 1);
        EngineStats::add(&stats.rows, rows_len);
        EngineStats::add(&stats.bytes, written_bytes);
        stats.samples.push(GroupSample { transactions, rows: rows_len, took: began.elapsed() });
        Ok(())
    }

    fn publish(&mut self, version: Version) {
        let view = self.rows.view(version);
        let outlived = match &mut *self.shared.views() {
            Some(views) => {
                let outlived = views.publish(self.shared.clock.now_ms(), view);
                self.newest = Arc::clone(views.newest());
                outlived
            }
            None => unreachable!("only this thread closes the views, when it ends"),
        };
        drop(outlived);
    }
}

fn count(stats: &EngineStats, result: &Result<Committed, Error>) {
    match result {
        Ok(_) => {}
        Err(Error::Conflict) => EngineStats::add(&stats.conflicts, 1),
        Err(_) => EngineStats::add(&stats.too_old, 1),
    }
}

/// The cause of [`Error::Fatal`] where the committing thread broke a promise of its own.
#[derive(Debug, thiserror::Error)]
#[error("the committing thread panicked")]
struct Panicked;

/// However the thread ends, by a panic too, nothing can be read or committed any more and nobody waits.
impl Drop for Committer {
    fn drop(&mut self) {
        if thread::panicking() {
            (self.on_fatal)(&Error::fatal(Panicked));
        }
        self.shared.close();
        *self.shared.views() = None;
        drop(self.shared.wait());
    }
}

/// What a group writes; `None` is a row removed.
type GroupRows = BTreeMap<Bytes, Option<Bytes>>;

/// The rows of a group as they will be, over those that are stored.
struct Batch<'a> {
    below: &'a View,
    empty_ranges: &'a mut EmptyRanges,
    rows: GroupRows,
}

impl Batch<'_> {
    fn apply(&mut self, write: Write) -> Result<(), Error> {
        match write {
            Write::Set(key, value) => self.put(key, value),
            Write::Clear(key) => {
                self.rows.insert(key, None);
            }
            Write::ClearRange(begin, end) => {
                for (_, value) in self.rows.range_mut(begin.clone()..end.clone()) {
                    *value = None;
                }
                for (begin, end) in self.empty_ranges.clear(&begin, &end) {
                    for key in self.below.keys(&begin, &end) {
                        self.rows.entry(key?).or_insert(None);
                    }
                }
            }
            Write::Atomic(op, key, operand) => {
                let value = match self.rows.get(&key) {
                    Some(value) => op.apply(value.as_deref(), &operand),
                    None => op.apply(self.below.get(&key)?.as_deref(), &operand),
                };
                self.put(key, value);
            }
        }
        Ok(())
    }

    fn put(&mut self, key: Bytes, value: Bytes) {
        self.empty_ranges.fill(&key);
        self.rows.insert(key, Some(value));
    }
}
