//! Progress of a run: a bar on a terminal with the last seconds below it, a plain line every few seconds anywhere else.
//!
//! Writes to standard error alone, so that standard output holds nothing but the report.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::live::Live;
use crate::report::Second;

/// How often a plain line is written: a log of a minute's run stays a dozen lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// How often the bar moves; the eye wants no more, and each drawing takes the generator's time.
const BAR_INTERVAL: Duration = Duration::from_millis(200);

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Has this thread say nothing, since another says the same.
pub(crate) fn silence() {
    SILENT.set(true);
}

/// Whether another thread says what this one would.
pub(crate) fn is_silent() -> bool {
    SILENT.get()
}

/// One stretch of work of known length.
pub(crate) struct Progress {
    what: &'static str,
    length: u64,
    bar: Option<ProgressBar>,
    interval: Duration,
    shown: Instant,
    live: Live,
}

impl Progress {
    /// `length` is in connections, milliseconds or whatever `show` will count; `what` names it.
    pub(crate) fn new(what: &'static str, length: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        let on_terminal = !bar.is_hidden() && !is_silent();
        // What is said has a line of its own, which a terminal of 80 columns does not break.
        let style = ProgressStyle::with_template("{prefix:>16} [{bar:40}] {percent:>3} %\n{msg}")
            .expect("the template is a constant and valid")
            .progress_chars("=> ");
        let bar = on_terminal.then(|| bar.with_style(style).with_prefix(what));
        let interval = if on_terminal { BAR_INTERVAL } else { LINE_INTERVAL };
        Self { what, length, bar, interval, shown: Instant::now(), live: Live::default() }
    }

    /// A second of the run is over.
    pub(crate) fn second(&mut self, second: &Second) {
        self.live.push(second);
    }

    /// Shows `position` if it is time to; `message` is only called then.
    pub(crate) fn show(&mut self, position: u64, message: impl FnOnce() -> String) {
        if is_silent() || self.shown.elapsed() < self.interval {
            return;
        }
        self.shown = Instant::now();
        let position = position.min(self.length);
        match &self.bar {
            Some(bar) => {
                let lines: String = self.live.lines().iter().map(|line| format!("\n{line}")).collect();
                bar.set_message(format!("{:17}{}{lines}", "", message()));
                bar.set_position(position);
            }
            None => {
                let live = self.live.said().map_or(String::new(), |said| format!("; {said}"));
                eprintln!("{} {} %: {}{live}", self.what, position * 100 / self.length.max(1), message());
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
