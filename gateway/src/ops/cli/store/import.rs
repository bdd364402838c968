//! `rookery store import`: a dump, written into an empty store, then checked.
//!
//! Owns the reading of the file. What becomes of the rows is `chat::transfer`'s.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chat::transfer::dump::Reader;
use chat::{check, transfer};

use crate::config::Config;
use crate::ops::terminal;
use crate::store::NodeStore;

use super::StoreTask;
use super::check::{so_far, summary};
use super::export::told;
use super::progress::{self, Progress};

/// Writes what `from` holds into the store, or goes on with it, and checks the store.
pub(in crate::ops::cli) fn import(config: &Config, from: &Path) -> anyhow::Result<ExitCode> {
    super::open_or_make(config, Import { from })?;
    Ok(ExitCode::SUCCESS)
}

struct Import<'a> {
    from: &'a Path,
}

impl StoreTask for Import<'_> {
    async fn run<S: NodeStore>(self, store: &S) -> anyhow::Result<()> {
        let place = self.from.display();
        let file = File::open(self.from).with_context(|| format!("cannot open {place}"))?;
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
