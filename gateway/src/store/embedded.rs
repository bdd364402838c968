//! The embedded engine as a node's store.
//!
//! Owns its figures' names and words. One process has it: its directory is locked.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use kv::embedded::{EmbeddedEngine, EmbeddedOptions, EngineStats};

use crate::config::{Config, Origin};
use crate::telemetry::metrics::{Histogram, StoreFigures, Text};

use super::{Commits, NodeStore, Source};

/// A directory that has a store, or will.
pub(super) struct EmbeddedSource {
    directory: PathBuf,
    /// Who named it, as an error tells it.
    named: String,
}

impl EmbeddedSource {
    pub(super) fn new(config: &Config) -> Self {
        let named = match config.origin("data.dir") {
            Origin::Default => "name the node's directory with --data".to_owned(),
            origin => origin.to_string(),
        };
        Self { directory: config.data.dir.clone(), named }
    }
}

impl Source for EmbeddedSource {
    type Store = EmbeddedEngine;

    async fn open(&self) -> anyhow::Result<EmbeddedEngine> {
        Ok(EmbeddedEngine::open(&self.directory, EmbeddedOptions::new(getrandom::u64()?))?)
    }

    async fn open_existing(&self) -> anyhow::Result<EmbeddedEngine> {
        if !self.directory.join("store").exists() {
            anyhow::bail!("there is no store in {} ({})", self.directory.display(), self.named);
        }
        self.open().await
    }

    fn close(self, store: Option<EmbeddedEngine>) {
        if let Some(store) = store {
            store.close();
        }
    }
}

impl NodeStore for EmbeddedEngine {
    const SHARED: bool = false;
    const REMEDY: &'static str = "see whether the disk of the data directory is slow";

    fn commits(&self) -> Commits {
        let stats = self.stats();
        Commits { taken: stats.commits.load(Ordering::Relaxed), throttled: stats.throttled.load(Ordering::Relaxed) }
    }

    fn figures(&self) -> Box<dyn StoreFigures> {
        Box::new(EmbeddedFigures { engine: self.clone(), commits: Mutex::default() })
    }
}

struct EmbeddedFigures {
    engine: EmbeddedEngine,
    /// How long group commits took; taken from the engine as it is asked, which keeps 8,192, some seconds of the
    /// fastest disk.
    commits: Mutex<Histogram>,
}

impl StoreFigures for EmbeddedFigures {
    fn collect(&self) {
        let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        for sample in self.engine.stats().take_samples() {
            commits.record(sample.took);
        }
    }

    fn write(&self, text: &mut Text) {
        let EngineStats { commits, conflicts, too_old, throttled, groups, rows, bytes, waiting, stalls, .. } =
            self.engine.stats();
        let counters = [
            ("rookery_store_commits", "Transactions committed, those that only read aside", commits),
            ("rookery_store_conflicts", "Transactions refused because what they read had changed", conflicts),
            ("rookery_store_too_old", "Transactions refused because they were too old", too_old),
            ("rookery_store_throttled", "Transactions put off because the store has too much to do", throttled),
            ("rookery_store_group_commits", "Group commits: one fsync each", groups),
            ("rookery_store_rows", "Rows written or removed", rows),
            ("rookery_store_written_bytes", "Bytes of keys and values written", bytes),
            ("rookery_store_stalls", "Group commits that took longer than 2 s", stalls),
        ];
        for (name, help, counter) in counters {
            text.counter(name, help, counter.load(Ordering::Relaxed));
        }
        let waiting = waiting.load(Ordering::Relaxed);
        text.gauge("rookery_store_commits_waiting", "Transactions that wait for the next group commit", waiting);
        let commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let help = "From a group commit's first byte written to the return of its fsync";
        text.histogram("rookery_store_commit_seconds", help, &commits);
    }
}
