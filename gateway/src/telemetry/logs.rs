//! Log lines to standard error, without ever making a shard wait for it.
//!
//! Owns their form (text on a terminal, otherwise a JSON object a line), the thread that writes them and the bound of
//! what waits for it. A line beyond the bound is dropped and counted. Upholds I11 for log lines.

use std::io::{self, IsTerminal as _, Write};
use std::sync::OnceLock;

use tracing::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat};

/// Lines that wait for the writing thread. A line is some 200 bytes, and none holds what a client sent, so 8,192 are
/// below 2 MiB; at 10,000 lines a second they bridge a pause of 0.8 s.
const LINES_MAX: usize = 8_192;

/// Logs belong to the process, and so does what they have dropped.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// The logs of this process, until dropped; dropping writes what waits.
#[derive(Debug)]
pub struct Logs {
    _writer: WorkerGuard,
}

/// Lines of this process that found no room, since its logs started.
#[must_use]
pub fn dropped_lines() -> u64 {
    DROPPED.get().map_or(0, |counter| counter.dropped_lines() as u64)
}

/// Why logs did not start.
#[derive(Debug, thiserror::Error)]
#[error("logs were started already in this process")]
pub struct Started;

impl Logs {
    /// Sends every event of this process that passes the filter to standard error.
    ///
    /// A panic is not an event: it goes straight to standard error, where it is also read when the process ends with
    /// it.
    ///
    /// # Errors
    /// A second call in one process.
    pub fn start(log: &Log) -> Result<Self, Started> {
        let terminal = io::stderr().is_terminal();
        let (lines, writer, dropped) = bounded(io::stderr(), LINES_MAX);
        match form(log.format, terminal) {
            Form::Text { colour } => install(text(filter(&log.filter), colour, lines)),
            Form::Json => install(json(filter(&log.filter), lines)),
        }?;
        // Installing succeeds once, so nobody was first.
        DROPPED.get_or_init(|| dropped);
        Ok(Self { _writer: writer })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Form {
    Text { colour: bool },
    Json,
}

fn form(format: LogFormat, terminal: bool) -> Form {
    let colour = terminal && std::env::var_os("NO_COLOR").is_none();
    match (format, terminal) {
        (LogFormat::Text, _) | (LogFormat::Auto, true) => Form::Text { colour },
        (LogFormat::Json, _) | (LogFormat::Auto, false) => Form::Json,
    }
}

fn bounded(writer: impl Write + Send + 'static, lines_max: usize) -> (NonBlocking, WorkerGuard, ErrorCounter) {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(lines_max).thread_name("logs");
    let (lines, guard) = builder.finish(writer);
    let dropped = lines.error_counter();
    (lines, guard, dropped)
}

/// A filter whose text the configuration has checked.
fn filter(text: &str) -> EnvFilter {
    EnvFilter::builder().parse(text).expect("the configuration holds no filter that does not parse")
}

fn text<W>(filter: EnvFilter, colour: bool, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(colour)
        .with_thread_names(true)
        .finish()
}

fn json<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_thread_names(true)
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .finish()
}

fn install(subscriber: impl Subscriber + Send + Sync) -> Result<(), Started> {
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Started)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics with it").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("nobody panics with it").clone()).expect("logs are text")
        }
    }

    #[test]
    fn the_form_follows_the_terminal_unless_it_is_named() {
        assert!(matches!(form(LogFormat::Auto, true), Form::Text { .. }));
        assert_eq!(form(LogFormat::Auto, false), Form::Json);
        assert_eq!(form(LogFormat::Text, false), Form::Text { colour: false });
        assert_eq!(form(LogFormat::Json, true), Form::Json);
    }

    #[test]
    fn a_json_line_is_one_object_with_its_fields_beside_the_message() {
        let page = Page::default();
        let written = page.clone();
        tracing::subscriber::with_default(json(filter("info"), move || written.clone()), || {
            tracing::info!(shard = 3, "a shard \"woke\"\nup");
            tracing::debug!("not at this level");
        });
        let text = page.text();
        let [line] = text.lines().collect::<Vec<_>>()[..] else { panic!("one line: {text}") };
        assert!(line.starts_with("{\"timestamp\":\"") && line.ends_with('}'), "{line}");
        for part in
            ["\"level\":\"INFO\"", "\"shard\":3", "\"message\":\"a shard \\\"woke\\\"\\nup\"", "\"threadName\":"]
        {
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    #[test]
    fn a_text_line_off_a_terminal_has_no_colours() {
        let page = Page::default();
        let written = page.clone();
        tracing::subscriber::with_default(text(filter("warn,gateway=debug"), false, move || written.clone()), || {
            tracing::debug!("of this crate");
            tracing::info!(target: "other", "of another");
        });
        let text = page.text();
        assert!(text.contains("DEBUG") && text.contains("of this crate") && !text.contains('\x1b'), "{text}");
        assert!(!text.contains("of another"), "{text}");
    }

    /// A terminal that hangs until it is told to go on.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // The test's end is as good as a word.
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_terminal_costs_lines_and_no_waiting() {
        let (release, stuck) = channel();
        let (lines, guard, dropped) = bounded(Stuck(stuck), 4);
        tracing::subscriber::with_default(json(filter("info"), lines), || {
            for line in 0..20 {
                tracing::info!(line, "more than it takes");
            }
        });
        // Four wait, and one or none is with the writer already.
        assert!((15..=16).contains(&dropped.dropped_lines()), "{} dropped", dropped.dropped_lines());
        drop(release);
        drop(guard);
    }
}
