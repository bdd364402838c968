//! The open transactions of one connection, and what a request does to its own.
//!
//! Owns them by the client's number. A request makes the writes that came with it, then does what it asks for: a read is
//! answered at once, since reads of our engines never wait; a commit is handed in, and answered when it is durable.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_lite::future::block_on;
use kv::{Atomic, Begin, Engine, Error, RangeRequest, Transaction, Version};

use super::calls::{Calls, CommitRows};
use super::control::{Control, Outbox};
use super::faults::{Fault, ReadFault};
use super::task::Task;
use crate::code::Code;
use crate::frame::{self, Malformed, Operation, PAGE_BYTES_MAX, PAGE_ROWS_MAX, Range, Reply, Request, Write};
use crate::link::Broken;

/// Transactions that a connection has open. A node has as many as it has reads in flight, some thousand; one more is
/// refused as 1037, unless there are such that have outlived their life.
pub(super) const TRANSACTIONS_MAX: usize = 10_000;

pub(super) struct Transactions<E: Engine> {
    engine: E,
    control: Arc<Control>,
    outbox: Arc<Outbox>,
    open: HashMap<u64, Open<E>>,
    watches: HashMap<u64, Arc<Task>>,
}

struct Open<E: Engine> {
    tx: E::Tx,
    began: std::time::Instant,
    rows: CommitRows,
    /// Whether it writes, or declares to.
    writes: bool,
}

impl<E: Engine> Transactions<E> {
    pub(super) fn new(engine: E, control: Arc<Control>, outbox: Arc<Outbox>) -> Self {
        Self { engine, control, outbox, open: HashMap::new(), watches: HashMap::new() }
    }

    /// Does what `request` asks for. Its reply is in the outbox, or comes there.
    pub(super) fn handle(&mut self, request: Request) -> Result<(), Broken> {
        let Request { id, transaction, begin, writes, operation } = request;
        match operation {
            Operation::End => {
                self.open.remove(&transaction);
                return Ok(());
            }
            Operation::Unwatch { request } => {
                if let Some(task) = self.watches.remove(&request) {
                    task.cancel();
                }
                return Ok(());
            }
            Operation::ReadVersion
            | Operation::Get { .. }
            | Operation::Range(_)
            | Operation::Watch { .. }
            | Operation::Commit => {}
        }
        if let Err(code) = self.begin(transaction, begin) {
            self.fail(id, code);
            return Ok(());
        }
        let open = self.open.get_mut(&transaction).expect("it has just begun, or was there");
        open.write(writes)?;
        match operation {
            Operation::ReadVersion => {
                let read = self.read(id, |calls| calls.read_versions += 1)?;
                self.answer(id, read, transaction, |open| {
                    block_on(open.tx.read_version()).map(|version| Reply::Version(version.0))
                });
            }
            Operation::Get { key, snapshot } => {
                let read = self.read(id, |calls| calls.gets += 1)?;
                self.answer(id, read, transaction, |open| open.get(&key, snapshot));
            }
            Operation::Range(range) => {
                let read = self.read(id, |calls| calls.ranges += 1)?;
                self.answer(id, read, transaction, |open| open.range(range));
            }
            Operation::Watch { key } => self.watch(id, transaction, &key),
            Operation::Commit => {
                let open = self.open.remove(&transaction).expect("just seen");
                self.commit(id, open)?;
            }
            Operation::End | Operation::Unwatch { .. } => unreachable!("handled above"),
        }
        Ok(())
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
            let life_ms = u128::from(kv::limits::TRANSACTION_LIFE_MS);
            self.open.retain(|_, open| open.began.elapsed().as_millis() <= life_ms);
            if self.open.len() >= TRANSACTIONS_MAX {
                tracing::warn!(limit = TRANSACTIONS_MAX, "too many transactions on a connection, one is refused");
                return Err(Code::PROCESS_BEHIND);
            }
        }
        self.control.state().counts.calls.begun += 1;
        let (tx, began) = (self.engine.begin(begin), std::time::Instant::now());
        self.open.insert(transaction, Open { tx, began, rows: CommitRows::default(), writes: false });
        Ok(())
    }

    fn fail(&self, id: u64, code: Code) {
        self.control.state().counts.failed(code);
        self.outbox.reply(id, &Reply::Failed(code));
    }

    /// Counts a read, and fails it if that is its fate: then there is nothing left to answer.
    fn read(&self, id: u64, count: impl FnOnce(&mut Calls)) -> Result<bool, Broken> {
        let fault = {
            let mut state = self.control.state();
            count(&mut state.counts.calls);
            state.fate.read()
        };
        let code = match fault {
            ReadFault::None => return Ok(true),
            ReadFault::TooOld => Code::TRANSACTION_TOO_OLD,
            ReadFault::FutureVersion => Code::FUTURE_VERSION,
            ReadFault::Behind => Code::PROCESS_BEHIND,
            ReadFault::Cut => return Err(Broken::Cut("a fault was asked for")),
        };
        self.fail(id, code);
        Ok(false)
    }

    fn answer(&self, id: u64, read: bool, transaction: u64, answer: impl FnOnce(&Open<E>) -> Result<Reply, Error>) {
        if !read {
            return;
        }
        match answer(&self.open[&transaction]) {
            Ok(reply) => self.outbox.reply(id, &reply),
            Err(error) => self.fail(id, Code::from(&error)),
        }
    }

    fn watch(&mut self, id: u64, transaction: u64, key: &[u8]) {
        self.control.state().counts.calls.watches += 1;
        self.watches.retain(|_, task| !task.is_done());
        let open = self.open.get_mut(&transaction).expect("it has just begun, or was there");
        let changed = open.tx.watch(key);
        let (outbox, control) = (Arc::clone(&self.outbox), Arc::clone(&self.control));
        let task = Task::run(async move {
            let reply = match changed.await {
                Ok(()) => Reply::Done,
                // The engine has one word for what is full; FoundationDB has one for each.
                Err(Error::Throttled) => Reply::Failed(Code::TOO_MANY_WATCHES),
                Err(error) => Reply::Failed(Code::from(&error)),
            };
            if let Reply::Failed(code) = reply {
                control.state().counts.failed(code);
            }
            outbox.reply_and_raise(id, &reply);
        });
        self.watches.insert(id, task);
    }

    fn commit(&self, id: u64, open: Open<E>) -> Result<(), Broken> {
        let fault = {
            let mut state = self.control.state();
            state.counts.calls.commits += 1;
            match open.writes.then(|| state.fate.full()).flatten() {
                Some(code) => Err(code),
                None if open.writes => Ok(state.fate.commit()),
                None => Ok(Fault::None),
            }
        };
        const CUT: Broken = Broken::Cut("a fault was asked for");
        let (forget, cut) = match fault {
            Ok(Fault::None) => (false, false),
            Ok(Fault::UnknownCommitted) => (true, false),
            Ok(Fault::CutCommitted) => (true, true),
            Ok(Fault::CutLost) => return Err(CUT),
            Ok(Fault::Conflict) => return self.refuse(id, Code::NOT_COMMITTED),
            Ok(Fault::UnknownLost) => return self.refuse(id, Code::COMMIT_UNKNOWN_RESULT),
            Ok(Fault::TooOld) => return self.refuse(id, Code::TRANSACTION_TOO_OLD),
            Ok(Fault::FutureVersion) => return self.refuse(id, Code::FUTURE_VERSION),
            Ok(Fault::Behind) => return self.refuse(id, Code::PROCESS_BEHIND),
            Err(code) => return self.refuse(id, code),
        };
        let (outbox, control) = (Arc::clone(&self.outbox), Arc::clone(&self.control));
        let in_flight = outbox.begin_commit();
        Task::run(async move {
            let result = open.tx.commit().await;
            let reply = {
                let mut state = control.state();
                if result.is_ok() {
                    state.counts.committed(open.rows);
                }
                let reply = match result {
                    Ok(_) if forget => Reply::Failed(Code::COMMIT_UNKNOWN_RESULT),
                    Ok(committed) => Reply::Committed(committed.version.0, committed.stamp),
                    Err(error) => Reply::Failed(Code::from(&error)),
                };
                if let Reply::Failed(code) = reply {
                    state.counts.failed(code);
                }
                reply
            };
            outbox.reply_and_raise(id, &reply);
            drop(in_flight);
        });
        if cut { Err(CUT) } else { Ok(()) }
    }

    fn refuse(&self, id: u64, code: Code) -> Result<(), Broken> {
        self.fail(id, code);
        Ok(())
    }
}

impl<E: Engine> Open<E> {
    /// Makes the writes, in their order.
    fn write(&mut self, mut writes: Bytes) -> Result<(), Malformed> {
        while let Some(write) = Write::take(&mut writes)? {
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
                    self.rows.cleared += 1;
                    continue;
                }
                Write::ClearRange(begin, end) => {
                    tx.clear_range(begin, end);
                    self.rows.ranges_cleared += 1;
                    continue;
                }
                Write::Reads(begin, end) => {
                    tx.add_read_conflict(begin, end);
                    continue;
                }
            };
            self.rows.written += 1;
            self.rows.bytes = self.rows.bytes.saturating_add(u32::try_from(row_bytes).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    fn get(&self, key: &[u8], snapshot: bool) -> Result<Reply, Error> {
        let value = if snapshot { block_on(self.tx.snapshot_get(key)) } else { block_on(self.tx.get(key)) };
        value.map(Reply::Value)
    }

    fn range(&self, range: Range) -> Result<Reply, Error> {
        let Range { begin, end, limit_rows, limit_bytes, reverse, snapshot } = range;
        let request = RangeRequest { reverse, ..RangeRequest::new(begin, end) }.rows(limit_rows.min(PAGE_ROWS_MAX));
        let request = request.bytes(limit_bytes.min(PAGE_BYTES_MAX));
        let page = if snapshot {
            block_on(self.tx.snapshot_get_range(&request))
        } else {
            block_on(self.tx.get_range(&request))
        }?;
        Ok(Reply::Rows(page.rows.into_iter().map(|row| (row.key, row.value)).collect(), page.more))
    }
}
