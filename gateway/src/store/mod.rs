//! The store of a node, whichever engine keeps it.
//!
//! Owns what the gateway asks of a store beyond [`storage::Engine`] (its figures, its opening, its end), and [`with`], the
//! one place that knows which engines there are. Everything else in the gateway is written for any [`NodeStore`].

mod embedded;
mod foundationdb;
mod health;

use std::future::Future;

use storage::Engine;
use storage::layers::transfer;

use crate::config::{Config, StoreEngine};
use crate::metrics::Text;

use embedded::EmbeddedSource;
use foundationdb::FoundationDbSource;
pub(crate) use foundationdb::options as cluster_options;
#[cfg(test)]
pub(crate) use foundationdb::write as write_cluster;
pub(crate) use health::{Commits, Health, HealthWatch};

/// An engine that a node can run on.
pub(crate) trait NodeStore: Engine {
    /// Whether several processes can have this store open at once. One that cannot needs no heartbeat and no standby.
    const SHARED: bool;

    /// What an operator should look at when this store does not answer, or takes nothing.
    const REMEDY: &'static str;

    /// What it has done with commits so far.
    fn commits(&self) -> Commits;

    /// What it counts, for metrics.
    fn figures(&self) -> Box<dyn StoreFigures>;
}

/// What a store tells operators.
pub(crate) trait StoreFigures: Send + Sync {
    /// Takes what the store has measured since the last call. Called each second.
    fn collect(&self);

    /// Writes its families.
    fn write(&self, text: &mut Text);
}

/// A store that is named and not open yet.
pub(crate) trait Source: Send + Sync {
    /// What it becomes.
    type Store: NodeStore;

    /// Opens it, which takes as long as the store is away; dropping the future ends the waiting. Called once.
    ///
    /// # Errors
    /// Why it will not open, in one line with the remedy.
    fn open(&self) -> impl Future<Output = anyhow::Result<Self::Store>> + Send;

    /// The same, of a store that is there: [`Self::open`] makes one where none is. For commands that look into a store without
    /// a node; does not wait long.
    ///
    /// # Errors
    /// As [`Self::open`]; there is no store; it does not answer.
    fn open_existing(&self) -> impl Future<Output = anyhow::Result<Self::Store>> + Send;

    /// Ends it: returns once another may open it. No transaction may be under way.
    fn close(self, store: Option<Self::Store>);
}

/// Something to be done with the store that the configuration names.
pub(crate) trait WithStore {
    /// What comes of it.
    type Output;

    /// Does it.
    ///
    /// # Errors
    /// Its own.
    fn run<O: Source>(self, source: O) -> anyhow::Result<Self::Output>;
}

/// Does it with the engine that is configured.
///
/// # Errors
/// Of the engine, if it is not to be had; of what is done.
pub(crate) fn with<W: WithStore>(config: &Config, what: W) -> anyhow::Result<W::Output> {
    match config.store.engine {
        StoreEngine::Embedded => what.run(EmbeddedSource::new(config)),
        StoreEngine::FoundationDb => what.run(FoundationDbSource::connect(config)?),
    }
}

/// What holds part of another store's rows is no store yet: a node on it would serve a history with holes.
///
/// # Errors
/// An import was begun and not finished; the store's.
pub(crate) async fn must_be_whole<S: NodeStore>(store: &S) -> anyhow::Result<()> {
    anyhow::ensure!(
        !transfer::unfinished(store).await?,
        "an import into this store was begun and not finished; run `rookery store import` again with the same file"
    );
    Ok(())
}
