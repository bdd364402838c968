//! Readiness of sockets: epoll, edge-triggered, each socket registered once for its whole life.
//!
//! Edge-triggered with both directions from the start, because then no `epoll_ctl` is ever needed between connect and
//! close, and a socket that was served is not polled again by the next wait. Who reads must read until the socket is
//! drained (a short read says so), or remember that it did not.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

/// Events taken by one wait. More only come later; 1,024 of 12 bytes stay in the cache.
const EVENTS_MAX: usize = 1024;

/// A connection's slot and which of the slot's sockets is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// One socket that may be read or written again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) token: Token,
    pub(crate) readable: bool,
    /// The other side will send no more: reading goes on until the end, short reads or not.
    pub(crate) hangup: bool,
}

/// An epoll instance and the events of its last wait.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Registers `socket`; closing it ends the registration.
    pub(crate) fn add(&self, socket: impl AsFd, token: Token) -> io::Result<()> {
        let data = u64::from(token.generation) << 32 | u64::from(token.index);
        let interest = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP;
        epoll::add(&self.epoll, socket, epoll::EventData::new_u64(data), interest | epoll::EventFlags::ET)?;
        Ok(())
    }

    /// Waits for events, at most `timeout`. A signal ends the wait early, with none.
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.events.clear();
        let timeout = Timespec::try_from(timeout).expect("timeouts are far below the 292 billion years that fit");
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The `at`th event of the last wait.
    pub(crate) fn event(&self, at: usize) -> Option<Event> {
        let event = self.events.get(at)?;
        let (data, flags) = (event.data.u64(), event.flags);
        let hangup = flags.intersects(epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR);
        Some(Event {
            token: Token { index: data as u32, generation: (data >> 32) as u32 },
            readable: hangup || flags.contains(epoll::EventFlags::IN),
            hangup,
        })
    }
}
