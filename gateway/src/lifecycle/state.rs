//! State of a node as HTTP shows it: readiness, load, metrics.
//!
//! Owns the few facts that shards and the main thread publish and probes read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use chat::view::Load;
use schema::UnixMs;
use tokio::sync::mpsc::UnboundedSender;

use crate::peering::Attempts;
use crate::runtime;
use crate::store::Health;
use crate::telemetry::metrics::Metrics;

use super::nodes::Sight;
use super::phase::Phase;
use super::shutdown::{By, End};

pub(crate) struct NodeState {
    phase: Mutex<Phase>,
    store: Mutex<Health>,
    short_of_disk: AtomicBool,
    /// Whether this node's clock is too far from the others' to decide anything by age.
    clock_is_off: AtomicBool,
    /// What the last heartbeat saw, and what clients are told of it. Nothing before the first.
    sight: Mutex<Option<Arc<Sight>>>,
    peers: Mutex<Arc<api::Peers>>,
    attempts: Arc<Attempts>,
    /// Where an operator's wish is told, once.
    ends: OnceLock<UnboundedSender<End>>,
    asked: AtomicBool,
    connections_max: u32,
    metrics: Arc<Metrics>,
    http_counts: api::Counts,
    /// Nothing until the store is open.
    applications: OnceLock<Arc<dyn api::Applications>>,
    queues: OnceLock<Arc<dyn api::Queues>>,
}

impl NodeState {
    /// Of a node that waits for its store from now on.
    pub(crate) fn new(connections_max: u32, metrics: Metrics) -> Self {
        Self {
            phase: Mutex::new(Phase::Waiting { since: Instant::now() }),
            store: Mutex::new(Health::Answering),
            short_of_disk: AtomicBool::new(false),
            clock_is_off: AtomicBool::new(false),
            sight: Mutex::default(),
            peers: Mutex::default(),
            attempts: Arc::default(),
            ends: OnceLock::new(),
            asked: AtomicBool::new(false),
            connections_max,
            metrics: Arc::new(metrics),
            http_counts: api::Counts::default(),
            applications: OnceLock::new(),
            queues: OnceLock::new(),
        }
    }

    /// From here on operators may ask for the applications and the queues of this store. The first call decides.
    pub(crate) fn administer(&self, applications: Arc<dyn api::Applications>, queues: Arc<dyn api::Queues>) {
        // A node opens one store.
        let _ = self.applications.set(applications);
        let _ = self.queues.set(queues);
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

    /// From now on an operator may ask for the node's end, which is told here.
    pub(crate) fn tell_ends(&self, ends: UnboundedSender<End>) {
        assert!(self.ends.set(ends).is_ok(), "a node has one queue of ends");
    }

    /// Whether it hands over and sends its clients away.
    pub(crate) fn is_draining(&self) -> bool {
        *lock(&self.phase) == Phase::Draining
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *lock(&self.phase) == Phase::Stopping
    }

    /// Whether it serves beside others.
    pub(crate) fn serves_beside_others(&self) -> bool {
        let has_others = lock(&self.sight).as_ref().is_some_and(|sight| sight.has_others());
        *lock(&self.phase) == Phase::Active && has_others
    }

    /// What is seen of the nodes of the store from now on.
    pub(crate) fn set_sight(&self, sight: Arc<Sight>) {
        *lock(&self.peers) = Arc::new(sight.peers());
        *lock(&self.sight) = Some(sight);
    }

    /// How many milliseconds this node's clock is ahead of the others', or behind where negative; 0 where it agrees.
    pub(crate) fn set_clock_off(&self, off_ms: i64) {
        self.clock_is_off.store(off_ms != 0, Ordering::Relaxed);
        self.metrics.nodes().set_clock_off(off_ms.unsigned_abs());
    }

    /// Whether anything may be decided by age.
    pub(crate) fn goes_by_clock(&self) -> bool {
        !self.clock_is_off.load(Ordering::Relaxed)
    }

    /// Load of the node. One that is going to stop takes no more connections, so it is full.
    pub(crate) fn work(&self) -> Load {
        let permille = if self.is_draining() || self.is_stopping() {
            1_000
        } else {
            (self.metrics.connections() * 1_000 / u64::from(self.connections_max.max(1))).min(1_000)
        };
        Load {
            sessions: u32::try_from(self.metrics.sessions()).unwrap_or(u32::MAX),
            permille: u16::try_from(permille).expect("at most 1,000"),
        }
    }

    /// Where it is said what came of dialling other nodes.
    pub(crate) fn attempts(&self) -> &Arc<Attempts> {
        &self.attempts
    }

    /// Where shards publish.
    pub(crate) fn counts(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

impl api::Node for NodeState {
    fn applications(&self) -> Option<Arc<dyn api::Applications>> {
        self.applications.get().cloned()
    }

    fn queues(&self) -> Option<Arc<dyn api::Queues>> {
        self.queues.get().cloned()
    }

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

    fn nodes(&self) -> api::Nodes {
        let Some(sight) = lock(&self.sight).clone() else { return api::Nodes::default() };
        sight.shown(Some(self.work()), &self.metrics.links(), &self.attempts.failures())
    }

    fn peers(&self) -> Arc<api::Peers> {
        Arc::clone(&lock(&self.peers))
    }

    fn drain(&self) {
        if let Some(ends) = self.ends.get()
            && !self.asked.swap(true, Ordering::Relaxed)
        {
            // A node that has stopped already wants no reason.
            let _ = ends.send(End::Asked(By::Operator));
        }
    }
}

/// Nothing here is left half done by a panic, which ends the process.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
