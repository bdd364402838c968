//! SIGTERM and SIGINT: the first asks the node to stop, the second ends it.
//!
//! Owns the thread that waits for them. What stopping means is the caller's.

use std::io;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

/// The signals that ask for an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// From a service manager.
    Terminate = SIGTERM as isize,
    /// From a terminal's Ctrl-C.
    Interrupt = SIGINT as isize,
}

impl Signal {
    /// Its name, for logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }
}

/// Calls `on_first`, which must not wait, at the first signal, on a thread of its own, and ends the process at the
/// second, at once; its exit code is 128 and the signal's number, as shells count.
///
/// To be called before other threads start, and once: from here on neither signal kills the process by itself.
///
/// # Errors
/// The system gives no thread or no handler.
pub(crate) fn on_signal(on_first: impl FnOnce(Signal) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut on_first = Some(on_first);
        for number in signals.forever() {
            let signal = if number == SIGTERM { Signal::Terminate } else { Signal::Interrupt };
            match on_first.take() {
                Some(on_first) => on_first(signal),
                None => low_level::exit(128 + signal as i32),
            }
        }
    })?;
    Ok(())
}
