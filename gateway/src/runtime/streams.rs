//! Connections to other nodes that a shard holds, and the ring on which they flow.
//!
//! Owns what is sealed of them and what is not, and how many plain bytes the network has taken of those that are. What
//! flows the driver knows, who is at the other end [`peering`](crate::peering).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use host::driver::StreamId;
use tokio::sync::oneshot;
use wire::SharedFrame;

use crate::peering::Session;
use crate::uring::{ConnId, Sockets};

/// See the module.
#[derive(Default)]
pub(super) struct Streams {
    held: BTreeMap<ConnId, Stream>,
    /// Bytes on their way from one form to the other.
    bytes: Vec<u8>,
}

struct Stream {
    /// Whoever dialled is told of the end when this is dropped.
    _alive: oneshot::Sender<()>,
    tls: Option<Tls>,
}

struct Tls {
    session: Session,
    sealed: Sealed,
}

impl Tls {
    /// Seals bytes and whatever else TLS has to say, behind what was sealed before.
    fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let before = out.len();
        self.session.seal(plain, out);
        if out.len() > before {
            self.sealed.0.push_back((out.len() - before, plain.len()));
        }
    }
}

/// Sealed bytes that the network has not taken, and the plain ones that they end with, in the order in which they go.
#[derive(Default)]
struct Sealed(VecDeque<(usize, usize)>);

impl Sealed {
    /// The network has taken sealed bytes. Returns the plain ones that it has now.
    fn sent(&mut self, mut bytes: usize) -> usize {
        let mut plain_bytes = 0;
        while let Some((sealed, plain)) = self.0.front_mut() {
            if bytes < *sealed {
                *sealed -= bytes;
                break;
            }
            bytes -= *sealed;
            plain_bytes += *plain;
            self.0.pop_front();
        }
        plain_bytes
    }
}

pub(super) fn stream(conn: ConnId) -> StreamId {
    StreamId(conn.as_u64())
}

impl Streams {
    /// Holds a connection from now on.
    pub(super) fn insert(&mut self, conn: ConnId, alive: oneshot::Sender<()>, session: Option<Session>) {
        let tls = session.map(|session| Tls { session, sealed: Sealed::default() });
        self.held.insert(conn, Stream { _alive: alive, tls });
    }

    /// Whether a connection is one of these.
    pub(super) fn has(&self, conn: ConnId) -> bool {
        self.held.contains_key(&conn)
    }

    /// A connection has ended. Returns whether it was one of these.
    pub(super) fn remove(&mut self, conn: ConnId) -> bool {
        self.held.remove(&conn).is_some()
    }

    /// The network has taken bytes of a connection. Returns how many of those are the driver's, if it is one of these.
    pub(super) fn written(&mut self, conn: ConnId, bytes: usize) -> Option<usize> {
        let held = self.held.get_mut(&conn)?;
        Some(held.tls.as_mut().map_or(bytes, |tls| tls.sealed.sent(bytes)))
    }

    /// Bytes came over a connection: what they say is given to `take`. Where they cannot be opened it is closed.
    pub(super) fn received(
        &mut self,
        sockets: &mut Sockets,
        conn: ConnId,
        bytes: &[u8],
        take: impl FnOnce(&mut Ring<'_>, &[u8]),
    ) {
        let Some(tls) = self.held.get_mut(&conn).and_then(|held| held.tls.as_mut()) else {
            return take(&mut Ring { sockets, streams: self }, bytes);
        };
        let mut plain = Vec::new();
        let opened = tls.session.open(bytes, &mut plain);
        tls.seal(b"", &mut self.bytes);
        if !self.bytes.is_empty() {
            sockets.send_bytes(conn, &self.bytes);
            self.bytes.clear();
        }
        if !plain.is_empty() {
            take(&mut Ring { sockets: &mut *sockets, streams: &mut *self }, &plain);
        }
        if let Err(error) = opened {
            tracing::warn!(%error, "a link's connection brings what is no TLS, and is closed");
            sockets.abort(conn);
        }
    }
}

/// The ring as the driver sees it.
pub(super) struct Ring<'a> {
    pub(super) sockets: &'a mut Sockets,
    pub(super) streams: &'a mut Streams,
}

/// Bytes of the buffer that are kept from turn to turn.
const KEPT_BYTES: usize = 64 * 1024;

impl host::driver::Streams for Ring<'_> {
    fn write(&mut self, stream: StreamId, bytes: &[u8]) {
        let conn = ConnId::from_u64(stream.0);
        let Streams { held, bytes: sealed } = &mut *self.streams;
        match held.get_mut(&conn).and_then(|held| held.tls.as_mut()) {
            None => self.sockets.send_bytes(conn, bytes),
            Some(tls) => {
                tls.seal(bytes, sealed);
                self.sockets.send_bytes(conn, sealed);
                sealed.clear();
                sealed.shrink_to(KEPT_BYTES);
            }
        }
    }

    fn close_stream(&mut self, stream: StreamId) {
        self.sockets.abort(ConnId::from_u64(stream.0));
    }
}

impl host::driver::Sockets for Ring<'_> {
    fn send(&mut self, conn: router::ConnId, frame: &SharedFrame) {
        self.sockets.send(ConnId::from_u64(conn.0), frame);
    }

    fn send_bytes(&mut self, conn: router::ConnId, bytes: &[u8]) {
        self.sockets.send_bytes(ConnId::from_u64(conn.0), bytes);
    }

    fn finish(&mut self, conn: router::ConnId) {
        self.sockets.finish(ConnId::from_u64(conn.0));
    }

    fn ping(&mut self, conn: router::ConnId) {
        self.sockets.ping(ConnId::from_u64(conn.0));
    }

    fn close(&mut self, conn: router::ConnId, code: schema::CloseCode, reason: &str) {
        let code = wire::CloseCode::new(code.into()).expect("the protocol's codes may stand in a close frame");
        self.sockets.close(ConnId::from_u64(conn.0), code, reason);
    }

    fn set_reads(&mut self, conn: router::ConnId, on: bool) {
        let conn = ConnId::from_u64(conn.0);
        if on { self.sockets.resume_reads(conn) } else { self.sockets.pause_reads(conn) }
    }

    fn stop_accepting(&mut self) {
        self.sockets.stop_accepting();
    }

    fn stop(&mut self, within: Duration) {
        self.sockets.stop(within);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was sealed, as sealed bytes and plain ones, and then what the network takes and how many plain bytes that is.
    fn check(sealed: &[(usize, usize)], taken: &[(usize, usize)]) {
        let mut left = Sealed(sealed.iter().copied().collect());
        for &(bytes, plain) in taken {
            assert_eq!(left.sent(bytes), plain, "{bytes} of {sealed:?}");
        }
        assert!(left.0.is_empty(), "{:?} of {sealed:?}", left.0);
    }

    #[test]
    fn plain_bytes_have_left_once_all_of_their_sealed_ones_have() {
        check(&[(32, 10)], &[(31, 0), (1, 10)]);
        check(&[(32, 10), (52, 30)], &[(40, 10), (44, 30)]);
        check(&[(32, 10), (52, 30)], &[(84, 40)]);
        // What TLS says of itself is nobody's.
        check(&[(24, 0), (32, 10), (24, 0)], &[(24, 0), (32, 10), (24, 0)]);
        check(&[(24, 0), (32, 10), (24, 0)], &[(60, 10), (20, 0)]);
    }
}
