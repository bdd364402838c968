//! A transaction as the C library shows it: what may be called when, and what its futures come to.
//!
//! Owns its stage, its read version if one was set, its timeout and its pause between attempts. What it reads and what
//! it commits is decided by the server, which learns of it with the first request that needs an answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kv::Stamp;

use super::connection::{Client, Waiting};
use super::future::{Call, Future, Value};
use super::network::Network;
use super::options::{self, Effect};
use super::writes::{Writes, check_key, check_range};
use crate::code::Code;
use crate::frame::{Begin, Operation, Range, Reply, Request};

/// First pause before a retry; it doubles each time.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A transaction's handle.
pub(crate) struct Transaction {
    client: Arc<Client>,
    network: &'static Network,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    /// Unique in the session; another after each reset.
    id: u64,
    /// The connection's era in which the server learnt of it.
    era: Option<u64>,
    began: Instant,
    timeout: Duration,
    /// The database's, when this began.
    timeout_default: Duration,
    /// It was asked not to read its own writes.
    only_writes: bool,
    read_version: Option<i64>,
    writes: Writes,
    watches: bool,
    stage: Stage,
    /// Who waits for the versionstamp.
    stamps: Vec<Arc<Future>>,
    /// The pause before the next retry.
    pause: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Open,
    Committing,
    /// The commit's version and stamp, if it wrote.
    Committed(Option<(i64, Stamp)>),
    Failed(Code),
    Cancelled,
}

impl Inner {
    /// Whether it may be asked for anything.
    fn check(&self) -> Result<(), Code> {
        match self.stage {
            Stage::Open => match self.deadline() {
                Some(deadline) if deadline <= Instant::now() => Err(Code::TRANSACTION_TIMED_OUT),
                Some(_) | None => Ok(()),
            },
            Stage::Cancelled => Err(Code::TRANSACTION_CANCELLED),
            Stage::Committing | Stage::Committed(_) | Stage::Failed(_) => Err(Code::USED_DURING_COMMIT),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        (!self.timeout.is_zero()).then(|| self.began + self.timeout)
    }

    /// Sends the writes so far, and a request after them. Returns the request's id and its era.
    fn send(&mut self, client: &Client, operation: Operation, waiting: Waiting) -> Result<(u64, u64), Code> {
        let begin = match (self.era, self.read_version) {
            (Some(_), _) => Begin::Continue,
            (None, None) => Begin::Fresh,
            (None, Some(version)) => Begin::At(version.cast_unsigned()),
        };
        let writes = Bytes::from(self.writes.take());
        let request = Request { id: 0, transaction: self.id, begin, writes, operation };
        // What could not be sent is lost, and with it the transaction.
        let sent = client.0.send(self.era, request, waiting, self.deadline());
        match sent {
            Ok((_, era)) => self.era = Some(era),
            Err(code) => self.writes.refuse(code),
        }
        sent
    }

    /// The server forgets it, unless a commit ends it there anyway.
    fn end(&mut self, client: &Client) {
        if let (Some(_), Stage::Open | Stage::Cancelled) = (self.era, self.stage) {
            // If the era has ended it is forgotten already.
            let _ = self.send(client, Operation::End, Waiting::None);
        }
    }
}

impl Transaction {
    pub(super) fn new(client: Arc<Client>, network: &'static Network, timeout: Duration) -> Self {
        let inner = Inner {
            id: client.0.next_transaction(),
            era: None,
            began: Instant::now(),
            timeout,
            timeout_default: timeout,
            only_writes: false,
            read_version: None,
            writes: Writes::default(),
            watches: false,
            stage: Stage::Open,
            stamps: Vec::new(),
            pause: PAUSE_MIN,
        };
        Self { client, network, inner: Arc::new(Mutex::new(inner)) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_option(&self, option: i32, value: &[u8]) -> Result<(), Code> {
        match options::transaction(option, value)? {
            Effect::None => {}
            Effect::Timeout(timeout) => self.inner().timeout = timeout,
            Effect::OnlyWrites => self.inner().only_writes = true,
        }
        Ok(())
    }

    pub(super) fn set_read_version(&self, version: i64) {
        let mut inner = self.inner();
        if version < 0 {
            inner.writes.refuse(Code::VERSION_INVALID);
        } else if inner.read_version.is_some() || inner.era.is_some() {
            inner.writes.refuse(Code::READ_VERSION_ALREADY_SET);
        } else {
            inner.read_version = Some(version);
        }
    }

    /// Writes, if the transaction still takes writes.
    pub(super) fn write(&self, write: impl FnOnce(&mut Writes)) {
        let mut inner = self.inner();
        match inner.stage {
            Stage::Open => write(&mut inner.writes),
            Stage::Committing | Stage::Committed(_) | Stage::Failed(_) | Stage::Cancelled => {
                inner.writes.refuse(Code::USED_DURING_COMMIT);
            }
        }
    }

    pub(super) fn add_read_conflict(&self, begin: &[u8], end: &[u8]) -> Result<(), Code> {
        let mut inner = self.inner();
        inner.check()?;
        inner.writes.read_conflict(begin, end)
    }

    pub(super) fn get_read_version(&self) -> Arc<Future> {
        let read_version = self.inner().read_version;
        match read_version {
            Some(version) => Future::ready(Ok(Value::Number(version))),
            None => self.read(Ok(Operation::ReadVersion)),
        }
    }

    pub(super) fn get(&self, key: &[u8], snapshot: bool) -> Arc<Future> {
        if !snapshot {
            self.inner().writes.count_read(key, key);
        }
        self.read(check_key(key).map(|()| Operation::Get { key: Bytes::copy_from_slice(key), snapshot }))
    }

    pub(super) fn get_range(&self, range: Result<Range, Code>) -> Arc<Future> {
        let checked = range.and_then(|range| check_range(&range.begin, &range.end).map(|()| range));
        self.read(checked.map(|range| {
            if !range.snapshot {
                self.inner().writes.count_read(&range.begin, &range.end);
            }
            Operation::Range(range)
        }))
    }

    fn read(&self, operation: Result<Operation, Code>) -> Arc<Future> {
        let mut inner = self.inner();
        let future = Future::new();
        let sent = operation.and_then(|operation| {
            inner.check()?;
            if inner.only_writes && inner.writes.any() {
                return Err(Code::CLIENT_INVALID_OPERATION);
            }
            inner.send(&self.client, operation, Waiting::Read(Arc::clone(&future)))
        });
        match sent {
            Ok(_) => future,
            Err(code) => Future::ready(Err(code)),
        }
    }

    pub(super) fn watch(&self, key: &[u8]) -> Arc<Future> {
        let mut inner = self.inner();
        let future = Future::new();
        let operation = Operation::Watch { key: Bytes::copy_from_slice(key) };
        let sent = check_key(key).and_then(|()| {
            inner.check()?;
            // A watch outlives its transaction and so its timeout.
            let timeout = std::mem::take(&mut inner.timeout);
            let sent = inner.send(&self.client, operation, Waiting::Watch(Arc::clone(&future)));
            inner.timeout = timeout;
            sent
        });
        match sent {
            Ok((id, era)) => {
                inner.watches = true;
                let connection = Arc::downgrade(&self.client.0);
                future.on_forget(move || {
                    if let Some(connection) = connection.upgrade() {
                        connection.unwatch(era, id);
                    }
                });
                future
            }
            Err(code) => Future::ready(Err(code)),
        }
    }

    pub(super) fn commit(&self) -> Arc<Future> {
        let mut calls = Vec::new();
        let future = self.begin_commit(&mut calls);
        calls.into_iter().for_each(Call::run);
        future
    }

    fn begin_commit(&self, calls: &mut Vec<Call>) -> Arc<Future> {
        let mut inner = self.inner();
        let future = Future::new();
        let inner_again = Arc::clone(&self.inner);
        let (id, writes) = (inner.id, inner.writes.any());
        let committing = Committing { future: Arc::clone(&future), transaction: inner_again, id, writes };
        if let Err(code) = inner.check() {
            return Future::ready(Err(code));
        }
        let sent = match inner.writes.refused() {
            Some(code) => Err(code),
            None if inner.writes.any() || inner.watches => {
                inner.send(&self.client, Operation::Commit, Waiting::Commit(committing)).map(|_| ())
            }
            None => {
                inner.end(&self.client);
                inner.stage = Stage::Committed(None);
                settle_stamps(&mut inner, Err(Code::NO_COMMIT_VERSION), calls);
                return Future::ready(Ok(Value::Nothing));
            }
        };
        match sent {
            Ok(()) => {
                inner.stage = Stage::Committing;
                future
            }
            Err(code) => {
                inner.end(&self.client);
                inner.stage = Stage::Failed(code);
                settle_stamps(&mut inner, Err(code), calls);
                Future::ready(Err(code))
            }
        }
    }

    /// The version of the commit; −1 if there was none to make, or none yet.
    pub(super) fn committed_version(&self) -> i64 {
        match self.inner().stage {
            Stage::Committed(committed) => committed.map_or(-1, |(version, _)| version),
            Stage::Open | Stage::Committing | Stage::Failed(_) | Stage::Cancelled => -1,
        }
    }

    pub(super) fn get_versionstamp(&self) -> Arc<Future> {
        let mut inner = self.inner();
        match inner.stage {
            Stage::Open | Stage::Committing => {
                let future = Future::new();
                inner.stamps.push(Arc::clone(&future));
                future
            }
            Stage::Committed(Some((_, stamp))) => Future::ready(Ok(key(stamp))),
            Stage::Committed(None) => Future::ready(Err(Code::NO_COMMIT_VERSION)),
            Stage::Failed(code) => Future::ready(Err(code)),
            Stage::Cancelled => Future::ready(Err(Code::TRANSACTION_CANCELLED)),
        }
    }

    pub(super) fn approximate_size(&self) -> i64 {
        i64::try_from(self.inner().writes.size_bytes()).unwrap_or(i64::MAX)
    }

    /// After a pause the transaction is as if new, if it can be retried; else the error comes back.
    pub(super) fn on_error(&self, code: Code) -> Arc<Future> {
        if !code.is_retryable() {
            return Future::ready(Err(code));
        }
        let mut inner = self.inner();
        if matches!(inner.stage, Stage::Cancelled) {
            return Future::ready(Err(Code::TRANSACTION_CANCELLED));
        }
        let (pause, began, timeout, only_writes) = (inner.pause, inner.began, inner.timeout, inner.only_writes);
        drop(inner);
        self.reset();
        inner = self.inner();
        // The timeout is from the first attempt on.
        (inner.pause, inner.began) = ((pause * 2).min(PAUSE_MAX), began);
        (inner.timeout, inner.only_writes) = (timeout, only_writes);
        drop(inner);
        let future = Future::new();
        self.network.after(pause, Arc::clone(&future));
        future
    }

    /// As if new: options are the database's again.
    pub(super) fn reset(&self) {
        let mut calls = Vec::new();
        let mut inner = self.inner();
        inner.end(&self.client);
        settle_stamps(&mut inner, Err(Code::TRANSACTION_CANCELLED), &mut calls);
        inner.id = self.client.0.next_transaction();
        (inner.era, inner.read_version) = (None, None);
        (inner.began, inner.pause) = (Instant::now(), PAUSE_MIN);
        (inner.timeout, inner.only_writes) = (inner.timeout_default, false);
        (inner.writes, inner.watches) = (Writes::default(), false);
        inner.stage = Stage::Open;
        drop(inner);
        calls.into_iter().for_each(Call::run);
    }

    /// Ends it for good, unless it is reset. Reads in flight are answered all the same.
    pub(super) fn cancel(&self) {
        let mut calls = Vec::new();
        let mut inner = self.inner();
        inner.end(&self.client);
        inner.stage = Stage::Cancelled;
        settle_stamps(&mut inner, Err(Code::TRANSACTION_CANCELLED), &mut calls);
        drop(inner);
        calls.into_iter().for_each(Call::run);
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let mut inner = self.inner();
        inner.end(&self.client);
        // A commit in flight goes on, and its stamp with it; else there will be none.
        if !matches!(inner.stage, Stage::Committing) {
            let mut calls = Vec::new();
            settle_stamps(&mut inner, Err(Code::TRANSACTION_CANCELLED), &mut calls);
            calls.into_iter().for_each(super::network::defer);
        }
    }
}

fn key(stamp: Stamp) -> Value {
    Value::Key(Bytes::copy_from_slice(&stamp.0))
}

fn settle_stamps(inner: &mut Inner, result: Result<Stamp, Code>, calls: &mut Vec<Call>) {
    for future in inner.stamps.drain(..) {
        calls.extend(future.complete(result.map(key)));
    }
}

/// A commit in flight.
pub(super) struct Committing {
    future: Arc<Future>,
    transaction: Arc<Mutex<Inner>>,
    /// The transaction's number when it was committed.
    id: u64,
    /// Whether it has a version.
    writes: bool,
}

impl Committing {
    /// The commit has ended.
    pub(super) fn end(self, result: Result<Reply, Code>, calls: &mut Vec<Call>) {
        let result = match result {
            Ok(Reply::Committed(version, stamp)) => Ok(self.writes.then(|| (version.cast_signed(), stamp))),
            Ok(Reply::Failed(code)) | Err(code) => Err(code),
            Ok(Reply::Version(_) | Reply::Value(_) | Reply::Rows(..) | Reply::Done) => Err(Code::INTERNAL_ERROR),
        };
        let mut inner = self.transaction.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have been reset or cancelled meanwhile.
        if inner.id == self.id && matches!(inner.stage, Stage::Committing) {
            inner.stage = match result {
                Ok(committed) => Stage::Committed(committed),
                Err(code) => Stage::Failed(code),
            };
            let stamp = result.and_then(|committed| committed.map(|(_, stamp)| stamp).ok_or(Code::NO_COMMIT_VERSION));
            settle_stamps(&mut inner, stamp, calls);
        }
        drop(inner);
        calls.extend(self.future.complete(result.map(|_| Value::Nothing)));
    }
}
