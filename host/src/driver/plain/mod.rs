//! Clients whose way carries no WebSocket: event streams, polls and calls, each one HTTP exchange on a connection of its own.
//!
//! Owns what a connection of theirs is in the middle of, and turns the lines that the router says to it into HTTP. To the
//! router an event stream and a poll are sessions in JSON, and a call is a [`Purpose::Call`]: admission, budgets, cursors and
//! moves are those of every session. No exchange needs an earlier one's node: where a client is, its cursor says.
//!
//! ```text
//! request ─► request.rs: connect, and what it follows ─► lines ─► router ─► lines ─► events.rs, each at once
//!                                                                                 ├► poll.rs, all of a turn, and over
//!                                                                                 └► call.rs, the answers to its body
//! ```
//! Knows no socket: what is to be sent or said comes back as a value, and `driver` carries it out.

mod answer;
mod call;
mod events;
mod poll;
mod request;

use std::collections::{BTreeMap, BTreeSet};

use router::{ConnId, Purpose};
use schema::{CloseCode, Encoding, ErrorCode, Instant, Now, Refusal};
use wire::PlainRequest;

use answer::Answers;
use call::Call;
use events::Events;
use poll::Poll;
pub(super) use request::Begun;

/// Bytes of bodies that all calls of a shard may have sent, beyond which a call is told 114: 32 of the largest.
const BODIES_BYTES_MAX: usize = 32 * schema::limits::MESSAGE_BYTES_MAX as usize;

/// How long a poll waits whose client has shut its direction before it could connect: for what lies ready, and no longer, since
/// a client that has gone looks the same and is not to be taken for present.
const HALF_CLOSED_WAIT_MS: u64 = 2_000;

/// All exchanges of a shard.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    /// Boxed, since a map whose keys come in order has room for twice as many.
    held: BTreeMap<ConnId, Box<Exchange>>,
    /// When a poll has waited long enough, or a body has taken too long.
    due: BTreeSet<(Instant, ConnId)>,
    /// Polls that have something to say, and say it at the end of the turn.
    ready: Vec<ConnId>,
    /// Bytes of bodies that are held.
    body_bytes: usize,
}

#[derive(Debug)]
struct Exchange {
    answers: Answers,
    due: Option<Instant>,
    kind: Kind,
}

const _: () = assert!(size_of::<Exchange>() <= 128, "128 of the 1,024 bytes that an idle session may take");

#[derive(Debug)]
enum Kind {
    Events(Events),
    Poll(Poll),
    Call(Box<Call>),
    /// It is answered, and its connection ends when that has been sent.
    Over,
}

/// What an exchange comes to by something that happened.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Bytes for the client.
    pub(super) bytes: Vec<u8>,
    /// Lines that the client says to its session.
    pub(super) says: Vec<u8>,
    /// Bytes of the router's that wait for nobody: kept within bounds of their own.
    pub(super) drained: u32,
    /// Whether it is over: its connection ends behind the bytes, and its session is to be told.
    pub(super) is_over: bool,
}

impl Exchanges {
    /// A request has come. What it is there for, or the whole answer to it.
    pub(super) fn requested(
        &mut self,
        (now, conn): (Now, ConnId),
        request: &PlainRequest,
        origin: Option<&str>,
    ) -> Result<Purpose, Vec<u8>> {
        let answers = Answers::new(origin);
        let begun = request::begin(request, &answers)?;
        let (purpose, kind, due) = match begun {
            Begun::Events { connect, follows } => {
                (Purpose::Session(Encoding::Json), Kind::Events(Events::new(connect, follows)), None)
            }
            Begun::Poll { connect, follows, wait_ms } => {
                let due = now.mono.plus_ms(wait_ms);
                (Purpose::Session(Encoding::Json), Kind::Poll(Poll::new(connect, follows)), Some(due))
            }
            Begun::Call { connect, body_bytes, continues } => {
                if self.body_bytes + body_bytes > BODIES_BYTES_MAX {
                    let refusal = Refusal::new(ErrorCode::Overloaded, "too many bodies at once, try again later");
                    return Err(answers.refusal(&refusal.after_ms(1_000)));
                }
                self.body_bytes += body_bytes;
                let due = now.mono.plus_ms(schema::limits::LOGIN_MS);
                (Purpose::Call, Kind::Call(Box::new(Call::new(connect, body_bytes, continues))), Some(due))
            }
        };
        self.due.extend(due.map(|due| (due, conn)));
        self.held.insert(conn, Box::new(Exchange { answers, due, kind }));
        Ok(purpose)
    }

    /// Whether a connection is one of these.
    pub(super) fn has(&self, conn: ConnId) -> bool {
        !self.held.is_empty() && self.held.contains_key(&conn)
    }

    /// The shard has taken the connection: its client says the first line.
    pub(super) fn opened(&mut self, conn: ConnId) -> Outcome {
        let says = |connect: &mut Vec<u8>| Outcome { says: std::mem::take(connect), ..Outcome::default() };
        match self.held.get_mut(&conn).map(|exchange| &mut exchange.kind) {
            Some(Kind::Events(Events { connect, .. }) | Kind::Poll(Poll { connect, .. })) => says(connect),
            Some(Kind::Call(call)) => call.opened(),
            Some(Kind::Over) | None => Outcome::default(),
        }
    }

    /// Bytes of a body came.
    pub(super) fn received(&mut self, conn: ConnId, bytes: &[u8]) -> Outcome {
        self.act(conn, |exchange| match &mut exchange.kind {
            Kind::Call(call) => call.received(bytes),
            Kind::Events(_) | Kind::Poll(_) | Kind::Over => Outcome::default(),
        })
    }

    /// The router says something to a connection.
    pub(super) fn said(&mut self, conn: ConnId, frame: &wire::SharedFrame) -> Outcome {
        let mut is_ready = false;
        let outcome = self.act(conn, |exchange| match &mut exchange.kind {
            Kind::Events(events) => events.said(&exchange.answers, frame),
            Kind::Poll(poll) => {
                let outcome = poll.said(&exchange.answers, frame);
                is_ready = poll.is_ready();
                outcome
            }
            Kind::Call(call) => call.said(&exchange.answers, frame),
            Kind::Over => Outcome::default(),
        });
        if is_ready {
            self.ready.push(conn);
        }
        outcome
    }

    /// The router asks whether anybody is there. A stream is written to, and its connection breaks if nobody is; a poll and a
    /// call have an end of their own. So all of them count as heard.
    pub(super) fn pinged(&mut self, conn: ConnId) -> Vec<u8> {
        match self.held.get_mut(&conn).map(|exchange| &mut exchange.kind) {
            Some(Kind::Events(events)) => events.pinged(),
            Some(Kind::Poll(_) | Kind::Call(_) | Kind::Over) | None => Vec::new(),
        }
    }

    /// The router has forgotten the connection.
    pub(super) fn closed_by_router(&mut self, conn: ConnId, code: CloseCode) -> Vec<u8> {
        let outcome = self.act(conn, |exchange| {
            let bytes = match &mut exchange.kind {
                Kind::Events(events) => events.closed(&exchange.answers, code),
                Kind::Poll(poll) => poll.closed(&exchange.answers, code),
                Kind::Call(call) => call.closed(&exchange.answers, code),
                Kind::Over => Vec::new(),
            };
            Outcome { bytes, is_over: true, ..Outcome::default() }
        });
        outcome.bytes
    }

    /// Bytes have left for a client. Returns how many of the router's these were.
    pub(super) fn drained(&mut self, conn: ConnId, bytes: u32) -> u32 {
        match self.held.get_mut(&conn).map(|exchange| &mut exchange.kind) {
            Some(Kind::Events(events)) => events.drained(bytes),
            Some(Kind::Call(call)) => call.drained(bytes),
            Some(Kind::Poll(_) | Kind::Over) | None => 0,
        }
    }

    /// The client has shut its direction. Whether it is answered all the same: not the reader of an event stream, and not a call
    /// whose body is not whole, which never will be. A poll does not wait any more.
    pub(super) fn half_closed(&mut self, now: Instant, conn: ConnId) -> bool {
        let Some(exchange) = self.held.get_mut(&conn) else { return false };
        match &exchange.kind {
            Kind::Call(call) => call.is_whole(),
            Kind::Poll(poll) => {
                let soon = if poll.is_connected() { now } else { now.plus_ms(HALF_CLOSED_WAIT_MS) };
                if let Some(due) = exchange.due.filter(|&due| due > soon) {
                    exchange.due = Some(soon);
                    self.due.remove(&(due, conn));
                    self.due.insert((soon, conn));
                }
                true
            }
            Kind::Events(_) | Kind::Over => false,
        }
    }

    /// The connection is gone. Returns whether the router has a session of it.
    pub(super) fn gone(&mut self, conn: ConnId) -> bool {
        let is_over = self.held.get(&conn).is_some_and(|exchange| matches!(exchange.kind, Kind::Over));
        self.end(conn);
        self.held.remove(&conn);
        !is_over
    }

    /// A poll that has something to say.
    pub(super) fn next_ready(&mut self) -> Option<(ConnId, Outcome)> {
        let conn = self.ready.pop()?;
        Some((conn, self.answer(conn)))
    }

    /// An exchange that has waited long enough.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<(ConnId, Outcome)> {
        let &(due, conn) = self.due.first()?;
        (due <= now).then(|| (conn, self.answer(conn)))
    }

    /// When [`Self::next_due`] is to be asked.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|&(due, _)| due)
    }

    /// Answers with what there is.
    fn answer(&mut self, conn: ConnId) -> Outcome {
        if let Some(due) = self.held.get_mut(&conn).and_then(|exchange| exchange.due.take()) {
            self.due.remove(&(due, conn));
        }
        self.act(conn, |exchange| match &mut exchange.kind {
            Kind::Poll(poll) => poll.answer(&exchange.answers),
            Kind::Call(call) => call.late(&exchange.answers),
            Kind::Events(_) | Kind::Over => Outcome::default(),
        })
    }

    fn act(&mut self, conn: ConnId, act: impl FnOnce(&mut Exchange) -> Outcome) -> Outcome {
        let Some(exchange) = self.held.get_mut(&conn) else { return Outcome::default() };
        let outcome = act(exchange);
        if outcome.is_over {
            self.end(conn);
        }
        outcome
    }

    /// Nothing more is kept of an exchange than that it is over.
    fn end(&mut self, conn: ConnId) {
        let Some(exchange) = self.held.get_mut(&conn) else { return };
        if let Some(due) = exchange.due.take() {
            self.due.remove(&(due, conn));
        }
        if let Kind::Call(call) = std::mem::replace(&mut exchange.kind, Kind::Over) {
            self.body_bytes -= call.body_bytes();
        }
    }
}
