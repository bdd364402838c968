//! The committing threads: what waits is taken, judged, written in one batch, synced, and answered.
//!
//! Two threads take turns at two stages, so that one group is judged and written while the one before is synced. A
//! thread brings its group through both and tells its answers then, while the other goes on.
//!
//! ```text
//! one    write n ─ sync n ─────── tell n ─ write n+2 ─ sync n+2 ─
//! other          write n+1 ─ ··· ─ sync n+1 ─────── tell n+1 ─
//! ```
//!
//! Upholds I3: nothing is published or answered before the `fsync` of the batch that holds it returned. Groups are synced
//! in their order, since a thread lets go of the first stage only once it has the second. A write or an `fsync` that fails
//! ends the engine: trying again could report success for pages that the system dropped.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use futures_channel::oneshot;

use super::directory::Directory;
use super::empty_ranges::EmptyRanges;
use super::journal::Journal;
use super::rows::{Rows, View};
use super::stats::{EngineStats, GroupSample};
use super::views::Views;
use super::watchdog::{Begun, Watched};
use super::{EmbeddedOptions, OnFatal};
use crate::clock::Clock;
use crate::error::Error;
use crate::local::{Closed, Held, Submission, Waiter, register};
use crate::resolver::{Admitted, Group, Resolver, Write};
use crate::transaction::{Committed, Version};

/// Threads that call [`Committer::run`], one for each stage.
pub(super) const COMMITTING_THREADS: usize = 2;

/// Commits that may wait. At 100 rows of 200 bytes each that is 320 MB, hence also [`WAITING_BYTES_MAX`].
const WAITING_MAX: usize = 16_384;

/// Bytes of commits that may wait: four of the largest groups.
const WAITING_BYTES_MAX: usize = 4 * crate::limits::GROUP_BYTES_MAX;

type AnswerTo = oneshot::Sender<Result<Committed, Error>>;

/// What the committing threads and everybody else share.
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
    /// The disk failed or a committing thread panicked: what waits is not committed any more.
    failed: bool,
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

    /// None of those that wait is committed from now on. `false` if that is so already.
    fn stop(&self) -> bool {
        !std::mem::replace(&mut self.queue().failed, true)
    }

    /// Waits for commits. `None` when closing and none is left, or none is to be committed any more.
    fn wait(&self) -> Option<VecDeque<(Submission, AnswerTo)>> {
        let mut queue = self.queue();
        loop {
            if queue.failed {
                return None;
            }
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

    fn has_failed(&self) -> bool {
        self.queue().failed
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn views(&self) -> MutexGuard<'_, Option<Views>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of the committing threads.
pub(super) struct Committer {
    /// The first stage. Locks are taken from here downwards.
    writing: Mutex<Writing>,
    /// The second.
    syncing: Mutex<Syncing>,
    resolver: Mutex<Resolver<Waiter>>,
    rows: Rows,
    shared: Arc<Shared>,
    on_fatal: OnFatal,
    /// Goes last: whoever takes its lock finds the rows closed.
    _directory: Directory,
}

/// What the thread has that judges and writes a group.
struct Writing {
    /// What is left of what was taken from the queue.
    taken: VecDeque<(Submission, AnswerTo)>,
    /// The rows as the last group left them, which may not be durable yet.
    newest: Arc<View>,
    empty_ranges: EmptyRanges,
}

/// What the thread has that syncs a group and lets it out.
struct Syncing {
    journal: Journal,
}

/// A group that is written.
struct Written<'a> {
    _watched: Begun<'a>,
    began: Instant,
    version: Version,
    view: Arc<View>,
    transactions: usize,
    rows: usize,
    bytes: usize,
    /// Whether the journal has anything of it.
    is_stored: bool,
}

impl Committer {
    pub(super) fn new(
        (rows, journal, directory): (Rows, Journal, Directory),
        reserve: Version,
        shared: &Arc<Shared>,
        options: &EmbeddedOptions,
    ) -> Self {
        let newest = Arc::clone(shared.views().as_ref().expect("not closed yet").newest());
        let writing = Writing { taken: VecDeque::new(), newest, empty_ranges: EmptyRanges::default() };
        Self {
            writing: Mutex::new(writing),
            syncing: Mutex::new(Syncing { journal }),
            resolver: Mutex::new(Resolver::restart(reserve)),
            rows,
            shared: Arc::clone(shared),
            on_fatal: Arc::clone(&options.on_fatal),
            _directory: directory,
        }
    }

    /// Commits until the engine closes or the disk fails. For [`COMMITTING_THREADS`] at once.
    pub(super) fn run(&self) {
        loop {
            let mut held = Held::default();
            // Behind what is held, so that its end comes first.
            let _if_panicking = EndsAll(self);
            match self.commit_group(&mut held) {
                Ok(true) => _ = held.send(),
                Ok(false) => return,
                Err(error) => return self.fail(&error),
            }
        }
    }

    /// Brings the next group through both stages; then `held` may be sent. `false` if nothing is left to do.
    fn commit_group(&self, held: &mut Held) -> Result<bool, Error> {
        let mut writing = self.writing.lock().map_err(panicked)?;
        if self.shared.has_failed() {
            return Ok(false);
        }
        if writing.taken.is_empty() {
            let Some(taken) = self.shared.wait() else { return Ok(false) };
            writing.taken = taken;
        }
        let written = self.write(&mut writing, held).inspect_err(|error| self.fail(error))?;
        let mut syncing = self.syncing.lock().map_err(panicked)?;
        drop(writing);
        if self.shared.has_failed() {
            return Ok(false);
        }
        let released = self.release(&mut syncing, written, held);
        // Before the other thread goes on with what comes after.
        released.inspect_err(|error| self.fail(error)).map(|()| true)
    }

    /// The first stage, of the first commits taken, as many as a group holds.
    fn write(&self, writing: &mut Writing, held: &mut Held) -> Result<Written<'_>, Error> {
        let shared = &self.shared;
        let _watched = shared.watched.begin();
        let Group { version, reserve } = self.resolver().open();
        let Writing { taken, newest, empty_ranges } = writing;
        let mut batch = Batch { below: newest, empty_ranges, rows: BTreeMap::new() };
        let mut transactions = 0;
        // The resolver is let go of in between, since the other thread wants it to release the group before.
        while self.resolver().has_room()
            && let Some((Submission { request, watches }, answer)) = taken.pop_front()
        {
            shared.stats.waiting.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            let since = request.read_version;
            let result = if request.mutations.is_empty() {
                Ok(Committed::reads(since))
            } else {
                let admitted = self.resolver().admit(request);
                match admitted {
                    Ok(Admitted { stamp, writes }) => {
                        writes.into_iter().try_for_each(|write| batch.apply(write))?;
                        transactions += 1;
                        Ok(Committed { version, stamp })
                    }
                    Err(error) => Err(error),
                }
            };
            if result.is_ok() && !watches.is_empty() {
                held.told.extend(register(&mut self.resolver(), watches, since));
            }
            count(&shared.stats, &result);
            held.answers.push((answer, result));
        }
        self.resolver().seal();
        let rows = batch.rows;
        let is_stored = !rows.is_empty() || reserve.is_some();
        let bytes = |(key, value): (&Bytes, &Option<Bytes>)| key.len() + value.as_ref().map_or(0, Bytes::len);
        let (rows_len, bytes, began) = (rows.len(), rows.iter().map(bytes).sum(), Instant::now());
        if is_stored {
            self.rows.store(reserve, rows.into_iter()).map_err(Error::fatal)?;
        }
        let view = Arc::new(self.rows.view(version));
        *newest = Arc::clone(&view);
        Ok(Written { _watched, began, version, view, transactions, rows: rows_len, bytes, is_stored })
    }

    /// The second stage.
    fn release(&self, syncing: &mut Syncing, written: Written<'_>, held: &mut Held) -> Result<(), Error> {
        let Written { began, version, view, transactions, rows, bytes, is_stored, .. } = written;
        let Shared { stats, clock, .. } = &*self.shared;
        if is_stored {
            syncing.journal.sync().map_err(Error::fatal)?;
            EngineStats::add(&stats.groups, 1);
            EngineStats::add(&stats.rows, rows);
            EngineStats::add(&stats.bytes, bytes);
            stats.samples.push(GroupSample { transactions, rows, took: began.elapsed() });
        }
        let now_ms = clock.now_ms();
        // Before it can be read: what has read it may be handed in at once.
        let fired = self.resolver().release(now_ms, version);
        let outlived = match &mut *self.shared.views() {
            Some(views) => views.publish(now_ms, view),
            None => unreachable!("the views are closed once both threads have ended"),
        };
        drop(outlived);
        EngineStats::add(&stats.commits, transactions);
        held.told.extend(fired.into_iter().map(|waiter| (waiter, Ok(()))));
        Ok(())
    }

    /// Nothing is committed any more; nobody else hears of it before the hook, which may end the process.
    fn fail(&self, error: &Error) {
        if self.shared.stop() {
            (self.on_fatal)(error);
            self.shared.close();
        }
    }

    fn resolver(&self) -> MutexGuard<'_, Resolver<Waiter>> {
        self.resolver.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(stats: &EngineStats, result: &Result<Committed, Error>) {
    match result {
        Ok(_) => {}
        Err(Error::Conflict) => EngineStats::add(&stats.conflicts, 1),
        Err(_) => EngineStats::add(&stats.too_old, 1),
    }
}

/// The cause of [`Error::Fatal`] where a committing thread broke a promise of its own.
#[derive(Debug, thiserror::Error)]
#[error("the committing thread panicked")]
struct Panicked;

/// The other thread has panicked while it had a lock.
fn panicked<T>(_poisoned: PoisonError<T>) -> Error {
    Error::fatal(Panicked)
}

/// A thread that panics ends the other too.
struct EndsAll<'a>(&'a Committer);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail(&Error::fatal(Panicked));
        }
    }
}

/// However the threads end, by a panic too, nothing can be read or committed any more and nobody waits.
impl Drop for Committer {
    fn drop(&mut self) {
        self.shared.close();
        *self.shared.views() = None;
        drop(std::mem::take(&mut self.shared.queue().waiting));
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
