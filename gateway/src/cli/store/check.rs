//! `rookery store check`: a store at rest, verified.
//!
//! Owns the progress line and the summary. What is verified is `storage::layers::check`'s.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use storage::layers::check::{self, Checked};

use crate::config::Config;
use crate::store::NodeStore;

use super::Look;

/// How often the progress line is written again.
const PROGRESS: Duration = Duration::from_millis(200);

/// Walks the whole store and says what it holds, or the first thing that is wrong with it.
pub(in crate::cli) fn check(config: &Config) -> anyhow::Result<ExitCode> {
    super::open(config, Check { config })?;
    Ok(ExitCode::SUCCESS)
}

struct Check<'a> {
    config: &'a Config,
}

impl Look for Check<'_> {
    async fn look<S: NodeStore>(self, store: &S) -> anyhow::Result<()> {
        let mut progress = Progress::new();
        let checked = check::run(store, |checked| progress.show(checked)).await;
        progress.clear();
        let place = || format!("the store in {} is not sound", self.config.data.dir.display());
        crate::cli::print(&format!("{}\n", summary(&checked.with_context(place)?)))
    }
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
