//! One database's connection, as the calling threads see it: what is to be sent, and who waits for what.
//!
//! Owns the queue of frames, the requests in flight and the *era*: a number that grows whenever the connection breaks. A
//! transaction belongs to the era in which it was begun, since the server forgets it with the connection. The socket is
//! the network thread's ([`super::line`]).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::future::{Call, Future, Value};
use super::network::Network;
use super::transaction::Committing;
use crate::code::Code;
use crate::frame::{Operation, Reply, Request, Session};

/// Bytes of frames that wait for the connection, beyond which requests end in 1037. Six of the largest transactions,
/// or half a million reads.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// One database's connection.
pub(super) struct Connection {
    pub(super) address: SocketAddr,
    pub(super) session: Session,
    network: &'static Network,
    last_transaction: AtomicU64,
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    era: u64,
    /// Frames of this era that the network thread is to write.
    queue: Vec<u8>,
    last_id: u64,
    in_flight: HashMap<u64, InFlight>,
    /// Commits of eras that have ended, whose outcome is unknown and not yet settled.
    unsettled: Vec<InFlight>,
    /// Nobody uses it any more.
    closed: bool,
}

struct InFlight {
    waiting: Waiting,
    deadline: Option<Instant>,
}

/// Who waits for a reply.
pub(super) enum Waiting {
    /// For a read.
    Read(Arc<Future>),
    /// For a change.
    Watch(Arc<Future>),
    /// For a commit.
    Commit(Committing),
    /// Nobody.
    None,
}

impl Waiting {
    fn end(self, result: Result<Reply, Code>, calls: &mut Vec<Call>) {
        match self {
            Self::Read(future) | Self::Watch(future) => calls.extend(future.complete(result.and_then(value))),
            Self::Commit(committing) => committing.end(result, calls),
            Self::None => {}
        }
    }
}

/// A reply as a future's value.
fn value(reply: Reply) -> Result<Value, Code> {
    Ok(match reply {
        Reply::Failed(code) => return Err(code),
        Reply::Version(version) => Value::Number(version.cast_signed()),
        Reply::Value(value) => Value::Row(value),
        Reply::Rows(rows, more) => Value::Rows(super::capi::KeyValues::new(rows, more)),
        Reply::Done => Value::Nothing,
        Reply::Committed(..) => return Err(Code::INTERNAL_ERROR),
    })
}

impl Connection {
    pub(super) fn new(network: &'static Network, address: SocketAddr, session: Session) -> Self {
        Self { address, session, network, last_transaction: AtomicU64::new(0), shared: Mutex::default() }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a transaction, unique in the session.
    pub(super) fn next_transaction(&self) -> u64 {
        self.last_transaction.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Queues a request of a transaction that was begun in `era`, or begins now. The request gets its id, which is
    /// returned with the era that it was queued in.
    ///
    /// # Errors
    /// 1007 if that era has ended; 1037 if too much is queued. Nothing was queued then.
    pub(super) fn send(
        &self,
        era: Option<u64>,
        mut request: Request,
        waiting: Waiting,
        deadline: Option<Instant>,
    ) -> Result<(u64, u64), Code> {
        let mut shared = self.shared();
        if era.is_some_and(|era| era != shared.era) {
            return Err(Code::TRANSACTION_TOO_OLD);
        }
        if shared.queue.len() > QUEUE_BYTES_MAX {
            return Err(Code::PROCESS_BEHIND);
        }
        shared.last_id += 1;
        request.id = shared.last_id;
        request.put(&mut shared.queue);
        let era = shared.era;
        // What nobody waits for can go with what comes next.
        let raises = match waiting {
            Waiting::None => false,
            waiting @ (Waiting::Read(_) | Waiting::Watch(_) | Waiting::Commit(_)) => {
                shared.in_flight.insert(request.id, InFlight { waiting, deadline });
                true
            }
        };
        drop(shared);
        if raises {
            self.network.raise();
        }
        Ok((request.id, era))
    }

    /// Nobody waits for the watch with this id any more.
    pub(super) fn unwatch(&self, era: u64, id: u64) {
        let was_waiting = self.shared().in_flight.remove(&id).is_some();
        if was_waiting {
            let operation = Operation::Unwatch { request: id };
            let request = Request::without_transaction(operation);
            // If the era has ended, or too much is queued, the server finds out by itself.
            let _ = self.send(Some(era), request, Waiting::None, None);
        }
    }

    /// Moves what is to be sent to `output`.
    pub(super) fn collect(&self, output: &mut Vec<u8>) {
        output.append(&mut self.shared().queue);
    }

    /// Ends the request `id`, if anybody still waits for it.
    pub(super) fn replied(&self, replies: Vec<(u64, Reply)>, calls: &mut Vec<Call>) {
        let mut ended = Vec::with_capacity(replies.len());
        let mut shared = self.shared();
        for (id, reply) in replies {
            ended.extend(shared.in_flight.remove(&id).map(|in_flight| (in_flight.waiting, reply)));
        }
        drop(shared);
        for (waiting, reply) in ended {
            waiting.end(Ok(reply), calls);
        }
    }

    /// The connection broke: the server forgets every open transaction. Reads end in 1007, watches as if their keys had
    /// changed, and commits stay unsettled.
    pub(super) fn broken(&self, calls: &mut Vec<Call>) {
        let mut shared = self.shared();
        shared.era += 1;
        shared.queue.clear();
        let mut ended = Vec::new();
        for in_flight in std::mem::take(&mut shared.in_flight).into_values() {
            match in_flight.waiting {
                Waiting::Commit(_) => shared.unsettled.push(in_flight),
                Waiting::Read(_) => ended.push((in_flight.waiting, Err(Code::TRANSACTION_TOO_OLD))),
                Waiting::Watch(_) => ended.push((in_flight.waiting, Ok(Reply::Done))),
                Waiting::None => {}
            }
        }
        drop(shared);
        for (waiting, result) in ended {
            waiting.end(result, calls);
        }
    }

    /// The server says that nothing of the connections before can still commit: what is unsettled ends in 1021.
    pub(super) fn settled(&self, calls: &mut Vec<Call>) {
        let unsettled = std::mem::take(&mut self.shared().unsettled);
        for in_flight in unsettled {
            in_flight.waiting.end(Err(Code::COMMIT_UNKNOWN_RESULT), calls);
        }
    }

    /// Ends in 1031 what has waited for too long. Whether anything is left that may have to.
    pub(super) fn expire(&self, now: Instant, calls: &mut Vec<Call>) -> bool {
        let mut shared = self.shared();
        let is_late = |in_flight: &InFlight| in_flight.deadline.is_some_and(|deadline| deadline <= now);
        let mut late: Vec<InFlight> = shared.unsettled.extract_if(.., |in_flight| is_late(in_flight)).collect();
        late.extend(shared.in_flight.extract_if(|_, in_flight| is_late(in_flight)).map(|(_, in_flight)| in_flight));
        let mut left = shared.in_flight.values().chain(&shared.unsettled);
        let left = left.any(|in_flight| in_flight.deadline.is_some());
        drop(shared);
        for in_flight in late {
            in_flight.waiting.end(Err(Code::TRANSACTION_TIMED_OUT), calls);
        }
        left
    }

    pub(super) fn is_closed(&self) -> bool {
        self.shared().closed
    }
}

/// What a database and its transactions share. The connection closes with the last of them.
pub(super) struct Client(pub(super) Arc<Connection>);

impl Drop for Client {
    fn drop(&mut self) {
        self.0.shared().closed = true;
        self.0.network.raise();
    }
}
