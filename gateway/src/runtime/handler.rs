//! One shard's driver on the ring.
//!
//! Owns the translation between [`uring`](crate::uring)'s names and those of [`host::driver`], which decides everything
//! but whose pages may connect, and the moment at which figures are published.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use host::driver::{Clock as _, Driver, Parts, Turn, Upgrade};
use kv::Engine;
use schema::limits::{ECHO_MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX};

use crate::peering::NewStream;
use crate::telemetry::metrics::{Figures, Latency, Metrics, ShardLinks};
use crate::uring::{Closed, ConnId, Decision, Endpoint, Frame, Handler, Inbox, Sockets};

use super::clients::Clients;
use super::clock::Clock;
use super::mesh::NodeLinks;
use super::streams::{Ring, Streams, stream};
use super::tokens::Tokens;

pub(crate) type ShardParts<S> = Parts<S, Tokens, NodeLinks, Clock>;

pub(crate) struct ShardHandler<S> {
    driver: Driver<S, Tokens, NodeLinks, Clock>,
    /// Connections to other nodes that this shard is to take over.
    new_streams: Inbox<NewStream>,
    /// Those that it has.
    streams: Streams,
    clock: Clock,
    /// Whose pages may connect.
    origins: Arc<api::Origins>,
    clients: Clients,
    origins_refused: u64,
    metrics: Arc<Metrics>,
    shard: u16,
}

impl<S: Engine> ShardHandler<S> {
    pub(crate) fn new(
        parts: ShardParts<S>,
        new_streams: Inbox<NewStream>,
        (origins, clients): (Arc<api::Origins>, Clients),
        metrics: Arc<Metrics>,
        shard: u16,
    ) -> Self {
        let clock = parts.clock;
        let (driver, streams) = (Driver::new(parts), Streams::default());
        Self { driver, new_streams, streams, clock, origins, clients, origins_refused: 0, metrics, shard }
    }

    /// Takes connections to other nodes over that have been made since the last turn.
    fn take_streams(&mut self, sockets: &mut Sockets) {
        while let Some(NewStream { fd, tls, peer, number, leftover, alive }) = self.new_streams.pop() {
            let conn = sockets.adopt(fd);
            self.streams.insert(conn, alive, tls);
            let ring = &mut Ring { sockets, streams: &mut self.streams };
            self.driver.peer_connected(ring, stream(conn), peer, number);
            if !leftover.is_empty() {
                self.driver.peer_received(ring, stream(conn), &leftover);
            }
        }
    }

    /// The answer to a page that may not connect. Also for what is no browser: who says where a page is from is held to it.
    fn refuse_origin(&mut self, origin: Option<&str>, host: &str) -> Option<wire::Refusal> {
        let origin = origin.filter(|origin| !self.origins.may_connect(origin, host))?;
        self.origins_refused += 1;
        let remedy = format!("Pages of {origin} may not connect here. The node's listen.allowed_origins would say so.");
        Some(wire::Refusal::new(403, remedy))
    }

    fn publish(&mut self, sockets: &mut Sockets) {
        let metrics = self.metrics.shard(self.shard);
        let links = ShardLinks { at: self.clock.now(), links: self.driver.peer_figures().collect() };
        let figures = Figures {
            counters: sockets.counters(),
            connections: sockets.connections() as u64,
            stats: self.driver.stats(),
            links: self.driver.link_figures(),
            peers: self.driver.peer_totals(),
            operations: self.driver.links().operations.figures(),
            requests_refused: self.driver.requests_refused(),
            origins_refused: self.origins_refused,
        };
        metrics.publish(figures, links);
        let host::Latencies { append_ns, store_ns, deliver_ns } = self.driver.take_latencies();
        metrics.record(Latency::Accept, &sockets.take_accept_latencies());
        metrics.record(Latency::Deliver, &deliver_ns);
        metrics.record(Latency::Append, &append_ns);
        metrics.record(Latency::Store, &store_ns);
    }
}

fn own(conn: ConnId) -> router::ConnId {
    router::ConnId(conn.as_u64())
}

impl<S: Engine> Handler for ShardHandler<S> {
    fn on_request(&mut self, sockets: &mut Sockets, conn: ConnId, request: &wire::Request) -> Decision {
        if let Some(refusal) = self.refuse_origin(request.origin(), request.host()) {
            return Decision::Refuse(refusal);
        }
        match self.driver.requested(own(conn), request) {
            Ok(Upgrade::Session { protocol, .. }) => {
                self.clients.asked(own(conn), || sockets.peer(conn), request.headers());
                Decision::Accept {
                    protocol: protocol.map(Cow::Borrowed),
                    endpoint: Endpoint::Handler { message_bytes_max: MESSAGE_BYTES_MAX },
                }
            }
            Ok(Upgrade::Echo { protocol }) => {
                Decision::Accept { protocol, endpoint: Endpoint::Echo { message_bytes_max: ECHO_MESSAGE_BYTES_MAX } }
            }
            Err(refusal) => Decision::Refuse(refusal),
        }
    }

    fn on_plain(&mut self, sockets: &mut Sockets, conn: ConnId, request: &wire::PlainRequest) -> Result<(), Vec<u8>> {
        let origin = request.header("origin");
        if let Some(refusal) = self.refuse_origin(origin, request.header("host").unwrap_or_default()) {
            return Err(refusal.to_bytes());
        }
        self.driver.requested_plain(own(conn), request, origin)?;
        self.clients.asked(own(conn), || sockets.peer(conn), request.headers());
        Ok(())
    }

    fn on_open(&mut self, sockets: &mut Sockets, conn: ConnId) {
        self.driver.opened(&mut Ring { sockets, streams: &mut self.streams }, own(conn));
    }

    fn on_frame(&mut self, _sockets: &mut Sockets, conn: ConnId, frame: Frame<'_>) {
        match &frame {
            Frame::Text(text) => self.driver.message(own(conn), true, text.as_bytes()),
            Frame::Binary(bytes) => self.driver.message(own(conn), false, bytes),
        }
    }

    fn on_heard(&mut self, _sockets: &mut Sockets, conn: ConnId) {
        self.driver.heard(own(conn));
    }

    fn on_writable(&mut self, _sockets: &mut Sockets, conn: ConnId, bytes: usize) {
        match self.streams.written(conn, bytes) {
            Some(bytes) => self.driver.peer_written(stream(conn), bytes),
            None => self.driver.drained(own(conn), u32::try_from(bytes).expect("one send is below 4 GB")),
        }
    }

    fn on_closed(&mut self, _sockets: &mut Sockets, conn: ConnId, _why: Closed) {
        if self.streams.remove(conn) {
            self.driver.peer_closed(stream(conn));
        } else {
            self.clients.gone(own(conn));
            self.driver.closed(own(conn));
        }
    }

    fn on_bytes(&mut self, sockets: &mut Sockets, conn: ConnId, bytes: &[u8]) {
        if !self.streams.has(conn) {
            let ring = &mut Ring { sockets, streams: &mut self.streams };
            return self.driver.received(ring, own(conn), bytes);
        }
        self.streams.received(sockets, conn, bytes, |ring, bytes| {
            self.driver.peer_received(ring, stream(conn), bytes);
        });
    }

    fn on_half_closed(&mut self, _sockets: &mut Sockets, conn: ConnId) -> bool {
        !self.streams.has(conn) && self.driver.half_closed(own(conn))
    }

    async fn between_turns(&mut self) {
        self.driver.links_mut().operations.run().await;
    }

    fn on_turn(&mut self, sockets: &mut Sockets, now: Instant) -> Option<Instant> {
        self.take_streams(sockets);
        let Turn { wanted, ticked } = self.driver.turn(&mut Ring { sockets, streams: &mut self.streams });
        if ticked {
            self.publish(sockets);
        }
        Some(if self.driver.links().operations.is_behind() { now } else { self.clock.instant(wanted) })
    }
}
