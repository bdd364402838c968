//! Connections of clients: from a request to the end, by frames of the protocol, by STOMP or by plain HTTP.
//!
//! Owns who of the three a connection is handed to, both ways. What each makes of it is [`upgrade`](super::upgrade)'s, [`stomp`](super::stomp)'s and
//! [`plain`](super::plain)'s; what a turn does besides is the driver's.

use kv::Engine;
use router::{ConnId, Input, Purpose};
use schema::CloseCode;
use wire::{PlainRequest, Refusal, Request, SharedFrame};

use super::plain::Outcome;
use super::stomp::StompOutput;
use super::{Clock, Driver, Links, Sockets, Upgrade, upgrade};
use crate::auth::Authenticator;

impl<E: Engine, A: Authenticator, L: Links, C: Clock> Driver<E, A, L, C> {
    /// A client asks for an upgrade. If it is agreed for a session, [`Self::opened`] or [`Self::closed`] follows.
    ///
    /// # Errors
    /// The HTTP answer, for what is not served here.
    pub fn requested(&mut self, conn: ConnId, request: &Request) -> Result<Upgrade, Refusal> {
        let upgrade = upgrade::decide(request, self.echo).inspect_err(|_| self.requests_refused += 1)?;
        if let Upgrade::Session { encoding, protocol } = upgrade {
            self.agreed.insert(conn, Purpose::Session(encoding));
            self.stomp.agreed(conn, protocol);
        }
        Ok(upgrade)
    }

    /// A client asks for something without an upgrade; `origin` is the page's that may read the answer. If it is taken,
    /// [`Self::opened`] or [`Self::closed`] follows.
    ///
    /// # Errors
    /// The whole answer, where that is all there is to it.
    pub fn requested_plain(
        &mut self,
        conn: ConnId,
        request: &PlainRequest,
        origin: Option<&str>,
    ) -> Result<(), Vec<u8>> {
        self.now = self.clock.now();
        let purpose = self.exchanges.requested((self.now, conn), request, origin)?;
        self.agreed.insert(conn, purpose);
        Ok(())
    }

    /// The answer to its upgrade is on its way, and frames may follow; or its plain request was taken. A shard that is full
    /// says so and closes.
    pub fn opened(&mut self, sockets: &mut impl Sockets, conn: ConnId) {
        let Some(purpose) = self.agreed.remove(&conn) else { return };
        let is_full = self.host.stats().sessions >= self.limits.sessions_max;
        if self.exchanges.has(conn) {
            return if is_full { self.turn_away(sockets, conn) } else { self.begin(sockets, conn, purpose) };
        }
        if is_full {
            self.input(Input::TurnedAway);
            let reason = "the node holds as many connections as it may";
            return sockets.close(conn, CloseCode::Overloaded, reason);
        }
        self.input(Input::Accepted { conn, purpose });
    }

    fn turn_away(&mut self, sockets: &mut impl Sockets, conn: ConnId) {
        self.input(Input::TurnedAway);
        self.close_exchange(sockets, conn, CloseCode::Overloaded);
    }

    /// The session of a plain request begins, with what the request says.
    fn begin(&mut self, sockets: &mut impl Sockets, conn: ConnId, purpose: Purpose) {
        self.input(Input::Accepted { conn, purpose });
        let outcome = self.exchanges.opened(conn);
        self.carry_on(sockets, conn, &outcome);
    }

    /// Carries out what an exchange has come to.
    fn carry_on(&mut self, sockets: &mut impl Sockets, conn: ConnId, outcome: &Outcome) {
        if !outcome.bytes.is_empty() {
            sockets.send_bytes(conn, &outcome.bytes);
        }
        if outcome.drained > 0 && !outcome.is_over {
            self.input(Input::Drained { conn, bytes: outcome.drained });
        }
        if outcome.is_over {
            sockets.finish(conn);
            self.input(Input::Closed { conn });
        } else if !outcome.says.is_empty() {
            self.input(Input::Message { conn, text: true, payload: &outcome.says });
        }
    }

    /// The router has forgotten the session of an exchange, or never had it.
    fn close_exchange(&mut self, sockets: &mut impl Sockets, conn: ConnId, code: CloseCode) {
        sockets.send_bytes(conn, &self.exchanges.closed_by_router(conn, code));
        sockets.finish(conn);
    }

    /// Bytes came behind the head of a plain request.
    pub fn received(&mut self, sockets: &mut impl Sockets, conn: ConnId, bytes: &[u8]) {
        if self.exchanges.has(conn) {
            let outcome = self.exchanges.received(conn, bytes);
            self.carry_on(sockets, conn, &outcome);
        }
    }

    /// Answers exchanges whose time has come, or that have something to say.
    pub(super) fn answer_exchanges(&mut self, sockets: &mut impl Sockets) -> bool {
        let mut has_answered = false;
        while let Some((conn, outcome)) = self.exchanges.next_ready().or_else(|| self.exchanges.next_due(self.now.mono))
        {
            has_answered = true;
            self.carry_on(sockets, conn, &outcome);
        }
        has_answered
    }

    /// A whole message came.
    pub fn message(&mut self, conn: ConnId, text: bool, payload: &[u8]) {
        if self.stomp.has(conn) {
            return self.stomp_message(conn, payload);
        }
        self.input(Input::Message { conn, text, payload });
    }

    /// Bytes came that make no message.
    pub fn heard(&mut self, conn: ConnId) {
        self.stomp.heard(conn, self.now);
        self.input(Input::Heard { conn });
    }

    /// Bytes of what [`Sockets::send`] was given have left.
    pub fn drained(&mut self, conn: ConnId, bytes: u32) {
        if self.exchanges.has(conn) {
            let bytes = self.exchanges.drained(conn, bytes);
            if bytes > 0 {
                self.input(Input::Drained { conn, bytes });
            }
            return;
        }
        let bytes = self.stomp.drained(conn, self.now, bytes);
        self.input(Input::Drained { conn, bytes });
    }

    /// The client of a plain request has shut its direction. Whether it is answered all the same; else it is gone.
    pub fn half_closed(&mut self, conn: ConnId) -> bool {
        self.now = self.clock.now();
        self.exchanges.half_closed(self.now.mono, conn)
    }

    /// The connection is gone.
    pub fn closed(&mut self, conn: ConnId) {
        self.agreed.remove(&conn);
        self.stomp.closed(conn);
        if self.exchanges.gone(conn) {
            self.input(Input::Closed { conn });
        }
    }

    /// The router says something to a connection.
    pub(super) fn say(&mut self, sockets: &mut impl Sockets, conn: ConnId, frame: &SharedFrame) {
        if self.exchanges.has(conn) {
            let outcome = self.exchanges.said(conn, frame);
            self.carry_on(sockets, conn, &outcome);
        } else if self.stomp.has(conn) {
            self.stomp.told(conn, self.now, frame);
            self.flush_stomp(sockets);
        } else {
            sockets.send(conn, frame);
        }
    }

    /// The router asks whether anybody is there.
    pub(super) fn ping(&mut self, sockets: &mut impl Sockets, conn: ConnId) {
        if self.exchanges.has(conn) {
            sockets.send_bytes(conn, &self.exchanges.pinged(conn));
            self.input(Input::Heard { conn });
        } else {
            sockets.ping(conn);
        }
    }

    /// The router has forgotten a connection.
    pub(super) fn close(&mut self, sockets: &mut impl Sockets, conn: ConnId, code: CloseCode) {
        if self.exchanges.has(conn) {
            return self.close_exchange(sockets, conn, code);
        }
        self.stomp.closing(conn, self.now, code);
        self.flush_stomp(sockets);
        sockets.close(conn, code, "");
    }

    /// The router wants a connection read, or not.
    pub(super) fn set_reads(&mut self, sockets: &mut impl Sockets, conn: ConnId, on: bool) {
        // What comes behind a request is bounded by itself, and its end is to be noticed.
        if self.exchanges.has(conn) {
            return;
        }
        if self.stomp.reads(conn, self.now, on) {
            sockets.set_reads(conn, on);
        }
        self.flush_stomp(sockets);
    }

    /// A message of a client that speaks STOMP. What it asks for is asked in this turn; it is there in any case.
    fn stomp_message(&mut self, conn: ConnId, payload: &[u8]) {
        self.input(Input::Heard { conn });
        if let Some(lines) = self.stomp.received(conn, self.now, payload) {
            self.input(Input::Message { conn, text: true, payload: &lines });
        }
    }

    /// Carries out what sessions that speak STOMP came to.
    pub(super) fn flush_stomp(&mut self, sockets: &mut impl Sockets) {
        while let Some((conn, output)) = self.stomp.poll_output() {
            match output {
                StompOutput::Send(frame) => sockets.send(conn, &frame),
                StompOutput::Close(code) => sockets.close(conn, code, ""),
                StompOutput::Requests(lines) => self.input(Input::Message { conn, text: true, payload: &lines }),
                StompOutput::Reads(on) => sockets.set_reads(conn, on),
                StompOutput::Drained(bytes) => self.input(Input::Drained { conn, bytes }),
            }
        }
    }
}
