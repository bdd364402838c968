//! `rookery store accounts`: accounts without a password, made in bulk.
//!
//! Owns the range of names and the lines. How such an account is made is `api::seed`'s; who speaks for it is decided by
//! who holds the key that signs tokens.

use std::fmt::Write as _;

use anyhow::{Context as _, ensure};
use clap::{Args, value_parser};
use schema::limits::PROVIDED_AT_ONCE;

use crate::config::Config;
use crate::ops::cli::settings::Settings;
use crate::ops::terminal;
use crate::store::NodeStore;

use super::progress::Progress;
use super::{StoreTask, Wanted};

/// Accounts of one command at most.
const COUNT_MAX: u32 = 10_000_000;

#[derive(Debug, Args)]
pub(in crate::ops::cli) struct Accounts {
    /// Beginning of their names; a number from 0 on follows
    #[arg(long, value_name = "NAME")]
    prefix: String,

    /// Number of accounts
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=i64::from(COUNT_MAX)))]
    count: u32,

    #[command(flatten)]
    settings: Settings,
}

impl StoreTask for Accounts {
    const WANTED: Wanted = Wanted::Any;

    fn settings(&self) -> &Settings {
        &self.settings
    }

    /// No node remembers an account that is not there, and each transaction stands for itself.
    fn beside_nodes(&self) -> bool {
        true
    }

    async fn run<S: NodeStore>(&self, _: &Config, store: &S) -> anyhow::Result<()> {
        let &Self { ref prefix, count, .. } = self;
        ensure!(
            !prefix.ends_with(|last: char| last.is_ascii_digit()),
            "--prefix {prefix} ends in a digit, so that numbers behind it would not tell names apart; end it in a letter or _"
        );
        let mut progress = Progress::new();
        for first in (0..count).step_by(PROVIDED_AT_ONCE as usize) {
            let numbers = first..count.min(first + PROVIDED_AT_ONCE);
            let users = api::seed::accounts(store, prefix, numbers.clone(), crate::runtime::wall()).await;
            let users = users.with_context(|| format!("cannot make accounts {prefix}{first} and on"))?;
            let mut lines = String::new();
            for (user, number) in users.iter().zip(numbers) {
                writeln!(lines, "{user} {prefix}{number}").expect("writing to memory cannot fail");
            }
            terminal::print(&lines)?;
            progress.show(|| format!("{} of {count} accounts", first + PROVIDED_AT_ONCE));
        }
        progress.clear();
        Ok(())
    }
}
