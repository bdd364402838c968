//! Progress of a command on a store: one line on a terminal, written over and over; nothing elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often the line is written again.
const EVERY: Duration = Duration::from_millis(200);

pub(in crate::ops::cli) struct Progress {
    terminal: bool,
    shown: Instant,
}

impl Progress {
    pub(in crate::ops::cli) fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), shown: Instant::now() }
    }

    /// Shows what `line` says, if it is time to.
    pub(in crate::ops::cli) fn show(&mut self, line: impl FnOnce() -> String) {
        if self.terminal && self.shown.elapsed() >= EVERY {
            self.shown = Instant::now();
            self.write(&line());
        }
    }

    pub(in crate::ops::cli) fn clear(&self) {
        if self.terminal {
            self.write("");
        }
    }

    fn write(&self, line: &str) {
        // A closed terminal wants no progress.
        let _ = write!(io::stderr().lock(), "\r\x1b[2K{line}");
    }
}

/// A line that stays, for what somebody should know before the end.
pub(super) fn note(line: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "rookery: {line}");
}
