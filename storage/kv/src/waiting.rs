//! Threads that must not wait for a disk, and reads that may have to.
//!
//! Owns the mark that says so. A read of the embedded engine returns at once from memory or waits for the disk, and
//! nobody knows before. On a thread that serves connections it stays pending instead, and whoever polls, by
//! [`poll_without_waiting`], learns that the same future is to be polled on a thread that may wait. A future goes on
//! where it stopped, so nothing is read twice.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Thread {
    /// Where nothing else is said.
    MayWait,
    MustNotWait,
    /// It must not, and something had to.
    Refused,
}

thread_local! {
    static THREAD: Cell<Thread> = const { Cell::new(Thread::MayWait) };
}

/// The future has something to do for which it may have to wait: poll it on another thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MayHaveToWait;

/// Polls a future on a thread that must not wait for a disk.
///
/// # Errors
/// [`MayHaveToWait`] if it came to where it may have to. Its waker has been called then, so that the parts of it that
/// stopped there are looked at again by the next poll.
pub fn poll_without_waiting<F: Future + ?Sized>(
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Result<Poll<F::Output>, MayHaveToWait> {
    /// Also if the future panics.
    struct Restore(Thread);
    impl Drop for Restore {
        fn drop(&mut self) {
            THREAD.set(self.0);
        }
    }
    let _restore = Restore(THREAD.replace(Thread::MustNotWait));
    let polled = future.poll(cx);
    if polled.is_pending() && THREAD.get() == Thread::Refused { Err(MayHaveToWait) } else { Ok(polled) }
}

/// Goes on at once on a thread that may wait, and on no other.
pub(crate) async fn may_wait() {
    poll_fn(|cx| match THREAD.get() {
        Thread::MayWait => Poll::Ready(()),
        Thread::MustNotWait | Thread::Refused => {
            THREAD.set(Thread::Refused);
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Waker;

    use super::*;
    use crate::join;

    /// Polls on a thread that must not wait, and, if that was refused, on one that may: it comes to 7.
    fn check(work: impl Future<Output = u32>, refused: bool) {
        let (mut work, mut cx) = (pin!(work), Context::from_waker(Waker::noop()));
        let polled = poll_without_waiting(work.as_mut(), &mut cx);
        assert_eq!(polled.is_err(), refused, "{polled:?}");
        assert!(THREAD.get() == Thread::MayWait, "the mark is gone");
        let polled = polled.unwrap_or_else(|MayHaveToWait| work.poll(&mut cx));
        assert_eq!(polled, Poll::Ready(7));
    }

    async fn seven() -> u32 {
        may_wait().await;
        7
    }

    #[test]
    fn what_may_have_to_wait_goes_on_where_it_stopped() {
        check(async { 7 }, false);
        check(seven(), true);
        check(async { seven().await + seven().await - 7 }, true);
        check(async { join::try_all([async { Ok::<_, ()>(seven().await) }]).await.map_or(0, |all| all[0]) }, true);
    }
}
