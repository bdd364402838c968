//! `rookery store check`: a store at rest, verified.
//!
//! Owns the summary. What is verified is `chat::check`'s.

use anyhow::Context as _;
use chat::check::{self, Checked};
use clap::Args;

use crate::config::{Config, StoreEngine};
use crate::ops::cli::settings::Settings;
use crate::ops::terminal;
use crate::store::NodeStore;

use super::StoreTask;
use super::progress::Progress;

/// Walks the whole store and says what it holds, or the first thing that is wrong with it.
#[derive(Debug, Args)]
pub(in crate::ops::cli) struct Check {
    /// Check a store on a cluster also while a node serves it: what is written meanwhile may look like a violation
    #[arg(long)]
    beside_nodes: bool,

    #[command(flatten)]
    settings: Settings,
}

impl StoreTask for Check {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn beside_nodes(&self) -> bool {
        self.beside_nodes
    }

    async fn run<S: NodeStore>(&self, config: &Config, store: &S) -> anyhow::Result<()> {
        let mut progress = Progress::new();
        let checked = check::run(store, |checked| progress.show(|| so_far(checked))).await;
        progress.clear();
        let place = || match config.engine {
            StoreEngine::Embedded => format!("the store in {} is not sound", config.data_dir.display()),
            StoreEngine::FoundationDb => format!("the store {:?} is not sound", config.store_prefix),
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
