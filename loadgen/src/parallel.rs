//! Work in pieces on a few threads: requests to the API, which wait more than they do.
//!
//! Owns the threads and their progress. What a piece is, is the caller's.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::bail;

use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// Requests at one time. The node hashes passwords one at a time a core and queues the rest.
const WORKERS: usize = 8;

/// What came of some work: results by number, ascending, and the first failure.
pub(crate) struct Done<T> {
    pub(crate) finished: Vec<(usize, T)>,
    pub(crate) failed: Option<anyhow::Error>,
}

/// Does `work` pieces, several at a time, until one fails or the user interrupts.
pub(crate) fn in_parallel<T: Send>(
    what: &'static str,
    work: usize,
    interrupt: &Interrupt,
    piece: impl Fn(usize) -> anyhow::Result<T> + Sync,
) -> Done<T> {
    let next = AtomicUsize::new(0);
    let done = Done { finished: Vec::with_capacity(work), failed: None };
    let done = Mutex::new((done, Progress::new(what, work as u64)));
    let worker = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= work {
                break;
            }
            let interrupted = || bail!("interrupted at the {what}");
            let result = if interrupt.requested() { interrupted() } else { piece(at) };
            if result.is_err() {
                // Before the lock is waited for: a hundred thousand quick pieces would be done by then.
                next.store(work, Ordering::Relaxed);
            }
            let (done, progress) = &mut *done.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(result) => done.finished.push((at, result)),
                Err(error) => _ = done.failed.get_or_insert(error),
            }
            progress.show(done.finished.len() as u64, || format!("{} of {work}", done.finished.len()));
        }
    };
    std::thread::scope(|scope| (0..WORKERS.min(work)).for_each(|_| _ = scope.spawn(worker)));
    let (mut done, _) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.finished.sort_by_key(|&(at, _)| at);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_once_each_and_in_order() {
        let interrupt = Interrupt::install().unwrap();
        let done = in_parallel("pieces", 1_000, &interrupt, Ok);
        assert!(done.failed.is_none());
        assert_eq!(done.finished, (0..1_000).map(|at| (at, at)).collect::<Vec<_>>());
    }

    #[test]
    fn a_failure_ends_the_work_and_keeps_what_is_done() {
        let interrupt = Interrupt::install().unwrap();
        let piece = |at| match at {
            50 => bail!("no"),
            0..50 => Ok(at),
            // Long enough that whoever took 50 has failed long before the rest is done.
            _ => {
                std::thread::sleep(std::time::Duration::from_millis(1));
                Ok(at)
            }
        };
        let done = in_parallel("pieces", 100_000, &interrupt, piece);
        assert_eq!(done.failed.map(|error| error.to_string()).as_deref(), Some("no"));
        assert!((50..90_000).contains(&done.finished.len()), "{} were done", done.finished.len());
    }
}
