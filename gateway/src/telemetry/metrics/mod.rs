//! Metrics of the node, for `/metrics`.
//!
//! Owns where shards leave their figures and the text that is made of them. A shard writes about once a second into a
//! place of its own, which shares no cache line with another's; whoever asks for the text adds the places up.
//! Nothing here is on the path of a message.

mod before;
mod issuers;
mod latency;
mod links;
mod media;
mod nodes;
mod notify;
mod process;
mod shard;
mod text;
mod timeline;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::machine::disk;
use crate::peering::Tally;
use crate::telemetry::logs;
use crate::{COMMIT, VERSION};

pub(crate) use latency::Histogram;
pub(crate) use links::ShardLinks;
use nodes::NodeFigures;
pub(crate) use shard::{Figures, Latency, OperationFigures, ShardMetrics};
#[cfg(test)]
pub(crate) use text::render;
pub(crate) use text::{Family, Value};

/// Figures that an engine keeps of itself.
pub(crate) trait StoreFigures: Send + Sync {
    /// Takes what the store has measured since the last call. Called each second.
    fn collect(&self);

    /// All of them.
    fn families(&self) -> Vec<Family>;
}

/// Everything that the node counts.
pub(crate) struct Metrics {
    shards: Box<[ShardMetrics]>,
    connections_max: u32,
    /// Nothing until the store is open.
    store: OnceLock<Box<dyn StoreFigures>>,
    answers: AtomicBool,
    full: AtomicBool,
    outages: AtomicU64,
    nodes: NodeFigures,
    strangers: Arc<Tally>,
    /// Nothing on a node that sends no notifications.
    notify: OnceLock<Arc<::notify::Counts>>,
    /// Nothing until the node serves.
    timeline: OnceLock<Arc<::timeline::Counts>>,
    /// Nothing until the node serves.
    before: OnceLock<Arc<::notify::before::Counts>>,
    /// Nothing until the node serves.
    issuers: OnceLock<api::Tokens>,
    media: OnceLock<::media::Library>,
    data_dir: PathBuf,
}

impl Metrics {
    /// Places for `shards` shards that hold `connections_max` connections together, beside this data directory.
    pub(crate) fn new(shards: u16, connections_max: u32, data_dir: &Path) -> Self {
        Self {
            shards: (0..shards).map(|_| ShardMetrics::default()).collect(),
            connections_max,
            store: OnceLock::new(),
            answers: AtomicBool::new(false),
            full: AtomicBool::new(false),
            outages: AtomicU64::new(0),
            nodes: NodeFigures::default(),
            strangers: Arc::default(),
            notify: OnceLock::new(),
            timeline: OnceLock::new(),
            before: OnceLock::new(),
            issuers: OnceLock::new(),
            media: OnceLock::new(),
            data_dir: data_dir.to_owned(),
        }
    }

    /// From now on the figures of this store are shown too. The first call decides.
    pub(crate) fn show_store(&self, figures: Box<dyn StoreFigures>) {
        // A node opens one store.
        let _ = self.store.set(figures);
    }

    /// From now on what is known of issuers' keys is shown too. The first call decides.
    pub(crate) fn show_issuers(&self, tokens: api::Tokens) {
        // A node has the same issuers for all its life.
        let _ = self.issuers.set(tokens);
    }

    /// From now on what is counted of media is shown too. The first call decides.
    pub(crate) fn show_media(&self, library: ::media::Library) {
        // A node has one place of media for all its life.
        let _ = self.media.set(library);
    }

    /// From now on what applications say beforehand is shown too. The first call decides.
    pub(crate) fn show_before(&self, counts: Arc<::notify::before::Counts>) {
        // A node asks by one thread for all its life.
        let _ = self.before.set(counts);
    }

    /// From now on what is counted of news feeds is shown too. The first call decides.
    pub(crate) fn show_timeline(&self, counts: Arc<::timeline::Counts>) {
        // A node has one reader and one fan-out for all its life.
        let _ = self.timeline.set(counts);
    }

    /// From now on what is counted of notifications is shown too. The first call decides.
    pub(crate) fn show_notifications(&self, counts: Arc<::notify::Counts>) {
        // A node starts its workers once.
        let _ = self.notify.set(counts);
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

    /// The count of connections to the links' port that came to nothing.
    pub(crate) fn strangers(&self) -> &Arc<Tally> {
        &self.strangers
    }

    /// The place of one shard.
    ///
    /// # Panics
    /// If there is no such shard.
    pub(crate) fn shard(&self, shard: u16) -> &ShardMetrics {
        &self.shards[usize::from(shard)]
    }

    /// Open connections of all shards, as last published.
    pub(crate) fn connections(&self) -> u64 {
        self.shards.iter().map(|shard| shard.snapshot().connections).sum()
    }

    /// Sessions of all shards, as last published.
    pub(crate) fn sessions(&self) -> u64 {
        self.shards.iter().map(|shard| shard.snapshot().stats.sessions).sum()
    }

    /// The links of each shard to other nodes, as last published.
    pub(crate) fn links(&self) -> Vec<ShardLinks> {
        self.shards.iter().map(ShardMetrics::links).collect()
    }

    /// Takes from the store what it has measured. To be called each second.
    pub(crate) fn collect(&self) {
        if let Some(store) = self.store.get() {
            store.collect();
        }
    }

    /// The text of all figures, OpenMetrics 1.0.
    pub(crate) fn render(&self) -> String {
        self.collect();
        let shards: Vec<_> = self.shards.iter().map(ShardMetrics::snapshot).collect();
        let flag = |of: &AtomicBool| Value::Gauge(of.load(Ordering::Relaxed).into());
        let outages = self.outages.load(Ordering::Relaxed);
        let unreadable = chat::unreadable::counts().map(|(table, count)| (table.to_owned(), count)).collect();
        let build = Value::Info(vec![("version", VERSION), ("commit", COMMIT)]);
        let mut families = vec![("rookery_build", "The program that runs", build)];
        families.extend(shard::families(&shards));
        families.extend(Latency::ALL.map(|latency| latency.family(&self.shards)));
        families.extend([
            (
                "rookery_connections_max",
                "Client connections that the node takes at most, all shards together",
                Value::Gauge(self.connections_max.into()),
            ),
            ("rookery_store_answers", "1 while the store answers, else 0", flag(&self.answers)),
            ("rookery_store_full", "1 while the store turns most commits away, else 0", flag(&self.full)),
            ("rookery_store_outages", "Times that the store stopped answering", Value::Counter(outages)),
            (
                "rookery_unreadable_rows",
                "Rows of the store that could not be read and were gone on without, or refused, by table",
                Value::CounterBy("table", unreadable),
            ),
            ("rookery_log_lines_dropped", "Log lines that found no room", Value::Counter(logs::dropped_lines())),
        ]);
        families.extend(self.nodes.families());
        families.push((
            "rookery_links_refused",
            "Connections to the links' port that came to nothing, by what was wrong",
            Value::CounterBy("reason", self.strangers.counts().map(|(of, count)| (of.to_owned(), count)).collect()),
        ));
        families.extend(self.notify.get().map(|counts| notify::families(counts)).into_iter().flatten());
        families.extend(self.timeline.get().map(|counts| timeline::families(counts)).into_iter().flatten());
        families.extend(self.before.get().map(|counts| before::family(counts)));
        families.extend(self.issuers.get().map(issuers::families).into_iter().flatten());
        families.extend(self.media.get().map(media::families).into_iter().flatten());
        families.extend(self.store.get().map(|store| store.families()).into_iter().flatten());
        // A disk that does not answer has other ways to be noticed.
        let free_bytes = disk::free_bytes(&self.data_dir).ok();
        families.extend(free_bytes.map(|bytes| {
            ("rookery_disk_free_bytes", "Free bytes of the data directory's file system", Value::Gauge(bytes))
        }));
        families.extend(process::families());
        text::render(families)
    }
}

#[cfg(test)]
mod tests;
