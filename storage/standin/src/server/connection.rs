//! One connection: its socket, and the thread that reads requests from it and writes replies to it.
//!
//! Owns the order: requests are handled as they come, one after the other, so a transaction's reads find its writes.
//! Commits end whenever the store says so; their replies come through the [`Outbox`]. All that is ready is written at
//! once. While the server is paused nothing is read or written.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use kv::Engine;
use rustix::event::{PollFd, PollFlags};

use super::control::{Control, Outbox};
use super::transactions::Transactions;
use crate::frame::{Request, hello, put_hello};
use crate::link::{Broken, Link, wait};

/// Bytes of replies that the peer has not taken, beyond which no more of its requests are read. Two of the largest
/// frames; one page more may follow, and the answers of commits in flight.
const UNWRITTEN_BYTES_MAX: usize = 32 << 20;

/// Serves `socket` until it breaks or the server ends.
pub(super) fn serve<E: Engine>(socket: TcpStream, control: Arc<Control>, engine: E) {
    let peer = socket.peer_addr().map_or_else(|_| "gone".to_owned(), |peer| peer.to_string());
    let outbox = match Outbox::new() {
        Ok(outbox) => Arc::new(outbox),
        Err(error) => return tracing::warn!(peer, %error, "a connection is not served"),
    };
    let result = Link::new(socket).map_err(Broken::Io).and_then(|mut link| {
        greet(&mut link, &control, &outbox)?;
        let transactions = Transactions::new(engine, Arc::clone(&control), Arc::clone(&outbox));
        let held = VecDeque::new();
        Connection { link, control: &control, outbox: &outbox, transactions, held }.run()
    });
    // Only now: until the connection is gone with all its transactions, it is served.
    outbox.end();
    match result {
        Ok(()) | Err(Broken::Closed) => tracing::info!(peer, "a connection was closed"),
        Err(error @ Broken::Malformed(_)) => tracing::warn!(peer, %error, "a connection is closed"),
        Err(error @ (Broken::Io(_) | Broken::Cut(_))) => tracing::info!(peer, %error, "a connection has ended"),
    }
}

/// Learns whose connection this is, and answers once it is the only one.
fn greet(link: &mut Link, control: &Control, outbox: &Arc<Outbox>) -> Result<(), Broken> {
    let session = loop {
        if control.is_closing() {
            return Err(Broken::Cut("the server ends"));
        }
        // Nobody else knows this connection yet, so nobody can end the wait but time.
        let soon = Some(Instant::now() + GREETING_LOOK);
        if control.is_paused() {
            wait(&mut [], soon)?;
            continue;
        }
        wait(&mut [PollFd::from_borrowed_fd(link.as_fd(), PollFlags::IN)], soon)?;
        link.read()?;
        if let Some(frame) = link.next_frame()? {
            break hello(frame)?;
        }
    };
    control.take_over(session, outbox);
    control.state().counts.calls.connections += 1;
    put_hello(link.output(), &session);
    Ok(())
}

/// How often a connection that has not said hello looks whether the server ends.
const GREETING_LOOK: std::time::Duration = std::time::Duration::from_millis(100);

struct Connection<'a, E: Engine> {
    link: Link,
    control: &'a Control,
    outbox: &'a Outbox,
    transactions: Transactions<E>,
    /// Replies that are held back until their time.
    held: VecDeque<(Instant, Vec<u8>)>,
}

impl<E: Engine> Connection<'_, E> {
    fn run(mut self) -> Result<(), Broken> {
        loop {
            self.outbox.lower();
            if self.outbox.is_cut() {
                return Err(Broken::Cut("another has taken its place, or the server ends"));
            }
            let more = loop {
                if self.is_full() {
                    break true;
                }
                match self.link.next_frame()? {
                    Some(frame) => self.transactions.handle(Request::take(frame)?)?,
                    None => break false,
                }
            };
            self.collect();
            let paused = self.control.is_paused();
            if !paused {
                self.link.write()?;
            }
            if more && !self.is_full() {
                // There are requests that have been read already.
                continue;
            }
            if self.wait(paused)? {
                self.link.read()?;
            }
        }
    }

    /// Takes over the replies that are due.
    fn collect(&mut self) {
        let delay = self.control.state().fate.delay();
        if delay.is_zero() && self.held.is_empty() {
            self.outbox.collect(self.link.output());
            return;
        }
        let now = Instant::now();
        let mut replies = Vec::new();
        self.outbox.collect(&mut replies);
        if !replies.is_empty() {
            self.held.push_back((now + delay, replies));
        }
        while self.held.front().is_some_and(|(due, _)| *due <= now) {
            let (_, mut replies) = self.held.pop_front().expect("just seen");
            self.link.output().append(&mut replies);
        }
    }

    /// Whether the peer has to take replies before it may ask for more.
    fn is_full(&self) -> bool {
        let held_bytes: usize = self.held.iter().map(|(_, replies)| replies.len()).sum();
        self.link.unwritten_bytes() + held_bytes + self.outbox.len_bytes() > UNWRITTEN_BYTES_MAX
    }

    /// Waits until there is something to do. Whether that is something to read.
    fn wait(&self, paused: bool) -> Result<bool, Broken> {
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, !paused && !self.is_full());
        wanted.set(PollFlags::OUT, !paused && self.link.unwritten_bytes() > 0);
        let until = self.held.front().map(|(due, _)| *due);
        let signal = PollFd::new(self.outbox, PollFlags::IN);
        if wanted.is_empty() {
            // Not even whether the peer is gone: that would end every wait.
            wait(&mut [signal], until)?;
            return Ok(false);
        }
        let mut fds = [signal, PollFd::from_borrowed_fd(self.link.as_fd(), wanted)];
        wait(&mut fds, until)?;
        let found = fds[1].revents();
        Ok(wanted.contains(PollFlags::IN) && found.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR))
    }
}
