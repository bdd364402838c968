//! One connection's entry, and the state that exists only while something is outstanding on it.

use std::os::fd::OwnedFd;

use wire::{Decoder, ServerHandshake};

use super::outbox::Outbox;

/// Where a connection is in its life. It only ever moves down this list, and may skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// The request is not whole.
    Handshake,
    /// Frames go both ways.
    Open,
    /// We sent a close frame and wait for the peer's; what it sent before it is dropped.
    CloseSent,
    /// Nothing is taken in any more; what is queued goes out.
    Draining,
    /// Our direction is shut; we wait for the peer to shut its own, since closing on unread bytes would make the
    /// kernel reset the connection under the close frame.
    Lingering,
    /// Its requests are cancelled; the entry goes when the last has completed.
    Dead,
}

/// One of these a connection. Whatever is not needed while it waits is in [`Io`], or in the decoder's own allocation.
pub(super) struct Conn {
    pub(super) fd: OwnedFd,
    pub(super) phase: Phase,
    /// Index of what it was accepted for.
    pub(super) endpoint: u8,
    /// Requests of it that are in the kernel.
    pub(super) requests: Requests,
    pub(super) flags: Flags,
    /// Times in a row that it was heard at once again while it waited by a poll.
    pub(super) heard_again: u8,
    /// When it was last heard, in seconds of the shard's clock.
    pub(super) heard_s: u32,
    /// The check that counts; others that the wheel still holds do not.
    pub(super) check_s: u32,
    /// What it counts for in the shard's total of bytes held.
    pub(super) held_bytes: u32,
    /// When it was accepted, in microseconds of the shard's clock; wraps after 71 minutes, of which a handshake takes
    /// seconds.
    pub(super) accepted_us: u32,
    pub(super) decoder: Decoder,
    pub(super) io: Option<Box<Io>>,
}

const _: () = assert!(size_of::<Conn>() <= 48, "48 of the 200 bytes that an idle connection may take");

impl Conn {
    pub(super) fn new(fd: OwnedFd, now_s: u32, accepted_us: u32) -> Self {
        Conn {
            fd,
            phase: Phase::Handshake,
            endpoint: 0,
            requests: Requests::default(),
            flags: Flags::default(),
            heard_again: 0,
            heard_s: now_s,
            check_s: 0,
            held_bytes: 0,
            accepted_us,
            decoder: Decoder::new(),
            io: None,
        }
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.io.as_ref().map_or(0, |io| io.outbox.bytes())
    }

    pub(super) fn has_queued(&self) -> bool {
        self.io.as_ref().is_some_and(|io| !io.outbox.is_empty())
    }

    /// Whether bytes of it are wanted and not waited for.
    pub(super) fn may_be_read(&self) -> bool {
        let wanted = !self.flags.paused && !self.flags.eof && self.phase != Phase::Dead;
        wanted && !self.requests.recv && !self.requests.poll
    }

    /// Whether it has bytes from a pause that are not read yet.
    pub(super) fn has_unread(&self) -> bool {
        self.io.as_ref().is_some_and(|io| !io.unread.is_empty())
    }

    /// Bytes of partial messages and requests that it holds now.
    pub(super) fn count_held_bytes(&self) -> u32 {
        let io_bytes = self
            .io
            .as_ref()
            .map_or(0, |io| io.unread.capacity() + io.handshake.as_ref().map_or(0, |handshake| handshake.held_bytes()));
        u32::try_from(self.decoder.held_bytes() + io_bytes).unwrap_or(u32::MAX)
    }
}

/// At most one of each a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Requests {
    pub(super) recv: bool,
    pub(super) poll: bool,
    pub(super) send: bool,
}

impl Requests {
    pub(super) fn any(self) -> bool {
        self.recv || self.poll || self.send
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    /// Announced to the handler, and to be closed to it.
    pub(super) open: bool,
    /// Its frames are not wanted now.
    pub(super) paused: bool,
    /// In the list of those with something to send.
    pub(super) dirty: bool,
    /// Its recv is being cancelled.
    pub(super) cancelling: bool,
    /// Waits by a poll instead of a recv.
    pub(super) idle: bool,
    /// The peer shut its direction.
    pub(super) eof: bool,
}

/// What a connection needs while something is outstanding; pooled between connections.
#[derive(Default)]
pub(super) struct Io {
    pub(super) handshake: Option<ServerHandshake>,
    pub(super) outbox: Outbox,
    /// Received while paused.
    pub(super) unread: Vec<u8>,
}

impl Io {
    /// Whether the connection can do without.
    pub(super) fn is_spent(&self) -> bool {
        self.handshake.is_none() && self.outbox.is_spent() && self.unread.is_empty()
    }
}

/// States that no connection uses, kept so that a message does not begin with allocations.
#[derive(Default)]
pub(super) struct Pool {
    // Boxed because connections hold them boxed: moving one in or out is a pointer.
    #[expect(clippy::vec_box, reason = "the boxes are what is pooled")]
    free: Vec<Box<Io>>,
}

/// States kept: one for each buffer of a full turn. With their spare buffers at most 1024 × 32 KiB.
const POOLED_MAX: usize = 1024;

impl Pool {
    /// The connection's state, which exists after this.
    pub(super) fn io<'a>(&mut self, conn: &'a mut Conn) -> &'a mut Io {
        conn.io.get_or_insert_with(|| self.free.pop().unwrap_or_default())
    }

    /// Takes the state back if it is not needed.
    pub(super) fn settle(&mut self, conn: &mut Conn) {
        if let Some(mut io) = conn.io.take_if(|io| io.is_spent())
            && self.free.len() < POOLED_MAX
        {
            io.unread = Vec::new();
            self.free.push(io);
        }
    }
}
