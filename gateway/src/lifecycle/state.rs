//! State of a node as HTTP shows it: readiness, load, metrics.
//!
//! Owns the few facts that shards and the main thread publish and probes read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use schema::UnixMs;

use crate::runtime;
use crate::store::Health;
use crate::telemetry::metrics::Metrics;

use super::phase::Phase;

pub(crate) struct NodeState {
    phase: Mutex<Phase>,
    store: Mutex<Health>,
    short_of_disk: AtomicBool,
    connections_max: u32,
    metrics: Arc<Metrics>,
    http_counts: api::Counts,
}

impl NodeState {
    /// Of a node that waits for its store from now on.
    pub(crate) fn new(connections_max: u32, metrics: Metrics) -> Self {
        Self {
            phase: Mutex::new(Phase::Waiting { since: Instant::now() }),
            store: Mutex::new(Health::Answering),
            short_of_disk: AtomicBool::new(false),
            connections_max,
            metrics: Arc::new(metrics),
            http_counts: api::Counts::default(),
        }
    }

    /// Goes on to another phase.
    pub(crate) fn advance(&self, next: Phase) {
        lock(&self.phase).advance(next);
    }

    pub(crate) fn set_store(&self, health: Health) {
        let (answers, full) = match health {
            Health::Answering => (true, false),
            Health::Full => (true, true),
            Health::Away { .. } => (false, false),
        };
        *lock(&self.store) = health;
        self.metrics.set_store(answers, full);
    }

    pub(crate) fn set_short_of_disk(&self, short: bool) {
        self.short_of_disk.store(short, Ordering::Relaxed);
    }

    /// Where shards publish.
    pub(crate) fn counts(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

impl api::Node for NodeState {
    fn wall(&self) -> UnixMs {
        runtime::wall()
    }

    fn ready(&self) -> Result<(), Vec<String>> {
        let now = Instant::now();
        let mut reasons = Vec::new();
        reasons.extend(lock(&self.phase).reason(now));
        reasons.extend(lock(&self.store).reason(now));
        if !self.takes_writes() {
            reasons.push("store: below the reserve of free disk".to_owned());
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    fn takes_writes(&self) -> bool {
        !self.short_of_disk.load(Ordering::Relaxed)
    }

    fn store_answers(&self) -> bool {
        match *lock(&self.store) {
            Health::Answering | Health::Full => true,
            Health::Away { .. } => false,
        }
    }

    fn metrics(&self) -> String {
        self.metrics.render()
    }

    fn http_counts(&self) -> &api::Counts {
        &self.http_counts
    }

    fn load(&self) -> f32 {
        self.metrics.connections() as f32 / self.connections_max.max(1) as f32
    }
}

/// Nothing here is left half done by a panic, which ends the process.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
