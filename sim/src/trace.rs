//! Trace of a run: one line per change of state, and a hash over all lines.
//!
//! Owns the run's clock as others read it and its hash. Two runs of one seed have the same lines (determinism), so the
//! hash is what two processes compare.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Write as _};
use std::io::Write as _;

use xxhash_rust::xxh3::Xxh3;

/// Lines shown when a run fails.
const SHOWN_ON_FAILURE: usize = 200;

/// The record of one run.
pub(crate) struct Trace {
    now_ms: Cell<u64>,
    lines: RefCell<Lines>,
}

struct Lines {
    hash: Xxh3,
    text: String,
    kept: std::collections::VecDeque<String>,
    print: bool,
}

impl Trace {
    /// An empty record; with `print` each line goes to standard error as it comes.
    #[must_use]
    pub(crate) fn new(print: bool) -> Self {
        let lines = Lines { hash: Xxh3::new(), text: String::new(), kept: Default::default(), print };
        Self { now_ms: Cell::new(0), lines: RefCell::new(lines) }
    }

    /// Simulated milliseconds since the run began.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// The world's clock moves on.
    pub(crate) fn set_now_ms(&self, now_ms: u64) {
        self.now_ms.set(now_ms);
    }

    /// Something happened.
    pub(crate) fn line(&self, what: fmt::Arguments<'_>) {
        let mut lines = self.lines.borrow_mut();
        let Lines { hash, text, kept, print } = &mut *lines;
        text.clear();
        write!(text, "{:>6} {what}", self.now_ms.get()).expect("a string takes text");
        hash.update(text.as_bytes());
        hash.update(b"\n");
        if *print {
            // Nobody reads it if this fails, and the run does not depend on it.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
        if kept.len() == SHOWN_ON_FAILURE {
            kept.pop_front();
        }
        kept.push_back(text.clone());
    }

    /// Prints what is of use to whoever reads, and no part of the record: only where lines are printed.
    pub(crate) fn aside(&self, what: impl FnOnce() -> String) {
        if self.lines.borrow().print {
            let _ = writeln!(std::io::stderr(), "{:>6} {:.400}", self.now_ms.get(), what());
        }
    }

    /// The hash over all lines so far.
    pub(crate) fn hash(&self) -> u64 {
        self.lines.borrow().hash.digest()
    }

    /// The last lines, at most 200.
    pub(crate) fn last(&self) -> Vec<String> {
        self.lines.borrow().kept.iter().cloned().collect()
    }
}

/// A digest of bytes for a line of the trace.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// Adds a line to a trace.
macro_rules! note {
    ($trace:expr, $($what:tt)+) => { $trace.line(format_args!($($what)+)) };
}
pub(crate) use note;
