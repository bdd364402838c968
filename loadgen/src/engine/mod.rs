//! One thread that drives many WebSocket connections, whatever is said over them.
//!
//! Owns the sockets, from dialling to close, and the clock. Answers pings. What is sent and what an answer means is a
//! [`Workload`]'s; when to stop is the caller's, who calls [`Engine::turn`] until it has what it wants.
//! Frames are `wire`'s. Bounds: one buffer each way for all connections, and of one connection at most the message
//! that it is receiving and one `fill` of what it is sending.

pub(crate) mod connection;
pub(crate) mod dialer;
pub(crate) mod error;
pub(crate) mod lost;
mod opening;
mod poller;
mod slow;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::SockRef;
use wire::{CloseCode, Event as Received, Opcode, Role, Rules, encode_close_into, encode_into};

use self::connection::{Connection, Phase};
use self::dialer::Dialer;
use self::error::EngineError;
use self::lost::Lost;
use self::opening::Opening;
use self::poller::{Event, Poller, Token};
use crate::report::count_reason;
use crate::target::Target;

/// Bytes that one read takes. As many as a socket's receive buffer usually holds, and they stay in the L2 cache.
const READ_BYTES: usize = 128 * 1024;

/// A `fill` stops once it has appended this much; it is called again when the socket took it.
pub(crate) const FILL_BYTES: usize = 64 * 1024;

/// What is taken from a server: four times the longest message that can be asked to be echoed.
const RULES: Rules = Rules { role: Role::Client, message_bytes_max: 64 << 20 };

/// Reads of one connection in one turn. After these the others have theirs first.
const READS_PER_TURN: usize = 16;

/// Pongs that may wait unsent on a connection whose server pings but does not read: 8 KiB of 130 at most.
const UNSENT_PONG_BYTES_MAX: usize = 8 * 1024;

/// How long the server has to answer our close frames.
const CLOSING_MAX: Duration = Duration::from_secs(2);

/// A message as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    Text(&'a [u8]),
    Binary(&'a [u8]),
}

/// What connections are opened for.
///
/// Connections are numbered from 0; times are nanoseconds on the engine's clock.
pub(crate) trait Workload {
    /// A whole message came.
    ///
    /// # Errors
    /// What is wrong with it; the connection is closed for that.
    fn message(&mut self, connection: usize, message: Message<'_>, now_ns: u64) -> Result<(), String>;

    /// Appends the frames that `connection` has to send now, up to about [`FILL_BYTES`]. Nothing appended means
    /// nothing to send; otherwise it is called again once these are on their way.
    fn fill(&mut self, _connection: usize, _now_ns: u64, _out: &mut Vec<u8>) {}

    /// An open connection has ended. `true` if the workload sees to its coming back; otherwise it is counted as lost.
    fn lost(&mut self, _connection: usize, _lost: &Lost, _now_ns: u64) -> bool {
        false
    }

    /// Connections that do what they were opened for, if that is not all that are open: the others count as being opened
    /// still.
    fn ready(&self) -> Option<usize> {
        None
    }

    /// A connection could not be opened. `true` if the workload will try it again; otherwise the run ends.
    fn unopened(&mut self, _connection: usize, _error: &EngineError, _now_ns: u64) -> bool {
        false
    }

    /// What is to be done with connections now, asked at the start of each turn until there is nothing.
    fn order(&mut self, _now_ns: u64) -> Option<Order> {
        None
    }
}

/// What a workload wants of a connection.
#[derive(Debug)]
pub(crate) enum Order {
    /// Dial it, which is vacant.
    Dial { connection: usize, target: Arc<Target> },
    /// End it without a word, open or on its way there.
    Cut(usize),
    /// Ask the workload what it has to send.
    Pump(usize),
}

/// What happened to connections, beside messages.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Lost while they should have been open.
    pub(crate) closed: u64,
    /// Why, and how many each.
    pub(crate) reasons: BTreeMap<String, u64>,
    pub(crate) pings: u64,
}

/// The connections and the thread's loop over them.
pub(crate) struct Engine {
    dialer: Dialer,
    poller: Poller,
    connections: Vec<Connection>,
    opening: Opening,
    /// Connections that had more to read than one turn gave them.
    again: VecDeque<(Token, bool)>,
    read_buffer: Box<[u8]>,
    fill_buffer: Vec<u8>,
    origin: Instant,
    mask: [u8; 4],
    open: usize,
    closing: usize,
    counts: Counts,
}

impl Engine {
    /// An engine with `connections` slots, none of them dialled.
    pub(crate) fn new(dialer: Dialer, connections: u32, mask: [u8; 4]) -> io::Result<Self> {
        Ok(Self {
            dialer,
            poller: Poller::new()?,
            connections: (0..connections).map(|_| Connection::VACANT).collect(),
            opening: Opening::default(),
            again: VecDeque::new(),
            read_buffer: vec![0; READ_BYTES].into_boxed_slice(),
            fill_buffer: Vec::with_capacity(2 * FILL_BYTES),
            origin: Instant::now(),
            mask,
            open: 0,
            closing: 0,
            counts: Counts::default(),
        })
    }

    /// Nanoseconds since the engine was made.
    pub(crate) fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Connections that are open now.
    pub(crate) fn open_now(&self) -> usize {
        self.open
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Waits for sockets at most `timeout` and serves those that are ready.
    ///
    /// # Errors
    /// A connection could not be opened, or epoll failed.
    pub(crate) fn turn(&mut self, workload: &mut impl Workload, timeout: Duration) -> Result<(), EngineError> {
        while let Some(order) = workload.order(self.now_ns()) {
            match order {
                Order::Dial { connection, target } => self.dial(connection, target, workload)?,
                Order::Cut(connection) => self.cut(connection),
                Order::Pump(connection) => self.pump(connection, workload),
            }
        }
        self.refuse_overdue(workload)?;
        let timeout = if self.again.is_empty() { timeout } else { Duration::ZERO };
        self.poller.wait(timeout).map_err(EngineError::Poll)?;
        for (token, hangup) in std::mem::take(&mut self.again) {
            self.serve(Event { token, readable: true, hangup }, workload)?;
        }
        let mut at = 0;
        while let Some(event) = self.poller.event(at) {
            at += 1;
            self.serve(event, workload)?;
        }
        Ok(())
    }

    fn serve(&mut self, event: Event, workload: &mut impl Workload) -> Result<(), EngineError> {
        let index = event.token.index as usize;
        let connection = &self.connections[index];
        if connection.generation != event.token.generation {
            return Ok(());
        }
        match connection.phase {
            Phase::Vacant => {}
            Phase::Connecting => {
                if let Err(error) = self.connected(index) {
                    self.unopened(index, error, workload)?;
                }
            }
            Phase::Upgrading if event.readable => match self.upgraded(index, workload) {
                Ok(true) => self.exchange(event, workload),
                Ok(false) => {}
                Err(error) => self.unopened(index, error, workload)?,
            },
            Phase::Upgrading => {}
            Phase::Open => self.exchange(event, workload),
            Phase::Closing => self.closing(event),
        }
        Ok(())
    }

    /// Reads if there is something, then sends what there is to send.
    fn exchange(&mut self, event: Event, workload: &mut impl Workload) {
        let index = event.token.index as usize;
        let reads = event.readable && (event.hangup || !self.connections[index].slow);
        let result = if reads { self.receive(event, workload) } else { Ok(()) };
        if let Err(lost) = result {
            return self.lose(index, &lost, workload);
        }
        self.pump(index, workload);
    }

    /// Sends what the workload has for `connection` now, as far as the socket takes it.
    #[inline]
    pub(crate) fn pump(&mut self, index: usize, workload: &mut impl Workload) {
        if let Err(error) = self.try_pump(index, workload) {
            self.lose(index, &Lost::Io(error), workload);
        }
    }

    fn try_pump(&mut self, index: usize, workload: &mut impl Workload) -> io::Result<()> {
        let now_ns = self.now_ns();
        let connection = &mut self.connections[index];
        if connection.phase != Phase::Open {
            return Ok(());
        }
        if connection.has_unsent() {
            connection.send_unsent()?;
        }
        while !connection.has_unsent() {
            self.fill_buffer.clear();
            workload.fill(index, now_ns, &mut self.fill_buffer);
            if self.fill_buffer.is_empty() {
                break;
            }
            connection.send(&self.fill_buffer)?;
        }
        Ok(())
    }

    /// Reads what is there, and has it understood.
    fn receive(&mut self, event: Event, workload: &mut impl Workload) -> Result<(), Lost> {
        let index = event.token.index as usize;
        for _ in 0..READS_PER_TURN {
            let Some(read) = self.connections[index].read(&mut self.read_buffer)? else { return Ok(()) };
            if read == 0 {
                return Err(Lost::End);
            }
            // Lent out meanwhile, so that what is understood may use the rest of the engine.
            let mut buffer = std::mem::take(&mut self.read_buffer);
            let understood = self.understand(index, &mut buffer[..read], workload);
            self.read_buffer = buffer;
            understood?;
            let drained = read < self.read_buffer.len() && !event.hangup;
            if drained {
                return Ok(());
            }
        }
        self.again.push_back((event.token, event.hangup));
        Ok(())
    }

    /// Hands each message in `bytes` to the workload and answers pings; the decoder keeps what is not whole.
    fn understand(&mut self, index: usize, bytes: &mut [u8], workload: &mut impl Workload) -> Result<(), Lost> {
        let now_ns = self.now_ns();
        let connection = &mut self.connections[index];
        let mut rest = bytes;
        while let Some(received) = connection.decoder.next(&RULES, &mut rest)? {
            match received {
                Received::Binary(bytes) => workload.message(index, Message::Binary(&bytes), now_ns),
                Received::Text(text) => workload.message(index, Message::Text(text.as_bytes()), now_ns),
                Received::Ping(payload) => {
                    self.counts.pings += 1;
                    if connection.unsent_bytes() < UNSENT_PONG_BYTES_MAX {
                        let mut pong = Vec::new();
                        encode_into(&mut pong, Opcode::Pong, &payload, Some(self.mask));
                        connection.send(&pong)?;
                    }
                    Ok(())
                }
                Received::Pong(_) => Ok(()),
                Received::Close { code, reason } => return Err(Lost::Closed { code, reason: reason.into_owned() }),
            }
            .map_err(Lost::Message)?;
        }
        Ok(())
    }

    /// Takes note that an open connection ended, and why.
    fn lose(&mut self, index: usize, lost: &Lost, workload: &mut impl Workload) {
        let now_ns = self.now_ns();
        let connection = &mut self.connections[index];
        if connection.phase != Phase::Open {
            return;
        }
        if let Some(code) = lost.farewell() {
            let mut close = Vec::new();
            encode_close_into(&mut close, code, "", Some(self.mask));
            // The connection ends either way; a server that cannot be told will notice.
            _ = connection.send(&close);
        }
        connection.vacate();
        self.open -= 1;
        if !workload.lost(index, lost, now_ns) {
            self.counts.closed += 1;
            count_reason(&mut self.counts.reasons, lost.to_string());
        }
    }

    /// Ends a connection as a failing network would: without a word. It is not counted as lost.
    pub(crate) fn cut(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        match connection.phase {
            Phase::Open => self.open -= 1,
            Phase::Connecting | Phase::Upgrading => self.abandon(),
            Phase::Vacant | Phase::Closing => return,
        }
        self.connections[index].vacate();
    }

    /// Ends all connections with a close frame and waits a moment for the server to close them, so that closed
    /// connections linger at its end and not in the local ports that the next run needs.
    pub(crate) fn close(&mut self) -> Result<(), EngineError> {
        let mut close = Vec::new();
        encode_close_into(&mut close, Some(CloseCode::NORMAL), "", Some(self.mask));
        for connection in &mut self.connections {
            if connection.phase == Phase::Open && connection.send(&close).is_ok() {
                connection.phase = Phase::Closing;
                self.closing += 1;
            } else {
                connection.vacate();
            }
        }
        self.open = 0;
        let deadline = Instant::now() + CLOSING_MAX;
        while self.closing > 0 && Instant::now() < deadline {
            self.turn(&mut Silence, deadline.saturating_duration_since(Instant::now()))?;
        }
        for connection in &mut self.connections {
            if let Some(socket) = &connection.socket {
                // A reset instead of a minute's wait. Where it cannot be set, that wait is all there is to lose.
                _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
            }
            connection.vacate();
        }
        Ok(())
    }

    /// Reads and forgets, until the server has closed the connection too.
    fn closing(&mut self, event: Event) {
        let connection = &mut self.connections[event.token.index as usize];
        for _ in 0..READS_PER_TURN {
            let read = connection.send_unsent().and_then(|()| connection.read(&mut self.read_buffer));
            match read {
                Ok(None) => return,
                Ok(Some(0)) | Err(_) => {
                    connection.vacate();
                    self.closing -= 1;
                    return;
                }
                Ok(Some(_)) => {}
            }
        }
        self.again.push_back((event.token, event.hangup));
    }
}

/// Says nothing and hears nothing: for connections that are only being closed.
struct Silence;

impl Workload for Silence {
    fn message(&mut self, _connection: usize, _message: Message<'_>, _now_ns: u64) -> Result<(), String> {
        Ok(())
    }
}
