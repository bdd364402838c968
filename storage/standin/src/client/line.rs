//! One database's socket, as the network thread sees it: connected again and again, for ever.
//!
//! Owns the states of a connection. A line is *up* once the server has greeted it, which the server does only when
//! nothing of the line before can still commit.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt};

use super::connection::Connection;
use super::future::Call;
use crate::frame::{Malformed, Reply, hello, put_hello};
use crate::link::{Broken, Link};

/// First pause before connecting again; it doubles each time.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// A server that accepts and does not greet within this time is tried anew: it may have been started again meanwhile.
const GREETING_MAX: Duration = Duration::from_secs(10);
/// How often deadlines are looked at while there are any.
const DEADLINE_LOOK: Duration = Duration::from_millis(20);

/// One database's socket.
pub(super) struct Line {
    connection: Arc<Connection>,
    state: State,
    /// The next pause.
    pause: Duration,
    /// When deadlines are looked at next.
    deadlines: Instant,
    /// What the last wait found.
    found: PollFlags,
}

enum State {
    /// Until then.
    Down(Instant),
    /// Asked the system for it.
    Connecting(TcpStream),
    /// Said hello, until then.
    Greeting(Box<Link>, Instant),
    Up(Box<Link>),
}

impl Line {
    /// Not connected.
    pub(super) fn new(connection: Arc<Connection>, now: Instant) -> Self {
        let found = PollFlags::empty();
        Self { connection, state: State::Down(now), pause: PAUSE_MIN, deadlines: now, found }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    /// Does what can be done without waiting. Callbacks that are due are added to `calls`.
    pub(super) fn turn(&mut self, now: Instant, calls: &mut Vec<Call>) {
        if self.deadlines <= now {
            let any = self.connection.expire(now, calls);
            self.deadlines = now + if any { DEADLINE_LOOK } else { DEADLINE_LOOK * 5 };
        }
        let state = std::mem::replace(&mut self.state, State::Down(now));
        let was_up = matches!(state, State::Up(_));
        self.state = match self.advance(state, now, calls) {
            Ok(state) => state,
            Err(_) => {
                if was_up {
                    self.connection.broken(calls);
                }
                let until = now + self.pause;
                self.pause = (self.pause * 2).min(PAUSE_MAX);
                State::Down(until)
            }
        };
        self.found = PollFlags::empty();
    }

    fn advance(&mut self, state: State, now: Instant, calls: &mut Vec<Call>) -> Result<State, Broken> {
        let readable = self.found.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
        match state {
            State::Down(until) if now < until => Ok(State::Down(until)),
            State::Down(_) => open(self.connection.address).map(State::Connecting),
            State::Connecting(socket) if self.found.is_empty() => Ok(State::Connecting(socket)),
            State::Connecting(socket) => {
                sockopt::socket_error(&socket).map_err(std::io::Error::from)?.map_err(std::io::Error::from)?;
                let mut link = Box::new(Link::new(socket)?);
                put_hello(link.output(), &self.connection.session);
                link.write()?;
                Ok(State::Greeting(link, now + GREETING_MAX))
            }
            State::Greeting(_, until) if until <= now => Err(Broken::Cut("no greeting")),
            State::Greeting(link, until) if !readable => Ok(State::Greeting(link, until)),
            State::Greeting(mut link, until) => {
                link.read()?;
                let Some(frame) = link.next_frame()? else {
                    return Ok(State::Greeting(link, until));
                };
                if hello(frame)? != self.connection.session {
                    return Err(Malformed("a greeting for another").into());
                }
                self.connection.settled(calls);
                self.pause = PAUSE_MIN;
                self.exchange(&mut link, false, calls)?;
                Ok(State::Up(link))
            }
            State::Up(mut link) => {
                self.exchange(&mut link, readable, calls)?;
                Ok(State::Up(link))
            }
        }
    }

    /// Writes what is queued and takes in what has arrived.
    fn exchange(&self, link: &mut Link, readable: bool, calls: &mut Vec<Call>) -> Result<(), Broken> {
        self.connection.collect(link.output());
        link.write()?;
        if readable {
            let read = link.read();
            let mut replies = Vec::new();
            while let Some(frame) = link.next_frame()? {
                replies.push(Reply::take(frame)?);
            }
            self.connection.replied(replies, calls);
            read?;
        }
        Ok(())
    }

    /// What to wait for, beside time.
    pub(super) fn wanted(&self) -> Option<PollFd<'_>> {
        match &self.state {
            State::Down(_) => None,
            State::Connecting(socket) => Some(PollFd::new(socket, PollFlags::OUT)),
            State::Greeting(link, _) | State::Up(link) => {
                let mut wanted = PollFlags::IN;
                wanted.set(PollFlags::OUT, link.unwritten_bytes() > 0);
                Some(PollFd::from_borrowed_fd(link.as_fd(), wanted))
            }
        }
    }

    /// What the wait found.
    pub(super) fn set_found(&mut self, found: PollFlags) {
        self.found = found;
    }

    /// When the next turn is due, whatever happens.
    pub(super) fn due(&self) -> Instant {
        match &self.state {
            State::Down(until) | State::Greeting(_, until) => self.deadlines.min(*until),
            State::Connecting(_) | State::Up(_) => self.deadlines,
        }
    }
}

/// Asks the system for a connection and does not wait for it.
fn open(address: SocketAddr) -> Result<TcpStream, Broken> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket: OwnedFd =
        socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP)).map_err(std::io::Error::from)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(std::io::Error::from(error).into()),
    }
}
