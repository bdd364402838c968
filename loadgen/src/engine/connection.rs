//! One connection's slot: 32 bytes while nothing is unfinished on it.
//!
//! Owns the socket and what is unfinished: part of a message that has not fully come, bytes that the socket did not
//! take. These exist only while there are any. Moves bytes; what they mean is for others.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use wire::{ClientHandshake, Decoder};

use crate::target::Target;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No socket: not dialled yet, or closed.
    Vacant,
    Connecting,
    Upgrading,
    Open,
    /// Our close frame is out; the server closes the socket.
    Closing,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: Option<TcpStream>,
    pub(crate) phase: Phase,
    /// Counts the slot's sockets: an event may outlive the socket that it was for.
    pub(crate) generation: u32,
    /// It is read when the workload wants, and not when there is something.
    pub(crate) slow: bool,
    pub(crate) decoder: Decoder,
    unfinished: Option<Box<Unfinished>>,
}

/// What is not done yet beside the message under way.
#[derive(Debug, Default)]
struct Unfinished {
    upgrade: Option<Upgrade>,
    /// Bytes that the socket had no room for, and how many of them it has taken since.
    unsent: Vec<u8>,
    unsent_taken: usize,
}

/// An upgrade that waits for its answer.
#[derive(Debug)]
pub(crate) struct Upgrade {
    pub(crate) handshake: ClientHandshake,
    /// Whom it was asked of.
    pub(crate) target: Arc<Target>,
}

const _: () = assert!(size_of::<Connection>() <= 32, "a million slots take 32 MB");

impl Connection {
    pub(crate) const VACANT: Self = Self {
        socket: None,
        phase: Phase::Vacant,
        generation: 0,
        slow: false,
        decoder: Decoder::new(),
        unfinished: None,
    };

    /// Takes up a socket whose connect has begun.
    pub(crate) fn occupy(&mut self, socket: TcpStream, upgrade: Upgrade) {
        let unfinished = Unfinished { upgrade: Some(upgrade), ..Unfinished::default() };
        *self = Self {
            socket: Some(socket),
            phase: Phase::Connecting,
            generation: self.generation,
            slow: self.slow,
            decoder: Decoder::new(),
            unfinished: Some(Box::new(unfinished)),
        };
    }

    /// The upgrade that waits for its answer, while the connection is being opened.
    pub(crate) fn upgrade(&mut self) -> Option<&mut Upgrade> {
        self.unfinished.as_mut()?.upgrade.as_mut()
    }

    /// The upgrade was answered: messages from here on.
    pub(crate) fn opened(&mut self) {
        self.phase = Phase::Open;
        if let Some(unfinished) = &mut self.unfinished {
            unfinished.upgrade = None;
        }
        self.settle();
    }

    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent_bytes() > 0
    }

    pub(crate) fn unsent_bytes(&self) -> usize {
        self.unfinished.as_ref().map_or(0, |unfinished| unfinished.unsent.len() - unfinished.unsent_taken)
    }

    /// Lets go of the box when nothing is unfinished any more.
    fn settle(&mut self) {
        if let Some(unfinished) = &self.unfinished
            && unfinished.unsent.is_empty()
            && unfinished.upgrade.is_none()
        {
            self.unfinished = None;
        }
    }

    /// Reads what is there: `Ok(None)` when nothing is now, `Ok(Some(0))` at the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(socket) = &self.socket else { return Ok(None) };
        read(socket, buffer)
    }

    /// Sends `bytes`, keeping what the socket has no room for.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.has_unsent() {
            self.unfinished.get_or_insert_default().unsent.extend_from_slice(bytes);
            return self.send_unsent();
        }
        let Some(socket) = &self.socket else { return Ok(()) };
        let taken = write(socket, bytes)?;
        if taken < bytes.len() {
            self.unfinished.get_or_insert_default().unsent.extend_from_slice(&bytes[taken..]);
        }
        Ok(())
    }

    /// Sends what was kept, as far as there is room now.
    pub(crate) fn send_unsent(&mut self) -> io::Result<()> {
        let (Some(socket), Some(unfinished)) = (&self.socket, &mut self.unfinished) else { return Ok(()) };
        unfinished.unsent_taken += write(socket, &unfinished.unsent[unfinished.unsent_taken..])?;
        if unfinished.unsent_taken == unfinished.unsent.len() {
            (unfinished.unsent, unfinished.unsent_taken) = (Vec::new(), 0);
            self.settle();
        }
        Ok(())
    }

    /// Closes the socket. Events that are still under way for it are void.
    pub(crate) fn vacate(&mut self) {
        *self = Self { generation: self.generation.wrapping_add(1), slow: self.slow, ..Self::VACANT };
    }
}

fn read(mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match socket.read(buffer) {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// How many of `bytes` the socket took. It is written to until it has no room, or an edge would never come.
fn write(mut socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match socket.write(&bytes[taken..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(more) => taken += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}
