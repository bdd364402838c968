//! A transaction as the C library shows it: what may be called when, and what its futures come to.
//!
//! Owns its read version if one was set, its timeout and its pause between attempts. What it reads, what it writes and
//! whether it commits is decided by the server, which learns of it with the first request that needs an answer. The
//! first refusal is kept: functions of the C library that return nothing leave their error to the commit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kv::limits::{MUTATION_OVERHEAD_BYTES, STAMP_OFFSET_BYTES, TRANSACTION_BYTES_MAX};
use kv::transaction::STAMP_BYTES;
use serde_bytes::ByteBuf;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout_at};

use super::connection::{Client, Connection, Sent};
use super::future::{Future, Outcome};
use super::network;
use crate::code::Code;
use crate::frame::{Begin, Operation, Range, Reply, Request, Write};

/// First pause before a retry; it doubles each time.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A transaction's handle.
pub(super) struct Transaction {
    client: Arc<Client>,
    inner: Mutex<Inner>,
}

struct Inner {
    /// Unique in the session; another after each retry.
    id: u64,
    /// The connection's era in which the server learnt of it.
    era: Option<u64>,
    began: Instant,
    /// Zero is for ever.
    timeout: Duration,
    /// It was asked not to read its own writes, so it is not to read at all once it wrote: reads here always do.
    only_writes: bool,
    read_version: Option<u64>,
    /// What it has written and not sent.
    unsent: Vec<Write>,
    unsent_bytes: usize,
    writes: bool,
    watches: bool,
    refused: Option<Code>,
    /// Its commit was asked for.
    is_used: bool,
    /// What the commit came to, once it has: the stamp, if there was anything to write.
    committed: watch::Sender<Option<Result<Option<[u8; STAMP_BYTES]>, Code>>>,
    /// The pause before the next retry.
    pause: Duration,
}

impl Inner {
    fn new(client: &Client, timeout: Duration) -> Self {
        Self {
            id: client.connection.next_transaction(),
            era: None,
            began: Instant::now(),
            timeout,
            only_writes: false,
            read_version: None,
            unsent: Vec::new(),
            unsent_bytes: 0,
            writes: false,
            watches: false,
            refused: None,
            is_used: false,
            committed: watch::Sender::new(None),
            pause: PAUSE_MIN,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        (!self.timeout.is_zero()).then(|| self.began + self.timeout)
    }

    /// Nothing is written any more, and the commit fails.
    fn refuse(&mut self, code: Code) {
        self.refused.get_or_insert(code);
        self.unsent = Vec::new();
    }

    /// Sends the writes so far, and a request after them.
    fn send(&mut self, client: &Client, operation: Operation) -> Result<Sent, Code> {
        if self.is_used {
            return Err(Code::USED_DURING_COMMIT);
        }
        if self.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(Code::TRANSACTION_TIMED_OUT);
        }
        let begin = match (self.era, self.read_version) {
            (Some(_), _) => Begin::Continue,
            (None, None) => Begin::Fresh,
            (None, Some(version)) => Begin::At(version),
        };
        self.unsent_bytes = 0;
        let writes = std::mem::take(&mut self.unsent);
        let sent = client.connection.send(self.era, Request { id: 0, transaction: self.id, begin, writes, operation });
        match &sent {
            Ok(sent) => self.era = Some(sent.era),
            // What could not be sent is lost, and with it the transaction.
            Err(code) => self.refuse(*code),
        }
        sent
    }

    /// The server forgets it, unless a commit ends it there anyway.
    fn end(&mut self, client: &Client) {
        if self.era.is_some() && !self.is_used {
            self.timeout = Duration::ZERO;
            // If the era has ended it is forgotten already.
            let _ = self.send(client, Operation::End);
        }
    }
}

impl Transaction {
    pub(super) fn new(client: Arc<Client>, timeout: Duration) -> Self {
        let inner = Mutex::new(Inner::new(&client, timeout));
        Self { client, inner }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_timeout(&self, timeout: Duration) {
        self.inner().timeout = timeout;
    }

    pub(super) fn set_only_writes(&self) {
        self.inner().only_writes = true;
    }

    /// Reads are of this version. It is refused, as FoundationDB refuses it, once there is one.
    pub(super) fn set_read_version(&self, version: u64) {
        let mut inner = self.inner();
        if inner.era.is_some() || inner.read_version.is_some() {
            return inner.refuse(Code::READ_VERSION_ALREADY_SET);
        }
        inner.read_version = Some(version);
    }

    /// Keeps a write for the next request, or the refusal of one.
    pub(super) fn write(&self, write: Result<Write, Code>) {
        let mut inner = self.inner();
        if inner.is_used {
            return inner.refuse(Code::USED_DURING_COMMIT);
        }
        let (write, len_bytes) = match write {
            Ok(write) if inner.refused.is_none() => {
                let len_bytes = MUTATION_OVERHEAD_BYTES + write.len_bytes();
                (write, len_bytes)
            }
            Ok(_) => return,
            Err(code) => return inner.refuse(code),
        };
        inner.writes |= !matches!(write, Write::Reads(..));
        inner.unsent_bytes += len_bytes;
        // The server counts exactly. This bounds the frame.
        if inner.unsent_bytes > TRANSACTION_BYTES_MAX {
            return inner.refuse(Code::TRANSACTION_TOO_LARGE);
        }
        inner.unsent.push(write);
    }

    pub(super) fn get_read_version(&self) -> Arc<Future> {
        let read_version = self.inner().read_version;
        match read_version {
            Some(version) => Future::ready(Ok(Reply::Version(version))),
            None => self.read(Operation::ReadVersion),
        }
    }

    pub(super) fn get(&self, key: ByteBuf, snapshot: bool) -> Arc<Future> {
        self.read(Operation::Get { key, snapshot })
    }

    pub(super) fn get_range(&self, range: Range) -> Arc<Future> {
        self.read(Operation::Range(range))
    }

    fn read(&self, operation: Operation) -> Arc<Future> {
        let mut inner = self.inner();
        if inner.only_writes && inner.writes {
            return Future::ready(Err(Code::CLIENT_INVALID_OPERATION));
        }
        match inner.send(&self.client, operation) {
            Ok(sent) => Future::spawn(within(inner.deadline(), sent.answer)),
            Err(code) => Future::ready(Err(code)),
        }
    }

    /// Unlike reads a watch outlives its transaction, and so the transaction's timeout.
    pub(super) fn watch(&self, key: ByteBuf) -> Arc<Future> {
        /// Tells the server that nobody waits any more, however that came.
        struct Watching(Arc<Connection>, u64, u64);
        impl Drop for Watching {
            fn drop(&mut self) {
                self.0.unwatch(self.1, self.2);
            }
        }
        let mut inner = self.inner();
        let Sent { id, era, answer } = match inner.send(&self.client, Operation::Watch { key }) {
            Ok(sent) => sent,
            Err(code) => return Future::ready(Err(code)),
        };
        inner.watches = true;
        let watching = Watching(Arc::clone(&self.client.connection), era, id);
        Future::spawn(async move {
            let _until_answered = watching;
            within(None, answer).await
        })
    }

    pub(super) fn commit(&self) -> Arc<Future> {
        let mut inner = self.inner();
        if inner.is_used {
            return Future::ready(Err(Code::USED_DURING_COMMIT));
        }
        let (deadline, wrote) = (inner.deadline(), inner.writes);
        let handed_in = match inner.refused {
            Some(code) => Err(code),
            None if wrote || inner.watches => inner.send(&self.client, Operation::Commit).map(Some),
            None => Ok(None),
        };
        if !matches!(handed_in, Ok(Some(_))) {
            inner.end(&self.client);
        }
        inner.is_used = true;
        let committed = inner.committed.clone();
        let mut known = committed.subscribe();
        // Not by the commit's own future: whoever gives that up may still wait for the stamp.
        let committing = network::spawn(async move {
            let outcome = match handed_in {
                Ok(Some(sent)) => within(deadline, sent.answer).await,
                Ok(None) => Ok(Reply::Done),
                Err(code) => Err(code),
            };
            committed.send_replace(Some(outcome.map(|reply| match reply {
                Reply::Committed(stamp) if wrote => Some(stamp),
                _ => None,
            })));
        });
        match committing {
            Ok(_) => Future::spawn(async move { outcome(&mut known).await.map(|_| Reply::Done) }),
            Err(code) => Future::ready(Err(code)),
        }
    }

    pub(super) fn get_versionstamp(&self) -> Arc<Future> {
        let mut known = self.inner().committed.subscribe();
        Future::spawn(async move {
            let stamp = outcome(&mut known).await?;
            stamp.map(Reply::Committed).ok_or(Code::NO_COMMIT_VERSION)
        })
    }

    /// After a pause the transaction is as if new, with its options and the time when it began, if it can be retried;
    /// else the error comes back.
    pub(super) fn on_error(&self, code: Code) -> Arc<Future> {
        if !code.is_retryable_not_committed() && !code.is_maybe_committed() {
            return Future::ready(Err(code));
        }
        let mut inner = self.inner();
        let Inner { began, timeout, only_writes, pause, .. } = *inner;
        inner.end(&self.client);
        let next_pause = (pause * 2).min(PAUSE_MAX);
        *inner = Inner { began, only_writes, pause: next_pause, ..Inner::new(&self.client, timeout) };
        Future::spawn(async move {
            sleep(pause).await;
            Ok(Reply::Done)
        })
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.inner().end(&self.client);
    }
}

/// What a request comes to, or 1031 after `deadline`.
async fn within(deadline: Option<Instant>, answer: oneshot::Receiver<Outcome>) -> Outcome {
    let answered = match deadline {
        Some(deadline) => timeout_at(deadline.into(), answer).await.map_err(|_| Code::TRANSACTION_TIMED_OUT)?,
        None => answer.await,
    };
    answered.unwrap_or(Err(Code::OPERATION_CANCELLED))
}

type Known = watch::Receiver<Option<Result<Option<[u8; STAMP_BYTES]>, Code>>>;

/// What a commit came to; 1025 if it was never asked for.
async fn outcome(known: &mut Known) -> Result<Option<[u8; STAMP_BYTES]>, Code> {
    let known = known.wait_for(Option::is_some).await.map_err(|_| Code::TRANSACTION_CANCELLED)?;
    known.expect("waited for")
}

impl Write {
    /// A write by the C library's number of its operation.
    ///
    /// # Errors
    /// 2018 for an operation that Rookery never asks for; 2000 for an operand without room for its stamp.
    pub(super) fn atomic(operation: i32, key: ByteBuf, operand: ByteBuf) -> Result<Self, Code> {
        match operation {
            2 => Ok(Self::Add(key, operand)),
            12 => Ok(Self::Max(key, operand)),
            14 => stamp_place(&key).map(|(prefix, suffix)| Self::StampedKey(prefix, suffix, operand)),
            15 => stamp_place(&operand).map(|(prefix, suffix)| Self::StampedValue(key, prefix, suffix)),
            _ => Err(Code::INVALID_MUTATION_TYPE),
        }
    }

    fn len_bytes(&self) -> usize {
        match self {
            Self::Clear(key) => key.len(),
            Self::Set(one, other)
            | Self::ClearRange(one, other)
            | Self::Add(one, other)
            | Self::Max(one, other)
            | Self::Reads(one, other) => one.len() + other.len(),
            Self::StampedKey(one, other, third) | Self::StampedValue(one, other, third) => {
                one.len() + other.len() + third.len()
            }
        }
    }
}

/// What lies before and after the 10 bytes that the stamp replaces. Where they begin is said by the last four.
fn stamp_place(bytes: &[u8]) -> Result<(ByteBuf, ByteBuf), Code> {
    let place = || {
        let (row, offset) = bytes.split_last_chunk::<STAMP_OFFSET_BYTES>()?;
        let begin = u32::from_le_bytes(*offset) as usize;
        let end = begin.checked_add(STAMP_BYTES).filter(|end| *end <= row.len())?;
        Some((ByteBuf::from(&row[..begin]), ByteBuf::from(&row[end..])))
    };
    place().ok_or(Code::CLIENT_INVALID_OPERATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_goes_where_the_last_four_bytes_say() {
        let check = |row: &[u8], offset: u32, expected: Option<(&str, &str)>| {
            let found = stamp_place(&[row, &offset.to_le_bytes()].concat());
            let expected = expected.map(|(prefix, suffix)| (ByteBuf::from(prefix), ByteBuf::from(suffix)));
            assert_eq!(found, expected.ok_or(Code::CLIENT_INVALID_OPERATION), "{row:?} {offset}");
        };
        check(b"p..........s", 1, Some(("p", "s")));
        check(b"..........", 0, Some(("", "")));
        check(b"..........s", 2, None);
        check(b".........", 0, None);
        check(b"", u32::MAX, None);
        assert_eq!(stamp_place(b"abc"), Err(Code::CLIENT_INVALID_OPERATION));
    }
}
