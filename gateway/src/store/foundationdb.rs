//! A cluster of FoundationDB as a node's store.
//!
//! Owns its figures' names and descriptions, and what a command does without a node: it opens what is there, and does
//! not wait long. Several processes have it; who of them serves is the view's to say.

use std::sync::atomic::Ordering;
use std::time::Duration;

use kv::foundationdb::{FoundationDb, FoundationDbEngine, FoundationDbStats, Options};

use crate::config::Config;
use crate::telemetry::metrics::{Family, Value};

use super::{Commits, NodeStore, Source};

/// A cluster, whose client runs.
pub(super) struct FoundationDbSource {
    client: FoundationDb,
    prefix: String,
}

impl FoundationDbSource {
    /// Loads the client library and names the cluster, without waiting for it.
    ///
    /// # Errors
    /// What is wrong with the library or the cluster file, in one line with the remedy.
    pub(super) fn connect(config: &Config) -> anyhow::Result<Self> {
        let options = options(config)?;
        let prefix = options.prefix.clone();
        let client = FoundationDb::connect(&options)?;
        let library = client.library();
        tracing::info!(
            library = %library.path().display(),
            api_version_max = library.max_api_version(),
            prefix,
            "FoundationDB's client is loaded"
        );
        Ok(Self { client, prefix })
    }
}

/// What the configuration says, for the engine.
///
/// # Errors
/// The system has no randomness.
pub(crate) fn options(config: &Config) -> anyhow::Result<Options> {
    Ok(Options {
        cluster_file: config.cluster_file.clone(),
        client_library: config.client_library.clone(),
        prefix: config.store_prefix.clone(),
        new_generation: getrandom::u64()?,
    })
}

impl Source for FoundationDbSource {
    type Store = FoundationDbEngine;

    async fn open(&self) -> anyhow::Result<FoundationDbEngine> {
        Ok(self.client.open().await?)
    }

    async fn open_existing(&self) -> anyhow::Result<FoundationDbEngine> {
        if self.client.probe().await?.store.is_none() {
            anyhow::bail!("there is no store under the prefix {:?} of that cluster (store.prefix)", self.prefix);
        }
        self.open().await
    }

    fn close(self, store: Option<FoundationDbEngine>) {
        drop(store);
        self.client.close();
    }
}

impl NodeStore for FoundationDbEngine {
    const SHARED: bool = true;
    const READS_WAIT: bool = false;
    const REMEDY: &'static str = "see `fdbcli --exec status` on a machine of the cluster, the network to it, and whether the cluster file is current";
    const COMMIT_TIMED: &'static str = "From a commit's handing in to its answer";

    fn commits(&self) -> Commits {
        let stats = self.stats();
        Commits {
            taken: stats.commits.load(Ordering::Relaxed),
            throttled: stats.commits_throttled.load(Ordering::Relaxed),
        }
    }

    fn families(&self) -> Vec<Family> {
        families(self.stats())
    }

    fn take_commit_times(&self) -> Vec<Duration> {
        self.stats().take_samples()
    }
}

/// Those that the embedded engine has too bear the same names.
pub(super) fn families(stats: &FoundationDbStats) -> Vec<Family> {
    let counters = [
        ("rookery_store_commits", "Transactions committed, those that only read aside", &stats.commits),
        ("rookery_store_conflicts", "Transactions refused because what they read had changed", &stats.conflicts),
        ("rookery_store_too_old", "Transactions refused because they were too old", &stats.too_old),
        ("rookery_store_throttled", "Transactions put off: the store has too much to do", &stats.commits_throttled),
        ("rookery_store_reads_throttled", "Reads put off: the store has too much to do", &stats.reads_throttled),
        ("rookery_store_begun", "Transactions begun", &stats.begun),
        ("rookery_store_unknown_results", "Commits of which only a later look shows the outcome", &stats.unknown),
        ("rookery_store_unanswered", "Reads that the cluster did not answer within 5 s", &stats.unavailable),
        ("rookery_store_failures", "Reads and commits that failed for good", &stats.fatal),
        ("rookery_store_read_versions", "Read versions asked of the cluster", &stats.read_versions_asked),
        ("rookery_store_read_versions_saved", "Transactions begun at a version at hand", &stats.read_versions_cached),
    ];
    counters.map(|(name, help, counter)| (name, help, Value::Counter(counter.load(Ordering::Relaxed)))).into()
}
