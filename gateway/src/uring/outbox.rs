//! Outbound queue of one socket: queued in a turn, sent as one, never touched while the kernel reads it.
//!
//! Owns the coalescing and the count of what was handed over. Short frames are copied behind one another; long ones,
//! which are mostly shared between many sockets, are referred to.

use std::collections::VecDeque;

use bytes::Bytes;
use wire::{Opcode, encode_close_into, encode_into};

/// Pieces of one send. More wait for the next; the kernel's own limit is 1,024.
const PIECES_MAX: usize = 16;
/// Bytes up to which a frame is copied rather than referred to.
///
/// Measured by `cargo bench -p gateway --bench fan_out`, thread time of a delivery with 0, 1 and 4 KiB here: at 300
/// bytes a copy costs 5 to 15 % less than a piece of its own, from 1,000 to 2,000 there is no difference, at 4,000 it
/// costs more.
const COPY_BYTES_MAX: usize = 1024;
/// Bytes of copied frames in one piece, after which another is begun.
const PIECE_BYTES: usize = 16 * 1024;

/// Bytes of one piece, in memory that does not move when pieces are added.
enum Bytestring {
    Own(Vec<u8>),
    Shared(Bytes),
}

struct Piece {
    bytes: Bytestring,
    /// How many of these bytes the handler counts: not those of handshakes and control frames.
    credit: usize,
}

impl Piece {
    fn as_slice(&self) -> &[u8] {
        match &self.bytes {
            Bytestring::Own(bytes) => bytes,
            Bytestring::Shared(bytes) => bytes,
        }
    }
}

#[derive(Default)]
pub(super) struct Outbox {
    pieces: VecDeque<Piece>,
    /// Pieces at the front that the kernel reads.
    in_flight: usize,
    /// Bytes of the first piece that were sent.
    sent: usize,
    /// Bytes not sent.
    bytes: usize,
    /// An empty buffer kept for the next piece.
    spare: Vec<u8>,
    /// The list of pieces of a send in flight, once one had several.
    gather: Option<Box<Gather>>,
}

/// What sendmsg reads besides the bytes.
struct Gather {
    header: libc::msghdr,
    pieces: [libc::iovec; PIECES_MAX],
}

/// One send, as the kernel wants it.
pub(super) enum Flight {
    Slice { start: *const u8, len: u32 },
    Gather { header: *const libc::msghdr },
}

impl Outbox {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether it is as a new one: nothing is left of the connection that had it.
    pub(super) fn is_spent(&self) -> bool {
        self.pieces.is_empty() && self.in_flight == 0 && self.sent == 0 && self.bytes == 0
    }

    /// Encodes one frame, copying its payload.
    pub(super) fn push_frame(&mut self, opcode: Opcode, payload: &[u8]) {
        let counted = !opcode.is_control();
        self.append(counted, |out| encode_into(out, opcode, payload, None));
    }

    pub(super) fn push_close(&mut self, code: Option<wire::CloseCode>, reason: &str) {
        self.append(false, |out| encode_close_into(out, code, reason, None));
    }

    /// Bytes that are no frame: the answer to a handshake.
    pub(super) fn push_raw(&mut self, bytes: &[u8]) {
        self.append(false, |out| out.extend_from_slice(bytes));
    }

    /// Bytes of a stream, which the handler counts.
    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        self.append(true, |out| out.extend_from_slice(bytes));
    }

    /// One frame that other sockets may share: copied if short, referred to if long.
    pub(super) fn push_shared(&mut self, bytes: &Bytes) {
        if bytes.len() <= COPY_BYTES_MAX {
            self.append(true, |out| out.extend_from_slice(bytes));
            return;
        }
        self.bytes += bytes.len();
        self.pieces.push_back(Piece { credit: bytes.len(), bytes: Bytestring::Shared(bytes.clone()) });
    }

    fn append(&mut self, counted: bool, write: impl FnOnce(&mut Vec<u8>)) {
        let open = self.pieces.len() > self.in_flight
            && matches!(self.pieces.back(), Some(Piece { bytes: Bytestring::Own(bytes), .. }) if bytes.len() < PIECE_BYTES);
        if !open {
            let bytes = Bytestring::Own(std::mem::take(&mut self.spare));
            self.pieces.push_back(Piece { bytes, credit: 0 });
        }
        let Some(Piece { bytes: Bytestring::Own(bytes), credit }) = self.pieces.back_mut() else {
            unreachable!("an open piece is our own")
        };
        let before = bytes.len();
        write(bytes);
        let added = bytes.len() - before;
        self.bytes += added;
        if counted {
            *credit += added;
        }
    }

    /// Freezes what is queued, up to the limit of pieces, for one send.
    ///
    /// The pointers stay valid until [`sent`](Self::sent) is called or the outbox is dropped.
    ///
    /// # Panics
    /// If nothing is queued or a send is in flight.
    pub(super) fn take_off(&mut self) -> Flight {
        assert!(self.in_flight == 0 && !self.pieces.is_empty(), "one send in flight a connection");
        self.in_flight = self.pieces.len().min(PIECES_MAX);
        if self.in_flight == 1 {
            let slice = &self.pieces[0].as_slice()[self.sent..];
            let len = u32::try_from(slice.len()).expect("a piece is at most one message");
            return Flight::Slice { start: slice.as_ptr(), len };
        }
        let empty = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let mut pieces = [empty; PIECES_MAX];
        for (at, (iovec, piece)) in pieces.iter_mut().zip(&self.pieces).enumerate() {
            let slice = if at == 0 { &piece.as_slice()[self.sent..] } else { piece.as_slice() };
            *iovec = libc::iovec { iov_base: slice.as_ptr().cast_mut().cast(), iov_len: slice.len() };
        }
        // SAFETY: a msghdr of zeroes is valid and has no pointers.
        let header: libc::msghdr = unsafe { std::mem::zeroed() };
        let gather = self.gather.insert(Box::new(Gather { header, pieces }));
        gather.header.msg_iov = gather.pieces.as_mut_ptr();
        gather.header.msg_iovlen = self.in_flight;
        Flight::Gather { header: &raw const gather.header }
    }

    /// The kernel took `sent_bytes` of the send in flight. Returns how many of them the handler counts.
    pub(super) fn sent(&mut self, sent_bytes: usize) -> usize {
        self.in_flight = 0;
        self.bytes -= sent_bytes;
        let mut rest = sent_bytes;
        let mut credit = 0;
        while let Some(first) = self.pieces.front_mut() {
            let left = first.as_slice().len() - self.sent;
            if rest < left {
                // Where counted and uncounted bytes are mixed, the counted ones are taken to go first: the sum is
                // right at the piece's end.
                let counted = first.credit.min(rest);
                first.credit -= counted;
                self.sent += rest;
                return credit + counted;
            }
            rest -= left;
            credit += first.credit;
            self.sent = 0;
            if let Some(Piece { bytes: Bytestring::Own(bytes), .. }) = self.pieces.pop_front() {
                self.keep(bytes);
            }
        }
        credit
    }

    fn keep(&mut self, mut bytes: Vec<u8>) {
        if (self.spare.capacity() + 1..=2 * PIECE_BYTES).contains(&bytes.capacity()) {
            bytes.clear();
            self.spare = bytes;
        }
    }

    /// Forgets what is not in flight, for a connection that takes nothing any more.
    pub(super) fn discard_waiting(&mut self) {
        self.pieces.truncate(self.in_flight);
        if self.in_flight == 0 {
            // Of a first piece that is forgotten too.
            self.sent = 0;
        }
        self.bytes = self.pieces.iter().map(|piece| piece.as_slice().len()).sum::<usize>().saturating_sub(self.sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs steps: `frame N` queues N counted bytes, `raw N` uncounted ones, `fly P` takes off in P pieces,
    /// `sent N C` completes N bytes of which C are counted, `discard` forgets what waits.
    fn check(steps: &str) -> Outbox {
        let mut outbox = Outbox::default();
        for step in steps.split(", ") {
            let words: Vec<&str> = step.split(' ').collect();
            let number = |at: usize| words[at].parse::<usize>().expect("a number");
            match words[0] {
                "raw" => outbox.push_raw(&vec![2; number(1)]),
                "frame" => outbox.push_shared(&Bytes::from(vec![1; number(1)])),
                "fly" => {
                    let flight = outbox.take_off();
                    let pieces = if let Flight::Slice { .. } = flight { 1 } else { outbox.in_flight };
                    assert_eq!(pieces, number(1), "{step} of {steps}");
                }
                "discard" => outbox.discard_waiting(),
                "sent" => assert_eq!(outbox.sent(number(1)), number(2), "{step} of {steps}"),
                other => panic!("no step {other}"),
            }
        }
        outbox
    }

    #[test]
    fn short_frames_go_out_as_one_and_long_ones_by_reference() {
        check("frame 10, frame 10, frame 100, fly 1, sent 120 120");
        check("frame 10, frame 5000, frame 10, fly 3, sent 5020 5020");
        check("frame 1000, frame 5000, fly 2, sent 6000 6000");
    }

    #[test]
    fn what_is_in_flight_is_left_alone() {
        let outbox = check("frame 10, fly 1, frame 20, frame 30");
        assert_eq!(outbox.pieces.len(), 2);
        assert_eq!(outbox.pieces[0].as_slice().len(), 10, "the piece in flight did not grow");
        check("frame 10, fly 1, frame 20, sent 10 10, fly 1, sent 20 20");
    }

    #[test]
    fn a_short_send_goes_on_where_it_ended() {
        let outbox = check("frame 5000, frame 6000, fly 2, sent 4000 4000, fly 2, sent 2000 2000");
        assert_eq!((outbox.bytes(), outbox.sent), (5000, 1000));
        check("frame 5000, fly 1, sent 0 0, fly 1, sent 5000 5000");
        assert!(check("frame 10, fly 1, sent 10 10").is_empty());
    }

    #[test]
    fn the_counted_bytes_add_up_to_what_was_handed_over() {
        check("raw 100, frame 10, fly 1, sent 110 10");
        check("raw 100, frame 10, fly 1, sent 5 5, fly 1, sent 5 5, fly 1, sent 100 0");
        check("raw 100, fly 1, sent 50 0, frame 10, fly 1, sent 60 10");
    }

    #[test]
    fn more_pieces_than_one_send_takes_wait_for_the_next() {
        let steps = ["frame 2000"; 20].join(", ");
        check(&format!("{steps}, fly 16, sent 32000 32000, fly 4, sent 8000 8000"));
    }

    #[test]
    fn a_connection_that_went_amid_a_frame_leaves_nothing_to_the_next() {
        assert!(check("frame 100000, fly 1, sent 58706 58706, discard").is_spent());
        check("frame 100000, fly 1, sent 58706 58706, discard, raw 170, fly 1, sent 170 0");
        check("frame 5000, frame 6000, fly 2, sent 5500 5500, discard, frame 6000, fly 1, sent 6000 6000");
    }

    #[test]
    fn discarding_keeps_what_is_in_flight() {
        let mut outbox = check("frame 2000, fly 1, sent 500 500, fly 1, frame 10");
        outbox.discard_waiting();
        assert_eq!((outbox.pieces.len(), outbox.bytes()), (1, 1500));
        assert_eq!(outbox.sent(1500), 1500);
        assert!(outbox.is_spent());
    }
}
