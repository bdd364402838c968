//! Outcome of a run: the hash of its trace, and the first invariant that does not hold.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::trace::{Trace, note};

/// What a run came to, with what was done in it.
#[derive(Debug)]
pub struct Outcome<D> {
    /// Equal in every process that runs the same options.
    pub hash: u64,
    /// What does not hold; none if all is well.
    pub violation: Option<Violation>,
    /// The last lines of the trace.
    pub last: Vec<String>,
    /// What was done, and what went wrong on purpose.
    pub done: D,
}

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its number, as in ARCHITECTURE.md; `panic` for a promise of the code that was broken.
    pub invariant: String,
    /// Where, what was found and what was expected.
    pub finding: String,
}

impl Violation {
    pub(crate) fn new(invariant: &str, finding: impl Into<String>) -> Self {
        Self { invariant: invariant.to_owned(), finding: finding.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.finding)
    }
}

/// Ends a check or a run: an invariant does not hold, and this was found.
macro_rules! violated {
    ($invariant:literal, $($finding:tt)+) => {
        return Err($crate::outcome::Violation::new($invariant, format!($($finding)+)))
    };
}
pub(crate) use violated;

/// Runs and judges; a panic is a finding like any other, and its message says which.
pub(crate) fn judged(trace: &Trace, run: impl FnOnce() -> Result<(), Violation>) -> Option<Violation> {
    let message = |panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message").to_owned()
    };
    let ran = catch_unwind(AssertUnwindSafe(run));
    let violation = ran.unwrap_or_else(|panic| Err(Violation::new("panic", message(panic)))).err();
    if let Some(violation) = &violation {
        note!(trace, "violated: {violation}");
    }
    violation
}
