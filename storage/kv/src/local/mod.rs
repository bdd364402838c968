//! The transaction of the engines that stand on our resolver: memory and embedded.
//!
//! Owns the life of a transaction over rows that are read at once. What an engine adds is a [`Backend`]: rows at a
//! version, and a place to hand commits in.

use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_channel::oneshot;

use crate::error::Error;
use crate::limits;
use crate::pending::{Entry, Merge, Overlay, Reads, check_transaction, over_overlay};
use crate::resolver::{CommitRequest, Resolver, Unwatched};
use crate::transaction::{Begin, Committed, Page, RangeRequest, Transaction, Version, Watch};
use crate::waiting::may_wait;

/// What an engine gives its transactions.
pub trait Backend: Send + Sync + 'static {
    /// Rows at one version, unchanging.
    type Snapshot: Snapshot;

    /// The version and the rows that `begin` asks for.
    ///
    /// # Errors
    /// Why there are none; reads and the commit report it.
    fn open(&self, begin: Begin) -> Result<(Version, Self::Snapshot), Error>;

    /// Monotonic time.
    fn now_ms(&self) -> u64;

    /// Takes a commit in; the answer comes once it is durable.
    ///
    /// # Errors
    /// Refused at once, and nothing will come of it.
    fn submit(&self, submission: Submission) -> Result<Answer, Error>;

    /// Longest key that a transaction may name.
    fn key_bytes_max(&self) -> usize {
        limits::KEY_BYTES_MAX
    }

    /// A commit that read at `since` and was handed in at `asked_ms` was answered so.
    fn answered(&self, _since: Version, _asked_ms: u64, _result: &Result<Committed, Error>) {}

    /// Whether a read may have to wait for a disk, so that it is left to threads that may.
    fn waits(&self) -> bool {
        false
    }

    /// How many times an operation of a transaction lets other tasks run first. 0 but in simulation.
    fn yields(&self) -> u32 {
        0
    }
}

/// Rows at one version.
pub trait Snapshot: Send + Sync + 'static {
    /// The value of `key`.
    ///
    /// # Errors
    /// Any; the transaction's read reports it.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Calls `row` with each key and value from `begin` to `end`, in order, or in reverse, until it breaks.
    ///
    /// # Errors
    /// Any; the transaction's read reports it.
    fn scan(
        &self,
        begin: &[u8],
        end: &[u8],
        reverse: bool,
        row: &mut dyn FnMut(Bytes, Bytes) -> ControlFlow<()>,
    ) -> Result<(), Error>;
}

/// A commit on its way to the engine.
#[derive(Debug)]
pub struct Submission {
    /// What the resolver judges.
    pub request: CommitRequest,
    /// Keys watched from the read version on, and who waits.
    pub watches: Vec<(Bytes, Waiter)>,
}

impl Submission {
    /// A transaction that only watches commits at its read version.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.request.mutations.is_empty()
    }
}

/// How a commit's result comes back. A sender dropped is a store that is gone.
pub type Answer = oneshot::Receiver<Result<Committed, Error>>;

/// Who waits for a key.
pub type Waiter = oneshot::Sender<Result<(), Error>>;

/// A commit's result, and where it goes.
pub(crate) type Answered = (oneshot::Sender<Result<Committed, Error>>, Result<Committed, Error>);

/// What is said once a group of commits is durable.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) answers: Vec<Answered>,
    pub(crate) told: Vec<(Waiter, Result<(), Error>)>,
}

impl Held {
    /// Says it, where no lock is held. Whoever went away does not want to know. Returns how many commits were answered.
    pub(crate) fn send(self) -> usize {
        let answered = self.answers.len();
        for (answer, result) in self.answers {
            let _gone = answer.send(result);
        }
        for (waiter, result) in self.told {
            let _gone = waiter.send(result);
        }
        answered
    }
}

/// The cause of [`Error::Fatal`] where the store was closed with the commit in flight, or before.
#[derive(Debug, thiserror::Error)]
#[error("the store is closed")]
pub struct Closed;

/// Registers the watches of a transaction that read at `since` and committed. Returns those to be told at once.
pub fn register(
    resolver: &mut Resolver<Waiter>,
    watches: Vec<(Bytes, Waiter)>,
    since: Version,
) -> Vec<(Waiter, Result<(), Error>)> {
    let mut told = Vec::new();
    for (key, waiter) in watches {
        if resolver.watches_full() {
            resolver.retain_watches(|waiter| !waiter.is_canceled());
        }
        match resolver.watch(&key, since, waiter) {
            Ok(()) => {}
            Err(Unwatched::Written(waiter)) => told.push((waiter, Ok(()))),
            Err(Unwatched::Full(waiter)) => told.push((waiter, Err(Error::Throttled))),
        }
    }
    told
}

/// A transaction over a [`Backend`].
pub struct LocalTransaction<B: Backend> {
    backend: Arc<B>,
    /// The read version and the rows at it, or why there are none.
    view: Result<(Version, B::Snapshot), Error>,
    began_ms: u64,
    reads: Reads,
    own: Overlay,
    watches: Vec<(Bytes, Waiter)>,
}

impl<B: Backend> std::fmt::Debug for LocalTransaction<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalTransaction")
            .field("read_version", &self.view.as_ref().map(|(version, _)| *version))
            .field("size_bytes", &self.own.size_bytes())
            .finish_non_exhaustive()
    }
}

impl<B: Backend> LocalTransaction<B> {
    /// Begins.
    pub fn new(backend: Arc<B>, begin: Begin) -> Self {
        Self {
            view: backend.open(begin),
            began_ms: backend.now_ms(),
            own: Overlay::new(backend.key_bytes_max()),
            backend,
            reads: Reads::default(),
            watches: Vec::new(),
        }
    }

    /// Before each read.
    async fn turn(&self) {
        yield_now(self.backend.yields()).await;
        if self.backend.waits() {
            may_wait().await;
        }
    }

    fn version(&self) -> Result<Version, Error> {
        self.view().map(|(version, _)| *version)
    }

    fn view(&self) -> Result<&(Version, B::Snapshot), Error> {
        let age_ms = self.backend.now_ms().saturating_sub(self.began_ms);
        if age_ms > limits::TRANSACTION_LIFE_MS {
            return Err(Error::TooOld);
        }
        self.view.as_ref().map_err(Clone::clone)
    }

    async fn read(&self, key: &[u8], conflicts: bool) -> Result<Option<Bytes>, Error> {
        self.turn().await;
        self.own.check_key(key, 0)?;
        let (_, snapshot) = self.view()?;
        let entry = self.own.entry(key)?;
        // What the transaction wrote itself does not depend on anybody else.
        if let Some(Entry::Known(value)) = entry {
            return Ok(value.clone());
        }
        if conflicts {
            self.reads.key(key);
        }
        let below = snapshot.get(key)?;
        Ok(match entry {
            Some(entry) => entry.value(below),
            None => below,
        })
    }

    async fn read_range(&self, range: &RangeRequest, conflicts: bool) -> Result<Page, Error> {
        self.turn().await;
        self.own.check_range(&range.begin, &range.end)?;
        let (_, snapshot) = self.view()?;
        let mut merge = Merge::new(range, &self.own)?;
        if range.begin < range.end {
            snapshot.scan(&range.begin, &range.end, range.reverse, &mut |key, value| merge.below(key, value))?;
        }
        let page = merge.finish();
        if conflicts {
            self.reads.page(range, &page);
        }
        Ok(page)
    }

    /// The read version, 0 while it is not known: stamps are younger.
    fn known_version(&self) -> Version {
        self.view.as_ref().map_or(Version(0), |(version, _)| *version)
    }

    /// What to hand in, or the result of a transaction that needs no commit.
    fn finish(self) -> Result<Result<Submission, Committed>, Error> {
        let version = match self.own.is_empty() {
            // Reads were good when they were made; there is nothing that could come too late.
            true => self.view.as_ref().map_err(Clone::clone)?.0,
            false => self.version()?,
        };
        if self.own.is_empty() && self.watches.is_empty() {
            return Ok(Err(Committed::reads(version)));
        }
        let reads = self.reads.into_spans();
        let size_bytes = reads.size_bytes + self.own.size_bytes();
        check_transaction(size_bytes)?;
        let mutations = self.own.finish()?;
        let request = CommitRequest { read_version: version, reads: reads.spans, mutations, size_bytes };
        Ok(Ok(Submission { request, watches: self.watches }))
    }
}

impl<B: Backend> Transaction for LocalTransaction<B> {
    async fn read_version(&self) -> Result<Version, Error> {
        yield_now(self.backend.yields()).await;
        self.version()
    }

    async fn get_all<K: AsRef<[u8]> + Sync>(&self, keys: &[K]) -> Result<Vec<Option<Bytes>>, Error> {
        // Reads never wait here, so one after the other is at once.
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push(self.read(key.as_ref(), true).await?);
        }
        Ok(values)
    }

    async fn snapshot_get_all<K: AsRef<[u8]> + Sync>(&self, keys: &[K]) -> Result<Vec<Option<Bytes>>, Error> {
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push(self.read(key.as_ref(), false).await?);
        }
        Ok(values)
    }

    over_overlay!();

    fn watch(&mut self, key: &[u8]) -> Watch {
        let (waiter, changed) = oneshot::channel();
        if !self.own.refuses(self.own.check_key(key, 0)) {
            self.watches.push((Bytes::copy_from_slice(key), waiter));
        }
        Watch::new(async move { changed.await.unwrap_or(Err(Error::WatchCancelled)) })
    }

    async fn commit(self) -> Result<Committed, Error> {
        let backend = Arc::clone(&self.backend);
        yield_now(backend.yields()).await;
        let submission = match self.finish()? {
            Ok(submission) => submission,
            Err(committed) => return Ok(committed),
        };
        let (since, asked_ms) = (submission.request.read_version, backend.now_ms());
        let answer = backend.submit(submission)?;
        let result = answer.await.unwrap_or_else(|oneshot::Canceled| Err(Error::fatal(Closed)));
        backend.answered(since, asked_ms, &result);
        result
    }
}

/// Lets other tasks run so many times.
async fn yield_now(mut times: u32) {
    poll_fn(|cx| {
        if times == 0 {
            return Poll::Ready(());
        }
        times -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
