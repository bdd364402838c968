//! One database's connection: what is to be sent, who waits for what, and the socket, connected again and again, for
//! ever.
//!
//! Owns the queue of frames, the requests in flight and the *era*: a number that grows whenever the connection breaks.
//! A transaction belongs to the era in which it was begun, since the server forgets it with the connection. The server
//! greets only when nothing of the connection before can still commit, so that commits whose connection broke are
//! settled then.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::future::Outcome;
use super::network;
use crate::code::Code;
use crate::frame::{Begin, Hello, Operation, Reply, Request, Session, encode, read};

/// Bytes of frames that wait for the connection, beyond which requests end in 1037. Six of the largest transactions,
/// or half a million reads.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// First pause before connecting again; it doubles each time.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// A server that accepts and does not greet within this time is tried anew: it may have been started again meanwhile.
const GREETING_MAX: Duration = Duration::from_secs(10);

/// One database's connection.
pub(super) struct Connection {
    session: Session,
    last_transaction: AtomicU64,
    shared: Mutex<Shared>,
    /// There is something in the queue.
    queued: Notify,
}

#[derive(Default)]
struct Shared {
    era: u64,
    /// Frames of this era that are to be written.
    queue: Vec<u8>,
    last_id: u64,
    in_flight: HashMap<u64, InFlight>,
    /// Commits of eras that have ended, whose outcome is unknown and not yet settled.
    unsettled: Vec<oneshot::Sender<Outcome>>,
}

struct InFlight {
    answer: oneshot::Sender<Outcome>,
    /// What it comes to if the connection breaks; `None` for a commit.
    broken: Option<Outcome>,
}

/// A request that was queued.
pub(super) struct Sent {
    pub(super) id: u64,
    /// The era that it was queued in.
    pub(super) era: u64,
    /// What it comes to. Never comes where none is given.
    pub(super) answer: oneshot::Receiver<Outcome>,
}

impl Connection {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a transaction, unique in the session.
    pub(super) fn next_transaction(&self) -> u64 {
        self.last_transaction.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Queues a request of a transaction that was begun in `era`, or begins now. The request gets its id.
    ///
    /// # Errors
    /// 1007 if that era has ended; 1037 if too much is queued. Nothing was queued then.
    pub(super) fn send(&self, era: Option<u64>, mut request: Request) -> Result<Sent, Code> {
        let mut shared = self.shared();
        if era.is_some_and(|era| era != shared.era) {
            return Err(Code::TRANSACTION_TOO_OLD);
        }
        if shared.queue.len() > QUEUE_BYTES_MAX {
            return Err(Code::PROCESS_BEHIND);
        }
        shared.last_id += 1;
        request.id = shared.last_id;
        shared.queue.append(&mut encode(&request));
        let (answer, receiver) = oneshot::channel();
        let broken = match request.operation {
            // What nobody waits for can go with what comes next.
            Operation::End | Operation::Unwatch { .. } => None,
            Operation::Commit => Some(None),
            Operation::Watch { .. } => Some(Some(Ok(Reply::Done))),
            Operation::ReadVersion | Operation::Get { .. } | Operation::Range(_) => {
                Some(Some(Err(Code::TRANSACTION_TOO_OLD)))
            }
        };
        if let Some(broken) = broken {
            shared.in_flight.insert(request.id, InFlight { answer, broken });
            self.queued.notify_one();
        }
        Ok(Sent { id: request.id, era: shared.era, answer: receiver })
    }

    /// Nobody waits for the watch with this id any more.
    pub(super) fn unwatch(&self, era: u64, id: u64) {
        let operation = Operation::Unwatch { request: id };
        let request = Request { id: 0, transaction: 0, begin: Begin::Continue, writes: Vec::new(), operation };
        // If the era has ended, or too much is queued, the server finds out by itself.
        let _ = self.send(Some(era), request);
    }

    /// Connects to `address`, and again whenever that breaks.
    async fn run(&self, address: SocketAddr) {
        let mut pause = PAUSE_MIN;
        loop {
            if let Ok(mut socket) = self.greet(address).await {
                pause = PAUSE_MIN;
                self.settle();
                let (reader, writer) = socket.split();
                tokio::select! {
                    _broken = self.write(writer) => {}
                    _broken = self.read(BufReader::new(reader)) => {}
                }
                self.broken();
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// A connection that the server has greeted.
    async fn greet(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let mut socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let hello = Hello::of(self.session);
        socket.write_all(&encode(&hello)).await?;
        let greeting: Hello = timeout(GREETING_MAX, read(&mut socket)).await??;
        if greeting == hello { Ok(socket) } else { Err(io::Error::other("a greeting for another")) }
    }

    async fn write(&self, mut socket: impl AsyncWrite + Unpin) -> io::Result<()> {
        loop {
            let queue = std::mem::take(&mut self.shared().queue);
            match queue.is_empty() {
                true => self.queued.notified().await,
                false => socket.write_all(&queue).await?,
            }
        }
    }

    async fn read(&self, mut socket: impl AsyncRead + Unpin) -> io::Result<()> {
        loop {
            let (id, reply): (u64, Reply) = read(&mut socket).await?;
            let in_flight = self.shared().in_flight.remove(&id);
            if let Some(InFlight { answer, .. }) = in_flight {
                // Whoever went away does not want to know.
                let _gone = answer.send(match reply {
                    Reply::Failed(code) => Err(code),
                    reply => Ok(reply),
                });
            }
        }
    }

    /// The server has forgotten every open transaction. Reads end in 1007, watches as if their keys had changed, and
    /// commits stay unsettled.
    fn broken(&self) {
        let mut shared = self.shared();
        shared.era += 1;
        shared.queue.clear();
        for InFlight { answer, broken } in std::mem::take(&mut shared.in_flight).into_values() {
            match broken {
                Some(outcome) => drop(answer.send(outcome)),
                None => shared.unsettled.push(answer),
            }
        }
    }

    /// Nothing of the connections before can still commit: what is unsettled ends in 1021.
    fn settle(&self) {
        for answer in std::mem::take(&mut self.shared().unsettled) {
            drop(answer.send(Err(Code::COMMIT_UNKNOWN_RESULT)));
        }
    }
}

/// What a database and its transactions share. The connection closes with the last of them.
pub(super) struct Client {
    pub(super) connection: Arc<Connection>,
    line: AbortHandle,
}

impl Client {
    /// A client of the server at `address`.
    ///
    /// # Errors
    /// 2008 if there is no network; 1500 if the system has no random number.
    pub(super) fn new(address: SocketAddr) -> Result<Self, Code> {
        let mut session = Session::default();
        getrandom::fill(&mut session).map_err(|_| Code::PLATFORM_ERROR)?;
        let (last_transaction, shared, queued) = (AtomicU64::new(0), Mutex::default(), Notify::new());
        let connection = Arc::new(Connection { session, last_transaction, shared, queued });
        let line = Arc::clone(&connection);
        Ok(Self { connection, line: network::spawn(async move { line.run(address).await })? })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.line.abort();
        self.connection.broken();
    }
}
