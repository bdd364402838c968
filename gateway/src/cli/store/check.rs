//! `rookery store check`: a store at rest, verified.
//!
//! Owns the progress line and the summary. What is verified is `storage::layers::check`'s.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_lite::future;
use storage::layers::check::{self, Checked};

use crate::config::Config;

/// How often the progress line is written again.
const PROGRESS: Duration = Duration::from_millis(200);

/// Walks the whole store and says what it holds, or the first thing that is wrong with it.
pub(in crate::cli) fn check(config: &Config) -> anyhow::Result<ExitCode> {
    let engine = super::open(config)?;
    let mut progress = Progress::new();
    let checked = future::block_on(check::run(&engine, |checked| progress.show(checked)));
    progress.clear();
    let checked = checked.with_context(|| format!("the store in {} is not sound", config.data.dir.display()))?;
    crate::cli::print(&format!("{}\n", summary(&checked)))?;
    engine.close();
    Ok(ExitCode::SUCCESS)
}

fn summary(checked: &Checked) -> String {
    let Checked { channels, messages, first_replies, reactions, users, inbox_rows } = checked;
    format!(
        "sound: {channels} channels, {messages} messages, {first_replies} first replies, {reactions} reactions, \
         {users} users, {inbox_rows} inbox rows"
    )
}

/// One line on a terminal, written over and over; nothing elsewhere.
struct Progress {
    terminal: bool,
    shown: Instant,
}

impl Progress {
    fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), shown: Instant::now() }
    }

    fn show(&mut self, checked: &Checked) {
        if self.terminal && self.shown.elapsed() >= PROGRESS {
            self.shown = Instant::now();
            self.write(&format!("{} messages, {} inbox rows", checked.messages, checked.inbox_rows));
        }
    }

    fn clear(&self) {
        if self.terminal {
            self.write("");
        }
    }

    fn write(&self, line: &str) {
        // A closed terminal wants no progress.
        let _ = write!(io::stderr().lock(), "\r\x1b[2K{line}");
    }
}
