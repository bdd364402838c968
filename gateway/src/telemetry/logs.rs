//! Log lines to standard error, without ever making a shard wait for it.
//!
//! Owns their form (text on a terminal, otherwise a JSON object a line), the thread that writes them and the bound of
//! what waits for it. A line beyond the bound is dropped and counted. Upholds I11 for log lines.

use std::io::{self, IsTerminal as _, Write};
use std::sync::OnceLock;

use anyhow::Context as _;
use tracing::{Dispatch, dispatcher};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Config, LogFormat};

/// Lines that wait for the writing thread. A line is some 200 bytes, and none holds what a client sent, so 8,192 are
/// below 2 MiB; at 10,000 lines a second they bridge a pause of 0.8 s.
const LINES_MAX: usize = 8_192;

/// Logs belong to the process, and so does what they have dropped.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// The logs of this process, until dropped; dropping writes what waits.
#[derive(Debug)]
pub(crate) struct Logs {
    _writer: WorkerGuard,
}

/// Lines of this process that found no room, since its logs started.
pub(crate) fn dropped_lines() -> u64 {
    DROPPED.get().map_or(0, |counter| counter.dropped_lines() as u64)
}

impl Logs {
    /// Sends every event of this process that passes the filter to standard error.
    ///
    /// A panic is not an event: it goes straight to standard error, where it is also read when the process ends with
    /// it.
    ///
    /// # Errors
    /// A second call in one process.
    pub(crate) fn start(config: &Config) -> anyhow::Result<Self> {
        let (lines, writer, dropped) = bounded(io::stderr(), LINES_MAX);
        let lines = dispatch(form(config.log_format, io::stderr().is_terminal()), &config.log_filter, lines);
        dispatcher::set_global_default(lines).context("logs were started already in this process")?;
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

/// Events that pass a filter, whose text the configuration has checked, as lines to a writer.
fn dispatch<W>(form: Form, filter: &str, writer: W) -> Dispatch
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(filter).expect("the configuration holds no filter that does not parse");
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_thread_names(true);
    match form {
        Form::Text { colour } => Dispatch::new(lines.with_ansi(colour).finish()),
        Form::Json => Dispatch::new(lines.json().flatten_event(true).with_current_span(false).finish()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    #[test]
    fn the_form_follows_the_terminal_unless_it_is_named() {
        assert!(matches!(form(LogFormat::Auto, true), Form::Text { .. }));
        assert_eq!(form(LogFormat::Auto, false), Form::Json);
        assert_eq!(form(LogFormat::Text, false), Form::Text { colour: false });
        assert_eq!(form(LogFormat::Json, true), Form::Json);
    }

    /// Logs in a form, and looks for parts of the lines.
    fn check(form: Form, filter: &str, log: impl FnOnce(), parts: &[&str], absent: &str) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let writer = File::create(file.path()).expect("it is ours");
        dispatcher::with_default(&dispatch(form, filter, writer), log);
        let text = std::fs::read_to_string(file.path()).expect("logs are text");
        assert_eq!(text.lines().count(), 1, "{text}");
        for part in parts {
            assert!(text.contains(part) && !text.contains(absent), "{part} and no {absent:?} in {text}");
        }
    }

    #[test]
    fn an_event_is_one_line() {
        let woke = || {
            tracing::info!(shard = 3, "a shard \"woke\"\nup");
            tracing::debug!("not at this level");
        };
        let message = r#""message":"a shard \"woke\"\nup""#;
        let parts = [r#"{"timestamp":""#, r#""level":"INFO""#, r#""shard":3"#, message, r#""threadName":"#, "}\n"];
        check(Form::Json, "info", woke, &parts, "not at this level");
        let of_two = || {
            tracing::debug!("of this crate");
            tracing::info!(target: "other", "of another");
        };
        check(Form::Text { colour: false }, "warn,gateway=debug", of_two, &["DEBUG", "of this crate"], "\x1b");
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
        dispatcher::with_default(&dispatch(Form::Json, "info", lines), || {
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
