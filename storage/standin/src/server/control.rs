//! State shared by the server's threads: faults, counts, whether they run, and which connection is whose.
//!
//! Owns the rule that makes 1021 safe: a client that connects again is greeted only when its connection before has
//! ended and every commit of it that was handed in has ended too. So nothing of the old one can still commit.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::calls::Counts;
use super::faults::{Fate, Faults};
use crate::frame::{Reply, Session};
use crate::link::Signal;

/// The server, as its threads see it.
#[derive(Debug)]
pub(super) struct Control {
    state: Mutex<State>,
    paused: AtomicBool,
    closing: AtomicBool,
    /// Ends the accepting thread's wait.
    signal: Signal,
    /// The newest connection of each session, and older ones that have not ended.
    outboxes: Mutex<HashMap<Session, Arc<Outbox>>>,
}

/// What is asked for with every operation.
#[derive(Debug)]
pub(super) struct State {
    pub(super) fate: Fate,
    pub(super) counts: Counts,
}

impl Control {
    pub(super) fn new(seed: u64, faults: Faults) -> io::Result<Self> {
        Ok(Self {
            state: Mutex::new(State { fate: Fate::new(seed, faults), counts: Counts::default() }),
            paused: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            signal: Signal::new()?,
            outboxes: Mutex::default(),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(super) fn lower(&self) {
        self.signal.lower();
    }

    pub(super) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
        self.raise();
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.cut();
        self.signal.raise();
    }

    pub(super) fn cut(&self) {
        self.outboxes().values().for_each(|outbox| outbox.cut());
    }

    fn raise(&self) {
        self.outboxes().values().for_each(|outbox| outbox.signal.raise());
        self.signal.raise();
    }

    fn outboxes(&self) -> MutexGuard<'_, HashMap<Session, Arc<Outbox>>> {
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `outbox` the connection of `session`, and waits until nothing of the one before can commit any more.
    pub(super) fn take_over(&self, session: Session, outbox: &Arc<Outbox>) {
        let before = {
            let mut outboxes = self.outboxes();
            // Those of clients that are gone for good.
            outboxes.retain(|other, outbox| *other == session || !outbox.has_ended());
            outboxes.insert(session, Arc::clone(outbox))
        };
        // Whoever closed before the insertion did not find this one.
        if self.is_closing() {
            outbox.cut();
        }
        if let Some(before) = before {
            before.cut();
            before.await_end();
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }
}

/// One connection, as those see it who have an answer for it: the store's threads among them.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Frames that the connection's thread is to write.
    replies: Mutex<Vec<u8>>,
    signal: Signal,
    cut: AtomicBool,
    ending: Mutex<Ending>,
    ended: Condvar,
}

#[derive(Debug)]
struct Ending {
    /// The connection's thread may still handle requests.
    is_served: bool,
    /// Commits handed in and not ended.
    commits: usize,
}

impl Outbox {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            replies: Mutex::default(),
            signal: Signal::new()?,
            cut: AtomicBool::new(false),
            ending: Mutex::new(Ending { is_served: true, commits: 0 }),
            ended: Condvar::new(),
        })
    }

    fn replies(&self) -> MutexGuard<'_, Vec<u8>> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ending(&self) -> MutexGuard<'_, Ending> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From the connection's own thread, which writes soon anyway.
    pub(super) fn reply(&self, id: u64, reply: &Reply) {
        reply.put(id, &mut self.replies());
    }

    /// From any thread.
    pub(super) fn reply_and_raise(&self, id: u64, reply: &Reply) {
        self.reply(id, reply);
        self.signal.raise();
    }

    /// Appends the replies so far to `output`.
    pub(super) fn collect(&self, output: &mut Vec<u8>) {
        output.append(&mut self.replies());
    }

    /// Bytes of the replies so far.
    pub(super) fn len_bytes(&self) -> usize {
        self.replies().len()
    }

    pub(super) fn lower(&self) {
        self.signal.lower();
    }

    /// Ends the connection's thread at its next look.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.signal.raise();
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// A commit is about to be handed in. It has ended when what is returned is dropped.
    pub(super) fn begin_commit(self: &Arc<Self>) -> CommitInFlight {
        self.ending().commits += 1;
        CommitInFlight(Arc::clone(self))
    }

    /// The connection's thread handles no more requests.
    pub(super) fn end(&self) {
        self.ending().is_served = false;
        self.ended.notify_all();
    }

    fn has_ended(&self) -> bool {
        let ending = self.ending();
        !ending.is_served && ending.commits == 0
    }

    fn await_end(&self) {
        let mut ending = self.ending();
        while ending.is_served || ending.commits > 0 {
            ending = self.ended.wait(ending).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl AsFd for Outbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }
}

/// A commit that was handed in.
#[derive(Debug)]
pub(super) struct CommitInFlight(Arc<Outbox>);

impl Drop for CommitInFlight {
    fn drop(&mut self) {
        let mut ending = self.0.ending();
        ending.commits -= 1;
        // Before the connection has ended nobody waits for this alone.
        if !ending.is_served {
            self.0.ended.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_session_is_greeted_again_only_when_nothing_of_it_can_commit() {
        let control = Arc::new(Control::new(1, Faults::default()).expect("an event"));
        let outbox = || Arc::new(Outbox::new().expect("an event"));
        let (first, second, other) = (outbox(), outbox(), outbox());
        control.take_over([1; 16], &first);
        let commit = first.begin_commit();
        let (tell, told) = mpsc::channel();
        let taking = Arc::clone(&control);
        let thread = thread::spawn(move || {
            taking.take_over([1; 16], &second);
            tell.send(()).expect("the test waits");
        });
        let waits = |after: &str| {
            let early = told.recv_timeout(Duration::from_millis(50));
            assert_eq!(early, Err(mpsc::RecvTimeoutError::Timeout), "after {after}");
        };
        waits("a commit was handed in");
        assert!(first.is_cut());
        first.end();
        waits("the connection ended");
        control.take_over([2; 16], &other);
        drop(commit);
        told.recv_timeout(Duration::from_secs(10)).expect("nothing is left");
        thread.join().expect("it does not panic");
        assert!(!other.is_cut(), "another session is another client");
    }
}
