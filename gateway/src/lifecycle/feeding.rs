//! News feeds on this node: the reader that HTTP asks, and the fan-out.
//!
//! Owns the way from a node's configuration to both, and what they tell each other: who posts here is not looked for, and
//! a feed that has just grown is not read from memory.

use std::io;
use std::sync::Arc;

use kv::Engine;
use schema::{Incarnation, UserId};
use timeline::{Counts, Limits, Parts, Reader, Running};

use crate::config::{Config, Role};
use crate::runtime::{self, Commander, NodeShards};

use super::state::NodeState;

/// The reader of feeds, and the counts that it shares with the fan-out.
pub(super) struct Feeds<S> {
    pub(super) reader: Arc<Reader<S>>,
    counts: Arc<Counts>,
    limits: Limits,
}

impl<S: Engine> Feeds<S> {
    pub(super) fn new(config: &Config, engine: &S, state: &NodeState) -> Self {
        let limits = Limits {
            read_fanout_from: config.read_fanout_from.into(),
            dormant_days: config.dormant_days,
            ..Limits::default()
        };
        let counts = Arc::<Counts>::default();
        state.counts().show_timeline(Arc::clone(&counts));
        let reader = Reader::new(engine.clone(), limits, config.feed_cache_bytes, Arc::clone(&counts));
        Self { reader: Arc::new(reader), counts, limits }
    }

    /// Starts the fan-out of a node that owns partitions.
    ///
    /// # Errors
    /// If its thread cannot be had.
    pub(super) fn start(
        &self,
        config: &Config,
        engine: &S,
        life: Incarnation,
        commander: &Commander,
        (shards, state): (&NodeShards, &Arc<NodeState>),
    ) -> io::Result<Option<Running>> {
        if !config.has(Role::Gateway) {
            return Ok(None);
        }
        let (commander, shards, state) = (commander.clone(), shards.clone(), Arc::clone(state));
        let reader = Arc::clone(&self.reader);
        let parts = Parts {
            engine: engine.clone(),
            life,
            view: Arc::new(move || commander.view()),
            wall: runtime::wall,
            rows_per_s: config.feed_rows_per_s,
            limits: self.limits,
            counts: Arc::clone(&self.counts),
            tell: Box::new(move |users: Vec<UserId>, count| {
                reader.grew(&users);
                shards.feeds_grew(users, count);
            }),
            may_write: Box::new(move || api::Node::takes_writes(&*state)),
            posted: self.reader.wake(),
        };
        timeline::start(parts).map(Some)
    }
}
