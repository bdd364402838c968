//! The seam between the driver and what a shard does with its connections.

use std::borrow::Cow;
use std::future::{Future, ready};
use std::time::Instant;

use wire::{CloseCode, Fault, PlainRequest, Refusal, Request};

use super::slab::ConnId;
use super::sockets::Sockets;

/// A shard's logic, called by its driver on its own thread. No call may block. A method that a handler leaves out
/// does nothing.
///
/// A connection is announced by [`on_request`](Self::on_request); if accepted for [`Endpoint::Handler`] it is opened
/// by exactly one [`on_open`](Self::on_open) and ended by exactly one [`on_closed`](Self::on_closed), after which its
/// id means nothing and operations on it do nothing.
pub trait Handler {
    /// A client asks for an endpoint. `conn` can be remembered but not written to yet.
    fn on_request(&mut self, sockets: &mut Sockets, conn: ConnId, request: &Request) -> Decision;

    /// A client asks for something without an upgrade. Unless it is answered with that, the connection is a stream, of which
    /// what comes behind the head of the request is the first; it is opened and closed as others are.
    ///
    /// # Errors
    /// The whole answer. The connection ends with it.
    fn on_plain(&mut self, _sockets: &mut Sockets, _conn: ConnId, _request: &PlainRequest) -> Result<(), Vec<u8>> {
        Err(Refusal::no_websocket().to_bytes())
    }

    /// The answer is on its way; frames may be sent from now on.
    fn on_open(&mut self, _sockets: &mut Sockets, _conn: ConnId) {}

    /// One whole message.
    fn on_frame(&mut self, _sockets: &mut Sockets, _conn: ConnId, _frame: Frame<'_>) {}

    /// Bytes came that make no message yet, or none at all: part of one, a ping, a pong. The client is there.
    fn on_heard(&mut self, _sockets: &mut Sockets, _conn: ConnId) {}

    /// The kernel took `bytes` of what was handed to [`Sockets::send`] and its like, headers included. Over a
    /// connection's life these add up to what was handed over, unless it ended before.
    fn on_writable(&mut self, _sockets: &mut Sockets, _conn: ConnId, _bytes: usize) {}

    /// Bytes of a stream, which was given to [`Sockets::adopt`] or began as a plain request, as they came.
    fn on_bytes(&mut self, _sockets: &mut Sockets, _conn: ConnId, _bytes: &[u8]) {}

    /// The client of a stream has shut its direction: nothing more will come. Whether it is sent to all the same; it is if so
    /// until [`Sockets::finish`] or a send fails, and else it is closed.
    fn on_half_closed(&mut self, _sockets: &mut Sockets, _conn: ConnId) -> bool {
        false
    }

    /// No frame follows, and nothing can be sent any more.
    fn on_closed(&mut self, _sockets: &mut Sockets, _conn: ConnId, _why: Closed) {}

    /// Between two turns, when the shard has looked at its calls: other tasks of the thread may run. Must not wait for
    /// anything but those that are ready.
    fn between_turns(&mut self) -> impl Future<Output = ()> {
        ready(())
    }

    /// Once a turn, after the turn's frames: the place to empty mailboxes and run timers. Returns when the next turn
    /// is wanted at the latest; an instant that has passed means at once, `None` when something happens.
    fn on_turn(&mut self, sockets: &mut Sockets, now: Instant) -> Option<Instant>;
}

/// A whole message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Valid UTF-8.
    Text(Cow<'a, str>),
    /// Any bytes.
    Binary(Cow<'a, [u8]>),
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Status 101.
    Accept {
        /// One of those that the request offers, or none.
        protocol: Option<Cow<'static, str>>,
        /// Who takes the frames, and which.
        endpoint: Endpoint,
    },
    /// An HTTP error; the connection is closed after it.
    Refuse(Refusal),
}

/// What a connection is for. A driver tells at most 255 different ones apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Messages go to the handler.
    Handler {
        /// Bytes of one message.
        message_bytes_max: u32,
    },
    /// The driver itself sends every message back as it came; for conformance suites and measurements.
    Echo {
        /// Bytes of one message.
        message_bytes_max: u32,
    },
    /// No WebSocket: bytes go to the handler as they come.
    Stream,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client sent a close frame.
    ByPeer {
        /// Its code, if it gave one.
        code: Option<CloseCode>,
    },
    /// The handler asked for it by [`Sockets::close`].
    ByHandler,
    /// The client broke the protocol or a limit; it was told by [`Fault::close_code`].
    Faulty(Fault),
    /// This shard held too many bytes of partial messages, and this connection asked for more.
    Overloaded,
    /// The client went without a close frame.
    Vanished,
    /// The connection failed; the errno of the operation that noticed.
    Reset(i32),
    /// The shard stops.
    Stopped,
}
