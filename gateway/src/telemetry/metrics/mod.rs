//! Metrics of the node, for `/metrics`.
//!
//! Owns where shards leave their figures and the text that is made of them. A shard writes about once a second into a
//! place of its own, which shares no cache line with another's; whoever asks for the text adds the places up.
//! Nothing here is on the path of a message.

mod latency;
mod nodes;
mod process;
mod shard;
mod text;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::machine::disk;
use crate::telemetry::logs;
use crate::{COMMIT, VERSION};

pub(crate) use latency::Histogram;
use nodes::NodeFigures;
use process::Process;
pub use shard::{Latency, ShardMetrics};
pub(crate) use text::Text;

/// What `/metrics` is, for its Content-Type.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Figures that an engine keeps of itself.
pub(crate) trait StoreFigures: Send + Sync {
    /// Takes what the store has measured since the last call. Called each second.
    fn collect(&self);

    /// Writes its families.
    fn write(&self, text: &mut Text);
}

/// Everything that the node counts.
pub struct Metrics {
    shards: Box<[ShardMetrics]>,
    connections_max: u32,
    /// Nothing until the store is open.
    store: OnceLock<Box<dyn StoreFigures>>,
    answers: AtomicBool,
    full: AtomicBool,
    outages: AtomicU64,
    nodes: NodeFigures,
    data_dir: PathBuf,
}

impl Metrics {
    /// Places for `shards` shards that hold `connections_max` connections together, beside this data directory.
    #[must_use]
    pub fn new(shards: u16, connections_max: u32, data_dir: &Path) -> Self {
        let shards = (0..shards).map(|_| ShardMetrics::default()).collect();
        Self {
            shards,
            connections_max,
            store: OnceLock::new(),
            answers: AtomicBool::new(false),
            full: AtomicBool::new(false),
            outages: AtomicU64::new(0),
            nodes: NodeFigures::default(),
            data_dir: data_dir.to_owned(),
        }
    }

    /// From now on the figures of this store are shown too. The first call decides.
    pub(crate) fn show_store(&self, figures: Box<dyn StoreFigures>) {
        // A node opens one store.
        let _ = self.store.set(figures);
    }

    /// Shows whether the store answers from now on, and whether it is full. Before the first call it has not answered.
    pub(crate) fn set_store(&self, answers: bool, full: bool) {
        if self.answers.swap(answers, Ordering::Relaxed) && !answers {
            self.outages.fetch_add(1, Ordering::Relaxed);
        }
        self.full.store(full, Ordering::Relaxed);
    }

    /// The place of what this node and those beside it are.
    pub(crate) fn nodes(&self) -> &NodeFigures {
        &self.nodes
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

    /// Takes from the store what it has measured. To be called each second.
    pub fn collect(&self) {
        if let Some(store) = self.store.get() {
            store.collect();
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
        let flag = |of: &AtomicBool| u64::from(of.load(Ordering::Relaxed));
        text.gauge("rookery_store_answers", "1 while the store answers, else 0", flag(&self.answers));
        text.gauge("rookery_store_full", "1 while the store turns most commits away, else 0", flag(&self.full));
        let outages = self.outages.load(Ordering::Relaxed);
        text.counter("rookery_store_outages", "Times that the store stopped answering", outages);
        text.counter_by_table(
            "rookery_unreadable_rows",
            "Rows of the store that could not be read and were gone on without, or refused, by table",
            chat::unreadable::counts(),
        );
        self.nodes.write(&mut text);
        if let Some(store) = self.store.get() {
            store.write(&mut text);
        }
        // A disk that does not answer has other ways to be noticed.
        if let Ok(free_bytes) = disk::free_bytes(&self.data_dir) {
            text.gauge("rookery_disk_free_bytes", "Free bytes of the data directory's file system", free_bytes);
        }
        text.counter("rookery_log_lines_dropped", "Log lines that found no room", logs::dropped_lines());
        // Of a system that does not say, nothing is told.
        if let Ok(process) = Process::measure() {
            process.write(&mut text);
        }
        text.finish()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
