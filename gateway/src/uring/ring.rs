//! One io_uring: submissions, completions, and the wait for either a completion or a call by another thread.
//!
//! Owns the queues and the rule that nothing is lost when they are full: a full submission queue is entered on the
//! spot, and completions are moved out of the kernel's queue before it overflows. Knows nothing of connections.
//! Part of I12: the wait is the system call that also submits and completes, so the kernel decides, in one place,
//! whether there is anything to wait for; a read of the shard's eventfd is always among the requests.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::time::Instant;

use io_uring::{EnterFlags, IoUring, opcode, squeue, types};

use super::buffers::{BUFFER_GROUP, Buffers};
use super::error::DriverError;
use super::outbox::Flight;

/// Entries of the submission queue: more than a turn has requests, so that it is entered once.
const SUBMISSIONS: u32 = 1024;
/// Entries of the completion queue. Multishot requests complete without being submitted; 16 to one, as io_uring(7)
/// advises for them. 256 KiB of memory.
const COMPLETIONS: u32 = 16 * SUBMISSIONS;

/// What the kernel says of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) user_data: u64,
    /// Zero or more as the request defines it, or a negated errno.
    pub(super) result: i32,
    pub(super) flags: u32,
}

impl Completion {
    /// Whether the same multishot request will complete again.
    pub(super) fn more(self) -> bool {
        io_uring::cqueue::more(self.flags)
    }
}

/// One timeout request, for the earliest moment that was asked for.
struct Alarm {
    at: Box<types::Timespec>,
    /// When it completes, if it is among the requests.
    rings: Option<Instant>,
}

pub(super) struct Ring {
    // Before the memory that the kernel writes to: closing the ring ends that.
    uring: IoUring,
    pub(super) buffers: Buffers,
    /// What was read from the eventfd, which says nothing.
    calls: Box<u64>,
    alarm: Alarm,
    /// Taken from the kernel and not handled yet. At most what the kernel's queue holds, plus what was reaped to make
    /// room while one turn submitted.
    reaped: VecDeque<Completion>,
    /// Met while a full queue was entered; reported by the next [`enter`](Self::enter).
    broken: Option<io::Error>,
}

impl Ring {
    pub(super) fn new() -> Result<Self, DriverError> {
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)
            .map_err(DriverError::of_ring)?;
        let buffers = Buffers::register(&uring.submitter())?;
        let alarm = Alarm { at: Box::new(types::Timespec::new()), rings: None };
        Ok(Ring { uring, buffers, calls: Box::new(0), alarm, reaped: VecDeque::new(), broken: None })
    }

    /// Completes at this moment at the latest. One timer for many waits: a timeout of each would have the kernel program
    /// its clock twice a turn, which on a virtual machine is most of what a turn costs.
    ///
    /// `moved` is the user data of a completion that says nothing.
    pub(super) fn alarm(&mut self, at: Instant, now: Instant, user_data: u64, moved: u64) {
        if self.alarm.rings.is_some_and(|rings| rings <= at) {
            return;
        }
        *self.alarm.at = types::Timespec::from(at.saturating_duration_since(now));
        let moment = &raw const *self.alarm.at;
        let (entry, user_data) = match self.alarm.rings.replace(at) {
            None => (opcode::Timeout::new(moment).build(), user_data),
            // If it has fired by then its completion is there, and the next wait asks for it anew.
            Some(_) => (opcode::TimeoutUpdate::new(user_data, moment).build(), moved),
        };
        // SAFETY: the ring owns the time, and drops it after itself. The kernel reads it as it takes the entry; should that
        // be after the next change it is the newer time, which is meant.
        unsafe { self.push(entry, user_data) };
    }

    /// The alarm has completed.
    pub(super) fn alarmed(&mut self) {
        self.alarm.rings = None;
    }

    /// Completes when another thread wrote to the eventfd, and resets it. One at a time.
    pub(super) fn read_calls(&mut self, eventfd: RawFd, user_data: u64) {
        let entry = opcode::Read::new(types::Fd(eventfd), (&raw mut *self.calls).cast(), 8).build();
        // SAFETY: the ring owns the eight bytes, drops them after itself, and never looks at them.
        unsafe { self.push(entry, user_data) };
    }

    /// Takes connections off a listener, as many completions as there are.
    pub(super) fn accept(&mut self, listener: RawFd, user_data: u64) {
        let entry = opcode::AcceptMulti::new(types::Fd(listener)).flags(libc::SOCK_CLOEXEC).build();
        // SAFETY: the entry points to no memory.
        unsafe { self.push(entry, user_data) };
    }

    /// Receives into the buffers, as many completions as there is data.
    pub(super) fn recv(&mut self, socket: RawFd, user_data: u64) {
        let entry = opcode::RecvMulti::new(types::Fd(socket), BUFFER_GROUP).build();
        // SAFETY: the entry points to no memory but the buffers, which the ring owns.
        unsafe { self.push(entry, user_data) };
    }

    /// Receives into one of the buffers.
    pub(super) fn recv_once(&mut self, socket: RawFd, user_data: u64) {
        let entry = opcode::Recv::new(types::Fd(socket), std::ptr::null_mut(), 0).buf_group(BUFFER_GROUP).build();
        // SAFETY: the entry points to no memory but the buffers, which the ring owns.
        unsafe { self.push(entry.flags(squeue::Flags::BUFFER_SELECT), user_data) };
    }

    /// Completes once, when there is something to receive.
    pub(super) fn poll(&mut self, socket: RawFd, user_data: u64) {
        let entry = opcode::PollAdd::new(types::Fd(socket), libc::POLLIN as u32).build();
        // SAFETY: the entry points to no memory.
        unsafe { self.push(entry, user_data) };
    }

    /// Completes the request with the user data `of`, if it is still there, as cancelled.
    pub(super) fn cancel(&mut self, of: u64, user_data: u64) {
        // SAFETY: the entry points to no memory.
        unsafe { self.push(opcode::AsyncCancel::new(of).build(), user_data) };
    }

    /// Sends what was taken off an outbox.
    ///
    /// # Safety
    /// What `flight` points to stays valid and unchanged until the completion has been taken by
    /// [`next`](Self::next), or the ring is dropped.
    pub(super) unsafe fn send(&mut self, socket: RawFd, flight: Flight, user_data: u64) {
        let fd = types::Fd(socket);
        let entry = match flight {
            Flight::Slice { start, len } => opcode::Send::new(fd, start, len).flags(libc::MSG_NOSIGNAL).build(),
            Flight::Gather { header } => opcode::SendMsg::new(fd, header).flags(libc::MSG_NOSIGNAL as u32).build(),
        };
        // SAFETY: as promised by the caller.
        unsafe { self.push(entry, user_data) };
    }

    /// Queues a request for the next [`enter`](Self::enter).
    ///
    /// # Safety
    /// As [`send`](Self::send), for whatever the entry points to.
    unsafe fn push(&mut self, entry: squeue::Entry, user_data: u64) {
        let entry = entry.user_data(user_data);
        // SAFETY: the caller keeps the entry's memory valid.
        while unsafe { self.uring.submission().push(&entry) }.is_err() {
            self.submit();
            if self.broken.is_some() {
                return;
            }
            self.reap();
        }
    }

    /// Tells the kernel what was queued and lets it finish what it has for us, without waiting. No system call if
    /// there is neither.
    ///
    /// # Errors
    /// The ring is of no use any more, and requests may have been lost.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        let submission = self.uring.submission();
        let needed = !submission.is_empty() || submission.taskrun() || submission.cq_overflow();
        drop(submission);
        if needed { self.enter_for(0, &types::SubmitArgs::new()) } else { self.broken.take().map_or(Ok(()), Err) }
    }

    /// As [`enter`](Self::enter), in the middle of a turn: an error is reported by the next one.
    pub(super) fn submit(&mut self) {
        if let Err(error) = self.enter() {
            self.broken = Some(error);
        }
    }

    /// As [`enter`](Self::enter), and waits until there is a completion: for the first, and not a moment for more. With a moment
    /// of 20 us the median round trip of an echo took half as long again, and since the kernel arms a timer for it the
    /// processor time was more too (docs/measurements.md).
    pub(super) fn enter_and_wait(&mut self) -> io::Result<()> {
        self.enter_for(1, &types::SubmitArgs::new())
    }

    fn enter_for(&mut self, completions: u32, args: &types::SubmitArgs<'_, '_>) -> io::Result<()> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let queued = u32::try_from(self.uring.submission().len()).expect("no more than the queue's entries");
        let flags = (EnterFlags::GETEVENTS | EnterFlags::EXT_ARG).bits();
        // SAFETY: the arguments are of the type that EXT_ARG names, and the entries were pushed by `push`.
        match unsafe { self.uring.submitter().enter(queued, completions, flags, Some(args)) } {
            Ok(_) => Ok(()),
            // Time over, interrupted, out of memory for requests, or completions overflowed: what is left goes next
            // time, after some completions were taken.
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY)) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Moves completions out of the kernel's queue.
    pub(super) fn reap(&mut self) {
        self.reaped.extend(self.uring.completion().map(|entry| Completion {
            user_data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
    }

    /// The oldest completion that was reaped.
    pub(super) fn next(&mut self) -> Option<Completion> {
        self.reaped.pop_front()
    }
}
