//! `rookery store friends`: friendships of pairs of accounts, made in bulk.
//!
//! Owns the lines that name the pairs. What a friendship is, and who may have one, is `chat::people`'s.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use anyhow::Context as _;
use chat::people;
use clap::Args;
use schema::UserId;
use schema::limits::FRIENDSHIPS_AT_ONCE;

use crate::config::Config;
use crate::ops::cli::settings::Settings;
use crate::ops::terminal;
use crate::store::NodeStore;

use super::StoreTask;
use super::progress::Progress;

#[derive(Debug, Args)]
pub(in crate::ops::cli) struct Friends {
    /// Who become friends: a line each of two accounts' ids with a blank between
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,

    #[command(flatten)]
    settings: Settings,
}

impl StoreTask for Friends {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    async fn run<S: NodeStore>(&self, _: &Config, store: &S) -> anyhow::Result<()> {
        let shown = self.pairs.display();
        let reading = || format!("cannot read --pairs {shown}");
        let file = BufReader::new(File::open(&self.pairs).with_context(reading)?);
        let (mut progress, mut pairs, mut made) = (Progress::new(), Vec::new(), 0_usize);
        let mut lines = file.lines().enumerate();
        loop {
            pairs.clear();
            for (at, line) in lines.by_ref().take(FRIENDSHIPS_AT_ONCE as usize) {
                let line = line.with_context(reading)?;
                let pair = pair(&line)
                    .with_context(|| format!("--pairs {shown}, line {}: {line:?} are no two ids", at + 1))?;
                pairs.push(pair);
            }
            if pairs.is_empty() {
                break;
            }
            let done = people::make_friends(store, &pairs, crate::runtime::wall()).await;
            done.with_context(|| {
                format!("cannot make friends of lines {} to {} of --pairs {shown}", made + 1, made + pairs.len())
            })?;
            made += pairs.len();
            progress.show(|| format!("{made} friendships"));
        }
        progress.clear();
        terminal::print(&format!("{made} friendships\n"))
    }
}

fn pair(line: &str) -> Option<(UserId, UserId)> {
    let (one, other) = line.split_once(' ')?;
    Some((one.parse().ok()?, other.parse().ok()?))
}
