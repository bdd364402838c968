//! Reshaping of a stream's bytes by a network that loses none: it splits and joins them.
//!
//! Simulated TCP writes whole segments and never joins two, so both directions of both ends go through here: what is
//! queued is gathered for a moment and then leaves in pieces of any length.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedReceiver;
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use wire::{CloseCode, Opcode};

use crate::rng::Rng;

/// Bytes of one read.
const READ_BYTES_MAX: u64 = 16 * 1024;

/// What is queued for a socket. Bounded by whoever queues: the router's outbound budget, a client's outbox.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// These bytes, which the queue's owner wants to know of when they have left.
    Counted(Bytes),
    /// These bytes.
    Plain(Bytes),
    /// Nothing more follows.
    End,
}

impl Outgoing {
    /// A frame; masked, as a client's have to be.
    pub(crate) fn frame(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> Self {
        let mut frame = Vec::new();
        wire::encode_into(&mut frame, opcode, payload, mask);
        Self::Plain(frame.into())
    }

    /// A close frame.
    pub(crate) fn close(code: Option<CloseCode>, reason: &str, mask: Option<[u8; 4]>) -> Self {
        let mut frame = Vec::new();
        wire::encode_close_into(&mut frame, code, reason, mask);
        Self::Plain(frame.into())
    }
}

/// What was gathered for the next writes.
#[derive(Debug, Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// Lengths of what was queued, and whether each is counted.
    parts: VecDeque<(usize, bool)>,
    ended: bool,
}

impl Gathered {
    fn take(&mut self, next: Option<Outgoing>) {
        let (bytes, counted) = match next {
            Some(Outgoing::Counted(bytes)) => (bytes, true),
            Some(Outgoing::Plain(bytes)) => (bytes, false),
            Some(Outgoing::End) | None => return self.ended = true,
        };
        self.bytes.extend_from_slice(&bytes);
        self.parts.push_back((bytes.len(), counted));
    }

    /// How many of the next `bytes` that leave are counted.
    fn left(&mut self, mut bytes: usize) -> usize {
        let mut counted_bytes = 0;
        while let Some((part, counted)) = self.parts.front_mut().filter(|_| bytes > 0) {
            let now = bytes.min(*part);
            counted_bytes += if *counted { now } else { 0 };
            bytes -= now;
            *part -= now;
            if *part == 0 {
                self.parts.pop_front();
            }
        }
        counted_bytes
    }
}

/// How the bytes of one end are cut.
#[derive(Debug, Clone)]
pub(crate) struct Chaos {
    rng: Rng,
    piece_bytes: u64,
}

impl Chaos {
    pub(crate) fn new(rng: Rng, piece_bytes: u64) -> Self {
        Self { rng, piece_bytes }
    }

    /// Long messages are cut too, but not into more than some thousand pieces.
    fn piece(&mut self, left_bytes: usize) -> usize {
        let longest = self.piece_bytes.max(left_bytes as u64 / 64);
        let piece = self.rng.within(1..=longest);
        usize::try_from(piece).expect("a piece is short").min(left_bytes)
    }

    /// The next bytes; none at the end of the stream or once it is broken.
    pub(crate) async fn read(&mut self, half: &mut OwnedReadHalf) -> Option<Vec<u8>> {
        let room = self.rng.within(1..=self.piece_bytes.max(READ_BYTES_MAX / 4));
        let mut bytes = vec![0; usize::try_from(room).expect("a read is short")];
        match half.read(&mut bytes).await {
            Ok(0) | Err(_) => None,
            Ok(count) => {
                bytes.truncate(count);
                Some(bytes)
            }
        }
    }

    /// Writes what comes until the end or until the stream breaks. `written` is told how many counted bytes left.
    pub(crate) async fn write(
        mut self,
        mut half: OwnedWriteHalf,
        mut queue: UnboundedReceiver<Outgoing>,
        mut written: impl FnMut(usize),
    ) {
        let mut gathered = Gathered::default();
        while !gathered.ended {
            gathered.take(queue.recv().await);
            if self.rng.chance(200) {
                tokio::time::sleep(Duration::from_millis(self.rng.within(1..=5))).await;
            }
            while let Ok(more) = queue.try_recv() {
                gathered.take(Some(more));
            }
            let bytes = std::mem::take(&mut gathered.bytes);
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(self.piece(rest.len()));
                if half.write_all(piece).await.is_err() {
                    return;
                }
                written(gathered.left(piece.len()));
                rest = after;
            }
        }
        // A peer that is gone already needs no end of the stream.
        let _ = half.shutdown().await;
    }
}
