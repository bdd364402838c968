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
pub enum Signal {
    /// From a service manager.
    Terminate,
    /// From a terminal's Ctrl-C.
    Interrupt,
}

impl Signal {
    /// Its name, for logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    /// The exit code of a process that it ended at once, as shells count: 128 and its number.
    #[must_use]
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Terminate => 128 + SIGTERM,
            Self::Interrupt => 128 + SIGINT,
        }
    }
}

/// Calls `on_first` at the first signal, on a thread of its own, and ends the process at the second, at once and
/// whatever `on_first` is doing.
///
/// To be called before other threads start, and once: from here on neither signal kills the process by itself.
///
/// # Errors
/// The system gives no thread or no handler.
pub fn on_signal(on_first: impl FnOnce(Signal) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut on_first = Some(on_first);
        for number in signals.forever() {
            let signal = if number == SIGTERM { Signal::Terminate } else { Signal::Interrupt };
            let Some(stop) = on_first.take() else { low_level::exit(signal.exit_code()) };
            // A stop that hangs must not keep the second signal waiting.
            if thread::Builder::new().name("stop".to_owned()).spawn(move || stop(signal)).is_err() {
                low_level::exit(signal.exit_code());
            }
        }
    })?;
    Ok(())
}
