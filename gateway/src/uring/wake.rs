//! Mailboxes of a shard, and waking it if, and only if, it sleeps.
//!
//! Owns the three states of a shard's sleep. Upholds I12: whatever was put into a mailbox before [`Waker::wake`] is
//! seen by the shard without anything further happening. All turns on one atomic word, whose changes have one order:
//! the shard clears it and *then* looks into its mailboxes; a wake that comes later finds it cleared, sets it, and
//! the shard's attempt to sleep fails, or, if it sleeps already, that wake writes to the eventfd.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// The shard has looked into its mailboxes and nobody called since.
const AWAKE: u8 = 0;
/// Somebody called since the shard last looked.
const CALLED: u8 = 1;
/// The shard waits for the eventfd; the first to call has to write to it.
const ASLEEP: u8 = 2;

struct State {
    word: AtomicU8,
    eventfd: File,
}

/// Wakes one shard, from any thread.
#[derive(Clone)]
pub struct Waker {
    state: Arc<State>,
}

/// The shard's end, to be given to [`run`](super::run).
pub struct Sleeper {
    state: Arc<State>,
}

/// The two ends of one shard's sleep, made before the shard starts so that others can hold the waker.
///
/// # Errors
/// No file descriptor is left.
pub fn sleep_and_wake() -> io::Result<(Sleeper, Waker)> {
    // SAFETY: takes no pointers; the result is checked.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and is owned by nobody else.
    let eventfd = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    let state = Arc::new(State { word: AtomicU8::new(AWAKE), eventfd });
    Ok((Sleeper { state: Arc::clone(&state) }, Waker { state }))
}

impl Waker {
    /// Makes the shard look into its mailboxes. A system call only if it sleeps and nobody else woke it yet.
    ///
    /// What happened in this thread before is visible to the shard when it looks.
    pub fn wake(&self) {
        // Release what the caller put into a mailbox; acquire so that this order is total with the shard's own swaps.
        if self.state.word.swap(CALLED, Ordering::AcqRel) == ASLEEP {
            // Fails only at u64::MAX unread wakes, and each is preceded by a sleep that reads them.
            (&self.state.eventfd).write_all(&1u64.to_ne_bytes()).expect("an eventfd that is read takes a write");
        }
    }
}

impl Sleeper {
    /// The shard is about to look into its mailboxes.
    pub(super) fn awake(&self) {
        self.state.word.swap(AWAKE, Ordering::AcqRel);
    }

    /// Whether the shard may wait for the eventfd: nobody called since [`awake`](Self::awake).
    pub(super) fn try_sleep(&self) -> bool {
        self.state.word.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// What to read while asleep.
    pub(super) fn eventfd(&self) -> BorrowedFd<'_> {
        self.state.eventfd.as_fd()
    }
}

/// The sending end of a bounded queue to one shard. Clones share the queue.
pub struct Mailbox<T> {
    queue: SyncSender<T>,
    waker: Waker,
}

/// The shard's end of a [`Mailbox`], to be emptied in each turn.
pub struct Inbox<T> {
    queue: Receiver<T>,
}

/// Not delivered; the item comes back.
#[derive(PartialEq, Eq, thiserror::Error)]
pub enum MailboxError<T> {
    /// The shard has not taken what is there. The sender decides between later and never.
    #[error("the shard's mailbox is full")]
    Full(T),
    /// The shard has ended.
    #[error("the shard has ended")]
    Ended(T),
}

/// Without the item, which need not be printable.
impl<T> fmt::Debug for MailboxError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MailboxError::Full(_) => f.write_str("Full"),
            MailboxError::Ended(_) => f.write_str("Ended"),
        }
    }
}

/// A queue of at most `capacity` items to the shard that `waker` wakes. Items of one sender stay in order.
pub fn mailbox<T: Send>(waker: &Waker, capacity: usize) -> (Mailbox<T>, Inbox<T>) {
    let (sender, receiver) = sync_channel(capacity);
    (Mailbox { queue: sender, waker: waker.clone() }, Inbox { queue: receiver })
}

impl<T> Mailbox<T> {
    /// Delivers and wakes. Never waits.
    ///
    /// # Errors
    /// The item, if the mailbox is full or the shard has ended.
    pub fn push(&self, item: T) -> Result<(), MailboxError<T>> {
        match self.queue.try_send(item) {
            Ok(()) => {
                self.waker.wake();
                Ok(())
            }
            Err(TrySendError::Full(item)) => Err(MailboxError::Full(item)),
            Err(TrySendError::Disconnected(item)) => Err(MailboxError::Ended(item)),
        }
    }
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Mailbox { queue: self.queue.clone(), waker: self.waker.clone() }
    }
}

impl<T> Inbox<T> {
    /// The oldest item. A turn that leaves some is to ask for another at once, by a deadline that has passed.
    pub fn pop(&mut self) -> Option<T> {
        self.queue.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs steps in order; `!` marks a wake that has to write to the eventfd, `x` a sleep that has to fail.
    fn check(steps: &str) {
        let (sleeper, waker) = sleep_and_wake().expect("descriptors are left");
        for (at, step) in steps.split(' ').enumerate() {
            match step {
                "look" => sleeper.awake(),
                "sleep" => assert!(sleeper.try_sleep(), "step {at} of {steps}"),
                "sleep-x" => assert!(!sleeper.try_sleep(), "step {at} of {steps}"),
                "wake" | "wake!" => {
                    let asleep = waker.state.word.load(Ordering::Relaxed) == ASLEEP;
                    assert_eq!(asleep, step == "wake!", "step {at} of {steps}");
                    waker.wake();
                }
                other => panic!("no step {other}"),
            }
        }
    }

    #[test]
    fn a_shard_sleeps_only_if_nobody_called_since_it_looked() {
        check("look sleep");
        check("wake look sleep");
        check("look wake sleep-x look sleep");
        check("look sleep wake! wake look sleep wake!");
        check("look sleep wake! sleep-x");
    }

    #[test]
    fn a_full_mailbox_gives_the_item_back() {
        let (_sleeper, waker) = sleep_and_wake().expect("descriptors are left");
        let (mailbox, mut inbox) = mailbox(&waker, 2);
        assert_eq!(mailbox.push(1), Ok(()));
        assert_eq!(mailbox.clone().push(2), Ok(()));
        assert_eq!(mailbox.push(3), Err(MailboxError::Full(3)));
        assert_eq!((inbox.pop(), inbox.pop(), inbox.pop()), (Some(1), Some(2), None));
        drop(inbox);
        assert_eq!(mailbox.push(4), Err(MailboxError::Ended(4)));
    }
}
