//! The open transactions of one connection, and what a request does to its own.
//!
//! Owns them by the client's number. A request makes the writes that came with it, then does what it asks for: a read
//! is answered at once, since reads of our engines never wait; a commit is handed in, and answered when it is durable.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::poll_once;
use kv::{Atomic, Begin, Engine, Error, RangeRequest, Transaction, Version};
use serde_bytes::ByteBuf;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::calls::{Calls, Written};
use super::connection::Replies;
use super::control::{Alive, Control};
use super::faults::Fault;
use crate::code::Code;
use crate::frame::{self, Operation, PAGE_BYTES_MAX, PAGE_ROWS_MAX, Range, Reply, Request, Write};

/// Transactions that a connection has open. A node has as many as it has reads in flight, some thousand; one more is
/// refused as 1037, unless there are such that have outlived their life.
pub(super) const TRANSACTIONS_MAX: usize = 10_000;

/// Commits that a connection has under way, their answers until the peer takes them included; further requests are not
/// read meanwhile.
const COMMITS_MAX: usize = 1_000;

pub(super) struct Transactions<E: Engine> {
    engine: E,
    answers: Answers,
    commits: Arc<Semaphore>,
    alive: Alive,
    open: HashMap<u64, Open<E>>,
    watches: HashMap<u64, AbortHandle>,
}

struct Open<E: Engine> {
    tx: E::Tx,
    began: Instant,
    written: Written,
    /// Whether it writes, or declares to.
    writes: bool,
}

/// Why a request is not answered as it wants to be.
enum Failed {
    /// It is answered so.
    With(Code),
    /// The connection is cut.
    Cut,
}

impl<E: Into<Code>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::With(error.into())
    }
}

/// Where answers go, and are counted.
#[derive(Clone)]
struct Answers {
    control: Arc<Control>,
    replies: Replies,
}

impl Answers {
    async fn send(&self, id: u64, answer: Result<Reply, Code>) {
        let reply = answer.unwrap_or_else(Reply::Failed);
        let delay = {
            let mut state = self.control.state();
            if let Reply::Failed(code) = reply {
                *state.calls.errors.entry(code.0).or_default() += 1;
            }
            state.fate.delay()
        };
        // A connection that was cut wants no answers.
        let _gone = self.replies.send((Instant::now() + delay, id, reply)).await;
    }
}

impl<E: Engine> Transactions<E> {
    pub(super) fn new(engine: E, control: Arc<Control>, replies: Replies, alive: Alive) -> Self {
        let answers = Answers { control, replies };
        let commits = Arc::new(Semaphore::new(COMMITS_MAX));
        Self { engine, answers, commits, alive, open: HashMap::new(), watches: HashMap::new() }
    }

    /// Does what `request` asks for. Its reply is on its way, or comes later.
    ///
    /// # Errors
    /// A fault that cuts the connection.
    pub(super) async fn handle(&mut self, request: Request) -> io::Result<()> {
        let Request { id, transaction, begin, writes, operation } = request;
        let answer = match self.perform(id, transaction, begin, writes, operation).await {
            Ok(None) => return Ok(()),
            Ok(Some(reply)) => Ok(reply),
            Err(Failed::With(code)) => Err(code),
            Err(Failed::Cut) => return Err(io::Error::other("a fault was asked for")),
        };
        self.answers.send(id, answer).await;
        Ok(())
    }

    /// What the request comes to, if that is known at once.
    async fn perform(
        &mut self,
        id: u64,
        transaction: u64,
        begin: frame::Begin,
        writes: Vec<Write>,
        operation: Operation,
    ) -> Result<Option<Reply>, Failed> {
        if let Operation::Unwatch { request } = operation {
            self.watches.remove(&request).into_iter().for_each(|watch| watch.abort());
            return Ok(None);
        }
        if operation == Operation::End {
            self.open.remove(&transaction);
            return Ok(None);
        }
        self.begin(transaction, begin)?;
        let control = Arc::clone(&self.answers.control);
        let open = self.open.get_mut(&transaction).expect("it has just begun, or was there");
        writes.into_iter().for_each(|write| open.write(write));
        Ok(Some(match operation {
            Operation::ReadVersion => {
                meet_read(&control, |calls| &mut calls.read_versions)?;
                Reply::Version(open.tx.read_version().await?.0)
            }
            Operation::Get { key, snapshot } => {
                meet_read(&control, |calls| &mut calls.gets)?;
                let value = if snapshot { open.tx.snapshot_get(&key).await? } else { open.tx.get(&key).await? };
                Reply::Value(value.map(ByteBuf::from))
            }
            Operation::Range(range) => {
                meet_read(&control, |calls| &mut calls.ranges)?;
                open.range(range).await?
            }
            Operation::Watch { key } => {
                control.state().calls.watches += 1;
                let (changed, answers) = (open.tx.watch(&key), self.answers.clone());
                let watching = tokio::spawn(async move {
                    let answer = changed.await.map(|()| Reply::Done).map_err(|error| match error {
                        // The engine has one word for what is full; FoundationDB has one for each.
                        Error::Throttled => Code::TOO_MANY_WATCHES,
                        error => error.into(),
                    });
                    answers.send(id, answer).await;
                });
                self.watches.insert(id, watching.abort_handle());
                return Ok(None);
            }
            Operation::Commit => {
                let open = self.open.remove(&transaction).expect("just seen");
                self.commit(id, open).await?;
                return Ok(None);
            }
            Operation::End | Operation::Unwatch { .. } => unreachable!("handled above"),
        }))
    }

    fn begin(&mut self, transaction: u64, begin: frame::Begin) -> Result<(), Code> {
        let begin = match begin {
            // Forgotten for its age.
            frame::Begin::Continue if !self.open.contains_key(&transaction) => return Err(Code::TRANSACTION_TOO_OLD),
            frame::Begin::Continue => return Ok(()),
            frame::Begin::Fresh => Begin::Fresh,
            frame::Begin::At(version) => Begin::At(Version(version)),
        };
        if self.open.len() >= TRANSACTIONS_MAX {
            let life = Duration::from_millis(kv::limits::TRANSACTION_LIFE_MS);
            self.open.retain(|_, open| open.began.elapsed() <= life);
            if self.open.len() >= TRANSACTIONS_MAX {
                tracing::warn!(limit = TRANSACTIONS_MAX, "too many transactions on a connection, one is refused");
                return Err(Code::PROCESS_BEHIND);
            }
        }
        self.answers.control.state().calls.begun += 1;
        let (tx, began) = (self.engine.begin(begin), Instant::now());
        self.open.insert(transaction, Open { tx, began, written: Written::default(), writes: false });
        Ok(())
    }

    /// Hands in a commit, in the order of requests, and answers when it has ended.
    async fn commit(&self, id: u64, open: Open<E>) -> Result<(), Failed> {
        let fault = {
            let mut state = self.answers.control.state();
            state.calls.commits += 1;
            if open.writes { state.fate.commit()? } else { Fault::None }
        };
        if let Some(code) = fault.code() {
            return Err(code.into());
        }
        if fault == Fault::Cut {
            return Err(Failed::Cut);
        }
        let place = Arc::clone(&self.commits).acquire_owned().await.expect("it is never closed");
        let (answers, alive) = (self.answers.clone(), Arc::clone(&self.alive));
        let mut committing = Box::pin(async move {
            let committed = open.tx.commit().await;
            if committed.is_ok() {
                let calls = &mut answers.control.state().calls;
                calls.committed += 1;
                calls.written += open.written;
            }
            let answer = match committed {
                Ok(_) if fault == Fault::UnknownCommitted => Err(Code::COMMIT_UNKNOWN_RESULT),
                Ok(committed) => Ok(Reply::Committed(committed.stamp.0)),
                Err(error) => Err(error.into()),
            };
            drop(alive);
            answers.send(id, answer).await;
            drop(place);
        });
        if poll_once(&mut committing).await.is_none() {
            tokio::spawn(committing);
        }
        if fault == Fault::CutCommitted { Err(Failed::Cut) } else { Ok(()) }
    }
}

impl<E: Engine> Drop for Transactions<E> {
    fn drop(&mut self) {
        self.watches.values().for_each(AbortHandle::abort);
    }
}

/// Counts a read, and fails it if that is its fate.
fn meet_read(control: &Control, count: impl FnOnce(&mut Calls) -> &mut u64) -> Result<(), Failed> {
    let mut state = control.state();
    *count(&mut state.calls) += 1;
    match state.fate.read() {
        Fault::Cut => Err(Failed::Cut),
        fault => fault.code().map_or(Ok(()), |code| Err(code.into())),
    }
}

impl<E: Engine> Open<E> {
    fn write(&mut self, write: Write) {
        self.writes |= !matches!(write, Write::Reads(..));
        let tx = &mut self.tx;
        let row_bytes = match &write {
            Write::Set(key, value) => {
                tx.set(key, value);
                key.len() + value.len()
            }
            Write::Add(key, operand) => {
                tx.atomic(Atomic::Add, key, operand);
                key.len() + operand.len()
            }
            Write::Max(key, operand) => {
                tx.atomic(Atomic::Max, key, operand);
                key.len() + operand.len()
            }
            Write::StampedKey(prefix, suffix, value) => {
                tx.set_versionstamped_key(prefix, suffix, value);
                prefix.len() + suffix.len() + value.len()
            }
            Write::StampedValue(key, prefix, suffix) => {
                tx.set_versionstamped_value(key, prefix, suffix);
                key.len() + prefix.len() + suffix.len()
            }
            Write::Clear(key) => {
                tx.clear(key);
                return self.written.rows_cleared += 1;
            }
            Write::ClearRange(begin, end) => {
                tx.clear_range(begin, end);
                return self.written.ranges_cleared += 1;
            }
            Write::Reads(begin, end) => return tx.add_read_conflict(begin, end),
        };
        self.written.rows += 1;
        self.written.bytes += row_bytes as u64;
    }

    async fn range(&self, range: Range) -> Result<Reply, Error> {
        let Range { begin, end, limit_rows, limit_bytes, reverse, snapshot } = range;
        let request = RangeRequest { reverse, ..RangeRequest::new(begin.into_vec(), end.into_vec()) }
            .rows(limit_rows.min(PAGE_ROWS_MAX));
        let request = request.bytes(limit_bytes.min(PAGE_BYTES_MAX));
        let page = match snapshot {
            true => self.tx.snapshot_get_range(&request).await?,
            false => self.tx.get_range(&request).await?,
        };
        Ok(Reply::Rows(
            page.rows.into_iter().map(|row| (ByteBuf::from(row.key), ByteBuf::from(row.value))).collect(),
            page.more,
        ))
    }
}
