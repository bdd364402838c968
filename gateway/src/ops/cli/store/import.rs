//! `rookery store import`: a dump, written into an empty store, then checked.
//!
//! Owns the reading of the file. What becomes of the rows is `chat::transfer`'s.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use chat::transfer::dump::Reader;
use chat::{check, transfer};
use clap::Args;

use crate::config::Config;
use crate::ops::cli::settings::Settings;
use crate::ops::terminal;
use crate::store::NodeStore;

use super::check::{so_far, summary};
use super::export::told;
use super::progress::{self, Progress};
use super::{StoreTask, Wanted};

#[derive(Debug, Args)]
pub(in crate::ops::cli) struct Import {
    /// The file that `rookery store export` wrote
    #[arg(long, value_name = "FILE")]
    from: PathBuf,

    #[command(flatten)]
    settings: Settings,
}

impl StoreTask for Import {
    const WANTED: Wanted = Wanted::Any;

    fn settings(&self) -> &Settings {
        &self.settings
    }

    async fn run<S: NodeStore>(&self, _: &Config, store: &S) -> anyhow::Result<()> {
        let place = self.from.display();
        let file = File::open(&self.from).with_context(|| format!("cannot open {place}"))?;
        let reading = || format!("cannot import {place}");
        let mut reader = Reader::open(BufReader::new(file)).with_context(reading)?;
        let dump = reader.header().dump;
        if reader.header().generation == store.generation() {
            bail!("{place} is a dump of this very store; name another one");
        }
        let there = transfer::begin(store, dump).await.with_context(reading)?;
        if there > 0 {
            progress::note(&format!("going on behind part {there} of {place}"));
        }
        let mut progress = Progress::new();
        loop {
            let number = reader.totals().parts;
            let Some(rows) = reader.part().with_context(reading)? else { break };
            if number >= there {
                transfer::write(store, dump, number, &rows).await.with_context(reading)?;
            }
            progress.show(|| told(reader.totals()));
        }
        transfer::finish(store, dump, reader.totals().parts).await.with_context(reading)?;
        let checked = check::run(store, |checked| progress.show(|| so_far(checked))).await;
        progress.clear();
        let checked = checked.context("the imported store is not sound; do not use it, and keep the dump")?;
        terminal::print(&format!("imported {}\n{}\n", told(reader.totals()), summary(&checked)))
    }
}
