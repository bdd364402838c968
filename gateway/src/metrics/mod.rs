//! What the node has counted, for `/metrics`.
//!
//! Owns where shards leave their figures and the text that is made of them. A shard writes about once a second into a
//! place of its own, which shares no cache line with another's; whoever asks for the text adds the places up.
//! Nothing here is on the path of a message.

mod latency;
mod process;
mod shard;
mod text;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use storage::embedded::{EmbeddedEngine, EngineStats};

use crate::cli::{COMMIT, VERSION};
use crate::logs;

use latency::Histogram;
use process::Process;
pub use shard::{Latency, ShardMetrics};
use text::Text;

/// What `/metrics` is, for its Content-Type.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that the node counts.
pub struct Metrics {
    shards: Box<[ShardMetrics]>,
    connections_max: u32,
    store: EmbeddedEngine,
    /// How long group commits took; taken from the store as it is asked.
    commits: Mutex<Histogram>,
}

impl Metrics {
    /// Places for `shards` shards that hold `connections_max` connections together, over this store.
    #[must_use]
    pub fn new(shards: u16, connections_max: u32, store: EmbeddedEngine) -> Self {
        let shards = (0..shards).map(|_| ShardMetrics::default()).collect();
        Self { shards, connections_max, store, commits: Mutex::default() }
    }

    /// The place of one shard.
    ///
    /// # Panics
    /// If there is no such shard.
    #[must_use]
    pub fn shard(&self, shard: u16) -> &ShardMetrics {
        &self.shards[usize::from(shard)]
    }

    /// Open connections of all shards, as last published.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shards.iter().map(|shard| shard.snapshot().connections).sum()
    }

    /// Takes from the store what it has measured. To be called each second: the store keeps 8,192 group commits, some
    /// seconds of the fastest disk.
    pub fn collect(&self) {
        let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        for sample in self.store.stats().take_samples() {
            commits.record(sample.took);
        }
    }

    /// The text of all figures, OpenMetrics 1.0.
    #[must_use]
    pub fn render(&self) -> String {
        self.collect();
        let shards: Vec<_> = self.shards.iter().map(ShardMetrics::snapshot).collect();
        let mut text = Text::default();
        text.info("rookery_build", "The program that runs", &[("version", VERSION), ("commit", COMMIT)]);
        shard::write(&mut text, &shards);
        text.gauge(
            "rookery_connections_max",
            "Client connections that the node takes at most, all shards together",
            u64::from(self.connections_max),
        );
        for latency in Latency::ALL {
            text.histogram(latency.name(), latency.help(), &shard::merged(&self.shards, latency));
        }
        self.write_store(&mut text);
        text.counter("rookery_log_lines_dropped", "Log lines that found no room", logs::dropped_lines());
        // Of a system that does not say, nothing is told.
        if let Ok(process) = Process::measure() {
            process.write(&mut text);
        }
        text.finish()
    }

    fn write_store(&self, text: &mut Text) {
        let EngineStats { commits, conflicts, too_old, throttled, groups, rows, bytes, waiting, stalls, .. } =
            self.store.stats();
        let counters = [
            ("rookery_store_commits", "Transactions committed, those that only read aside", commits),
            ("rookery_store_conflicts", "Transactions refused because what they read had changed", conflicts),
            ("rookery_store_too_old", "Transactions refused because they were too old", too_old),
            ("rookery_store_throttled", "Transactions refused because the queue was full", throttled),
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
        // A disk that does not answer has other ways to be noticed.
        if let Ok(free_bytes) = self.store.free_bytes() {
            text.gauge("rookery_disk_free_bytes", "Free bytes of the data directory's file system", free_bytes);
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
