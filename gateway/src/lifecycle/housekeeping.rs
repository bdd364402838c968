//! Housekeeping of a running node, each second: its disk, its store's health, its upkeep, its figures.
//!
//! Owns what a change of theirs stops and starts again. Never waits: upkeep is a job in the background, and shards are
//! given orders, which need no room in a mailbox.

use std::sync::Arc;
use std::time::Instant;

use schema::Incarnation;

use crate::config::Config;
use crate::machine::disk::{self, DiskChange, DiskWatch};
use crate::runtime::{Commander, StorePool};
use crate::store::{Health, HealthWatch, NodeStore};

use super::state::NodeState;
use super::upkeep::Upkeep;

/// The rounds of one node that serves.
pub(super) struct Housekeeping<'a, S> {
    config: &'a Config,
    store: S,
    state: Arc<NodeState>,
    shards: &'a Commander,
    disk: DiskWatch,
    health: HealthWatch,
    away: bool,
    /// Whether shards have been told that the store takes writes.
    writes: bool,
    upkeep: Upkeep<S>,
    /// Where upkeep runs. Dropped last, which drops what is under way.
    background: StorePool,
}

impl<'a, S: NodeStore> Housekeeping<'a, S> {
    /// For a node that serves, whose store is as `health` has it. Its shards have been told nothing yet.
    pub(super) fn new(
        config: &'a Config,
        store: S,
        me: Incarnation,
        state: &Arc<NodeState>,
        shards: &'a Commander,
        background: StorePool,
        health: HealthWatch,
    ) -> Self {
        Self {
            config,
            state: Arc::clone(state),
            shards,
            disk: DiskWatch::new(config.free_bytes_min),
            away: is_away(health.health()),
            health,
            writes: true,
            upkeep: Upkeep::new(store.clone(), me),
            background,
            store,
        }
    }

    /// One round.
    pub(super) fn run(&mut self) {
        self.state.counts().collect();
        if self.state.goes_by_clock() {
            self.upkeep.run_if_due(&self.background);
        }
        if !S::SHARED {
            // What is in this process answers; its disk is what may fail it. A shared store has disks of its own, and
            // whether it answers shows in commits, of which heartbeats are one a second.
            self.health.answered(Instant::now());
            self.check_disk();
        }
        self.check_store();
        self.tell_shards();
    }

    fn check_disk(&mut self) {
        match disk::free_bytes(&self.config.data_dir).map(|free_bytes| self.disk.observe(free_bytes)) {
            Ok(Some(change)) => {
                match change {
                    DiskChange::Low { free_bytes } => tracing::warn!(
                        free_bytes,
                        reserve_bytes = self.config.free_bytes_min,
                        "short of disk: nothing new is accepted until {} bytes are free",
                        self.disk.return_bytes()
                    ),
                    DiskChange::Enough { free_bytes } => tracing::info!(free_bytes, "enough disk again"),
                }
                self.state.set_short_of_disk(self.disk.is_low());
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "free disk cannot be read"),
        }
    }

    fn check_store(&mut self) {
        let now = Instant::now();
        let Some(health) = self.health.observe(now, self.store.commits()) else { return };
        self.away = is_away(health);
        // Shards before the world: who reads that the store is away is refused for that reason from then on.
        self.tell_shards();
        note_health::<S>(&self.state, health);
    }

    /// Whether they may take sends, where that has changed.
    fn tell_shards(&mut self) {
        let on = !self.away && !self.disk.is_low();
        if on != self.writes {
            self.writes = on;
            self.shards.set_writes(on);
        }
    }
}

fn is_away(health: Health) -> bool {
    match health {
        Health::Answering | Health::Full => false,
        Health::Away { .. } => true,
    }
}

/// The store is otherwise than before.
pub(super) fn note_health<S: NodeStore>(state: &NodeState, health: Health) {
    match health {
        Health::Answering => tracing::info!("the store answers and takes commits"),
        Health::Full => tracing::warn!("the store is full or overloaded: most commits are turned away; {}", S::REMEDY),
        Health::Away { since } => tracing::warn!(
            seconds = since.elapsed().as_secs(),
            "the store does not answer: sends are refused (115) and connections are kept; {}",
            S::REMEDY
        ),
    }
    state.set_store(health);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api::Node as _;
    use kv::embedded::{EmbeddedEngine, EmbeddedOptions};

    use crate::config::Mode;
    use crate::lifecycle::phase::Phase;
    use crate::store::Commits;
    use crate::telemetry::metrics::Metrics;

    use super::*;

    #[test]
    fn what_ailed_the_store_while_the_node_stood_by_is_over_once_it_answers() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = EmbeddedEngine::open(directory.path(), EmbeddedOptions::new(1)).expect("an empty store");
        let config = Config::load(Mode::Dev, None, [], &[]).expect("the defaults are legal");
        let state = Arc::new(NodeState::new(1, Metrics::new(1, 1, directory.path())));
        let begun = Instant::now();
        let mut health = HealthWatch::new(begun);
        let seconds = (1..=3).map(|second| begun + Duration::from_secs(second));
        let away = seconds.filter_map(|now| health.observe(now, Commits::default())).last();
        state.set_store(away.expect("three seconds without an answer"));
        state.advance(Phase::Active);
        assert!(state.ready().is_err(), "no answer for 3 s");

        let background = StorePool::start("background", 1).expect("a thread");
        let (me, shards) = (Incarnation(1), Commander::default());
        let mut housekeeping = Housekeeping::new(&config, store.clone(), me, &state, &shards, background, health);
        housekeeping.run();
        assert_eq!(state.ready(), Ok(()));
        drop(housekeeping);
        store.close();
    }
}
