//! The embedded engine as a node's store.
//!
//! Owns its figures' names and descriptions. One process has it: its directory is locked.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kv::embedded::{EmbeddedEngine, EmbeddedOptions, EngineStats};

use crate::config::Config;
use crate::telemetry::metrics::{Family, Value};

use super::{Commits, NodeStore, Source};

/// A directory that has a store, or will.
pub(super) struct EmbeddedSource {
    directory: PathBuf,
    /// Who named it, as an error tells it.
    named: String,
}

impl EmbeddedSource {
    pub(super) fn new(config: &Config) -> Self {
        let named = config.named_by("data.dir").unwrap_or("name the node's directory with --data").to_owned();
        Self { directory: config.data_dir.clone(), named }
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
    const READS_WAIT: bool = true;
    const REMEDY: &'static str = "see whether the disk of the data directory is slow";
    const COMMIT_TIMED: &'static str = "From a group commit's first byte written to the return of its fsync";

    fn commits(&self) -> Commits {
        let stats = self.stats();
        Commits { taken: stats.commits.load(Ordering::Relaxed), throttled: stats.throttled.load(Ordering::Relaxed) }
    }

    fn families(&self) -> Vec<Family> {
        let EngineStats { commits, conflicts, too_old, throttled, groups, rows, bytes, waiting, stalls, .. } =
            self.stats();
        let counter = |of: &AtomicU64| Value::Counter(of.load(Ordering::Relaxed));
        let waiting = Value::Gauge(waiting.load(Ordering::Relaxed));
        vec![
            ("rookery_store_commits", "Transactions committed, those that only read aside", counter(commits)),
            ("rookery_store_conflicts", "Transactions refused because what they read had changed", counter(conflicts)),
            ("rookery_store_too_old", "Transactions refused because they were too old", counter(too_old)),
            ("rookery_store_throttled", "Transactions put off: the store has too much to do", counter(throttled)),
            ("rookery_store_group_commits", "Group commits: one fsync each", counter(groups)),
            ("rookery_store_rows", "Rows written or removed", counter(rows)),
            ("rookery_store_written_bytes", "Bytes of keys and values written", counter(bytes)),
            ("rookery_store_stalls", "Group commits that took longer than 2 s", counter(stalls)),
            ("rookery_store_commits_waiting", "Transactions that wait for the next group commit", waiting),
        ]
    }

    fn take_commit_times(&self) -> Vec<Duration> {
        self.stats().take_samples().into_iter().map(|group| group.took).collect()
    }
}
