//! What a fake has taken: each message once, and how often it was asked to take it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;

/// Messages whose content is kept: the newest.
const KEPT_MAX: usize = 10_000;
/// Messages that are known by their id, so that a repetition is no second one: some 100 MB of them.
const IDS_MAX: usize = 1_000_000;

/// A message that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Received {
    /// What the sink knows a repetition by.
    pub id: String,
    /// Whom it is for.
    pub target: String,
    /// What it takes the place of.
    pub collapse: String,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
    /// The number at the application's icon.
    pub badge: Option<u64>,
    /// What it says to the application.
    pub data: BTreeMap<String, String>,
    /// When it came first: Unix time in milliseconds.
    pub at_ms: u64,
    /// Whatever else the service looks at, such as its headers: by name.
    pub extra: BTreeMap<String, String>,
}

/// How much came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Requests to take a message, whatever came of them.
    pub requests: u64,
    /// Requests whose message was taken, repetitions among them.
    pub taken: u64,
    /// Messages that were taken: requests of different ids.
    pub distinct: u64,
    /// Requests that were not in order, and refused for that.
    pub faulty: u64,
}

#[derive(Default)]
struct Book {
    counts: Counts,
    kept: VecDeque<Received>,
    taken: HashMap<String, u32>,
    /// The ids of `taken`, the oldest first.
    ids: VecDeque<String>,
    /// Why the last faulty one was refused.
    fault: Option<String>,
}

#[derive(Default)]
pub(crate) struct Ledger {
    book: Mutex<Book>,
    grown: Condvar,
}

impl Ledger {
    /// Counts a request, and gives its number from 1.
    pub(crate) fn asked(&self) -> u64 {
        let mut book = self.book();
        book.counts.requests += 1;
        book.counts.requests
    }

    pub(crate) fn faulty(&self, why: &str) {
        let mut book = self.book();
        book.counts.faulty += 1;
        book.fault = Some(why.to_owned());
    }

    /// Takes a message. Whether it is a new one.
    pub(crate) fn take(&self, received: Received) -> bool {
        let mut book = self.book();
        book.counts.taken += 1;
        if let Some(times) = book.taken.get_mut(&received.id) {
            *times += 1;
            return false;
        }
        book.counts.distinct += 1;
        book.taken.insert(received.id.clone(), 1);
        book.ids.push_back(received.id.clone());
        book.kept.push_back(received);
        if book.kept.len() > KEPT_MAX {
            book.kept.pop_front();
        }
        if book.ids.len() > IDS_MAX {
            let oldest = book.ids.pop_front().expect("it has many");
            book.taken.remove(&oldest);
        }
        drop(book);
        self.grown.notify_all();
        true
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.book().kept.iter().cloned().collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.book().counts
    }

    pub(crate) fn times(&self, id: &str) -> u32 {
        self.book().taken.get(id).copied().unwrap_or_default()
    }

    pub(crate) fn fault(&self) -> Option<String> {
        self.book().fault.clone()
    }

    pub(crate) fn clear(&self) {
        *self.book() = Book::default();
    }

    /// Waits until so many different messages were taken. False if they were not in time.
    pub(crate) fn wait(&self, distinct: u64, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut book = self.book();
        while book.counts.distinct < distinct {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            book = self.grown.wait_timeout(book, left).expect("nobody panics with it").0;
        }
        true
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().expect("nobody panics with it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_counted_and_no_second_message() {
        let ledger = Ledger::default();
        let check = |id: &str, is_new, taken, distinct| {
            assert_eq!(ledger.take(Received { id: id.to_owned(), ..Received::default() }), is_new, "{id}");
            let counts = ledger.counts();
            assert_eq!((counts.taken, counts.distinct), (taken, distinct), "{id}");
        };
        check("a", true, 1, 1);
        check("b", true, 2, 2);
        check("a", false, 3, 2);
        assert_eq!((ledger.times("a"), ledger.times("b"), ledger.times("c")), (2, 1, 0));
        assert!(ledger.wait(2, Duration::ZERO) && !ledger.wait(3, Duration::from_millis(1)));
        ledger.clear();
        check("a", true, 1, 1);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let ledger = Ledger::default();
        for number in 0..KEPT_MAX + 5 {
            ledger.take(Received { id: number.to_string(), ..Received::default() });
        }
        let kept = ledger.received();
        assert_eq!((kept.len(), kept[0].id.as_str()), (KEPT_MAX, "5"));
        assert_eq!(ledger.times("0"), 1, "its id is known all the same");
    }
}
