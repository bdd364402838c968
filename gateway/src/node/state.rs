//! What a node says of itself to HTTP: whether it takes traffic, how full it is, what it has counted.
//!
//! Owns the few facts that shards and the main thread publish and probes read.

use std::sync::atomic::{AtomicBool, Ordering};

use schema::UnixMs;

use crate::metrics::Metrics;

use super::clock;

pub(super) struct NodeState {
    stopping: AtomicBool,
    writes_off: AtomicBool,
    connections_max: u32,
    metrics: Metrics,
}

impl NodeState {
    pub(super) fn new(connections_max: u32, metrics: Metrics) -> Self {
        Self { stopping: AtomicBool::new(false), writes_off: AtomicBool::new(false), connections_max, metrics }
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn set_writes(&self, on: bool) {
        self.writes_off.store(!on, Ordering::Relaxed);
    }

    /// Where shards publish.
    pub(super) fn counts(&self) -> &Metrics {
        &self.metrics
    }
}

impl api::Node for NodeState {
    fn wall(&self) -> UnixMs {
        clock::wall()
    }

    fn ready(&self) -> Result<(), Vec<String>> {
        let mut reasons = Vec::new();
        if self.stopping.load(Ordering::Relaxed) {
            reasons.push("node: stopping".to_owned());
        }
        if !self.takes_writes() {
            reasons.push("store: below the reserve of free disk".to_owned());
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    fn takes_writes(&self) -> bool {
        !self.writes_off.load(Ordering::Relaxed)
    }

    fn metrics(&self) -> String {
        self.metrics.render()
    }

    fn load(&self) -> f32 {
        self.metrics.connections() as f32 / self.connections_max.max(1) as f32
    }
}
