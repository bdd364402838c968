//! What a store forgets by the clock: first replies beyond their 33 days, keys of creations beyond their day.
//!
//! Owns when it is done: at the start and once an hour. What may be forgotten is `storage::layers::dedup`.

use std::time::{Duration, Instant};

use futures_lite::future;
use storage::embedded::EmbeddedEngine;
use storage::layers::dedup;

use super::clock;

/// Rows live for days, so an hour more is nothing.
const EVERY: Duration = Duration::from_secs(3_600);

pub(super) struct Upkeep {
    engine: EmbeddedEngine,
    due: Instant,
}

impl Upkeep {
    pub(super) fn new(engine: EmbeddedEngine) -> Self {
        Self { engine, due: Instant::now() }
    }

    /// Does it if it is due. Blocks for as many transactions as there are thousands of rows.
    pub(super) fn run_if_due(&mut self) {
        if Instant::now() < self.due {
            return;
        }
        self.due = Instant::now() + EVERY;
        match future::block_on(dedup::clear(&self.engine, clock::wall())) {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "forgot first replies that nobody may ask for any more"),
            Err(error) => tracing::warn!(%error, "could not forget old first replies, trying again in an hour"),
        }
    }
}
