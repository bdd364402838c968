//! A socket that carries frames without blocking, and the signal that ends a wait for it.
//!
//! Owns the bytes in between: what was read and is no whole frame yet, what is to be written and was not taken yet.
//! Both the client's network thread and the server's threads wait with [`wait`] and do all else without waiting.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use rustix::event::{EventfdFlags, PollFd, Timespec, eventfd, poll};

use crate::frame::{FRAME_BYTES_MAX, Malformed};

/// Bytes taken from a socket at a time: some hundred reads' replies, or requests.
const READ_BYTES: usize = 256 << 10;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The peer closed it.
    #[error("the peer closed the connection")]
    Closed,
    /// The system's word.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The peer does not speak the protocol.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Cut on purpose: a fault was asked for, or a newer connection of the same session took its place.
    #[error("the connection was cut: {0}")]
    Cut(&'static str),
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    socket: TcpStream,
    input: BytesMut,
    /// Where the system puts what it has.
    chunk: Box<[u8]>,
    output: Vec<u8>,
    /// So many of `output` were written.
    written_bytes: usize,
}

impl Link {
    /// A link over a connected socket.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let chunk = vec![0; READ_BYTES].into_boxed_slice();
        Ok(Self { socket, input: BytesMut::new(), chunk, output: Vec::new(), written_bytes: 0 })
    }

    /// Takes in what has arrived, at most [`READ_BYTES`].
    ///
    /// # Errors
    /// [`Broken`].
    pub(crate) fn read(&mut self) -> Result<(), Broken> {
        match self.socket.read(&mut self.chunk) {
            Ok(0) => Err(Broken::Closed),
            Ok(len_bytes) => {
                self.input.extend_from_slice(&self.chunk[..len_bytes]);
                Ok(())
            }
            Err(error) if would_block(&error) => Ok(()),
            Err(error) => Err(Broken::Io(error)),
        }
    }

    /// The next frame that is whole.
    ///
    /// # Errors
    /// [`Malformed`] if it is longer than [`FRAME_BYTES_MAX`].
    pub(crate) fn next_frame(&mut self) -> Result<Option<Bytes>, Malformed> {
        let Some(head) = self.input.first_chunk::<4>() else {
            return Ok(None);
        };
        let len_bytes = u32::from_le_bytes(*head) as usize;
        if len_bytes > FRAME_BYTES_MAX {
            return Err(Malformed("it is too long"));
        }
        if self.input.len() - 4 < len_bytes {
            return Ok(None);
        }
        self.input.advance(4);
        Ok(Some(self.input.split_to(len_bytes).freeze()))
    }

    /// What is to be written is appended here.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Bytes that the socket has not taken yet.
    #[must_use]
    pub(crate) fn unwritten_bytes(&self) -> usize {
        self.output.len() - self.written_bytes
    }

    /// Writes as much as the socket takes.
    ///
    /// # Errors
    /// [`Broken`].
    pub(crate) fn write(&mut self) -> Result<(), Broken> {
        while self.written_bytes < self.output.len() {
            match self.socket.write(&self.output[self.written_bytes..]) {
                Ok(0) => return Err(Broken::Closed),
                Ok(len_bytes) => self.written_bytes += len_bytes,
                Err(error) if would_block(&error) => return Ok(()),
                Err(error) => return Err(Broken::Io(error)),
            }
        }
        self.output.clear();
        self.written_bytes = 0;
        Ok(())
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Ends a wait of another thread. Raising it twice before it was seen costs nothing more.
#[derive(Debug)]
pub(crate) struct Signal {
    event: OwnedFd,
    raised: AtomicBool,
}

impl Signal {
    /// One that is not raised.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { event, raised: AtomicBool::new(false) })
    }

    /// Ends the wait, or the next one. What was done before is seen after it.
    pub(crate) fn raise(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            // The counter is 1 at most, so it takes another.
            rustix::io::write(&self.event, &1_u64.to_ne_bytes()).expect("an event takes a 1");
        }
    }

    /// Called by the thread that waits, before it looks at what may have changed.
    pub(crate) fn lower(&self) {
        // The read fails where whoever raised it has not written yet: it stays raised then, and ends one wait more.
        if self.raised.load(Ordering::Acquire) && rustix::io::read(&self.event, &mut [0; 8]).is_ok() {
            self.raised.swap(false, Ordering::AcqRel);
        }
    }
}

impl AsFd for Signal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// Waits until one of `fds` is as asked, or until `until`.
///
/// # Errors
/// The system's; an interrupted wait is none.
pub(crate) fn wait(fds: &mut [PollFd<'_>], until: Option<Instant>) -> io::Result<()> {
    let timeout = until.map(|until| {
        // Rounded up, or the last part of a millisecond would be waited for in a busy loop.
        let left = until.saturating_duration_since(Instant::now()) + Duration::from_micros(100);
        Timespec { tv_sec: left.as_secs().min(3_600).cast_signed(), tv_nsec: left.subsec_nanos().into() }
    });
    match poll(fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
