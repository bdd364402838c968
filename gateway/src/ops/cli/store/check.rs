//! `rookery store check`: a store at rest, verified.
//!
//! Owns the summary. What is verified is `chat::check`'s.

use std::process::ExitCode;

use anyhow::Context as _;
use chat::check::{self, Checked};

use crate::config::{Config, StoreEngine};
use crate::ops::terminal;
use crate::store::NodeStore;

use super::StoreTask;
use super::progress::Progress;

/// Walks the whole store and says what it holds, or the first thing that is wrong with it.
pub(in crate::ops::cli) fn check(config: &Config, beside_nodes: bool) -> anyhow::Result<ExitCode> {
    let check = Check { config };
    if beside_nodes {
        super::open_beside_nodes(config, check)?
    } else {
        super::open(config, check)?
    }
    Ok(ExitCode::SUCCESS)
}

struct Check<'a> {
    config: &'a Config,
}

impl StoreTask for Check<'_> {
    async fn run<S: NodeStore>(self, store: &S) -> anyhow::Result<()> {
        let mut progress = Progress::new();
        let checked = check::run(store, |checked| progress.show(|| so_far(checked))).await;
        progress.clear();
        let place = || match self.config.store.engine {
            StoreEngine::Embedded => format!("the store in {} is not sound", self.config.data.dir.display()),
            StoreEngine::FoundationDb => format!("the store {:?} is not sound", self.config.store.prefix),
        };
        terminal::print(&format!("{}\n", summary(&checked.with_context(place)?)))
    }
}

/// What the line of progress says.
pub(super) fn so_far(checked: &Checked) -> String {
    format!("{} messages, {} inbox rows checked", checked.messages, checked.inbox_rows)
}

pub(super) fn summary(checked: &Checked) -> String {
    let Checked { channels, messages, first_replies, reactions, users, inbox_rows, set_aside } = checked;
    let aside = if *set_aside == 0 { String::new() } else { format!("; {set_aside} rows set aside") };
    format!(
        "sound: {channels} channels, {messages} messages, {first_replies} first replies, {reactions} reactions, \
         {users} users, {inbox_rows} inbox rows{aside}"
    )
}
