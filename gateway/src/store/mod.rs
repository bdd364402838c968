//! The store of a node, whichever engine keeps it.
//!
//! Owns what the gateway asks of a store beyond [`kv::Engine`] (its figures, its opening, its end), and [`with`], the
//! one place that knows which engines there are. Everything else in the gateway is written for any [`NodeStore`].

mod embedded;
mod foundationdb;
mod health;

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chat::{LayerError, transfer};
use kv::{Engine, Error};

use crate::config::{Config, StoreEngine};
use crate::telemetry::metrics::{Family, Histogram, StoreFigures, Value};

use embedded::EmbeddedSource;
use foundationdb::FoundationDbSource;
pub(crate) use foundationdb::options as cluster_options;
pub(crate) use health::{Commits, Health, HealthWatch};

/// A store that takes longer to answer at a start is waited for, which is said.
pub(crate) const SLOW: Duration = Duration::from_secs(1);
/// How often it is said again.
pub(crate) const STILL_WAITING: Duration = Duration::from_secs(60);

/// An engine that a node can run on.
pub(crate) trait NodeStore: Engine {
    /// Whether several processes can have this store open at once. One that cannot needs no heartbeat and no standby.
    const SHARED: bool;

    /// Whether a read may have to wait for a disk in the thread that asks.
    const READS_WAIT: bool;

    /// What an operator should look at when this store does not answer, or takes nothing.
    const REMEDY: &'static str;

    /// What it has done with commits so far.
    fn commits(&self) -> Commits;

    /// From what to what a commit is timed, for metrics.
    const COMMIT_TIMED: &'static str;

    /// What it counts, for metrics.
    fn families(&self) -> Vec<Family>;

    /// How long commits took since the last call, at most 8,192 of them: some seconds of the fastest disk.
    fn take_commit_times(&self) -> Vec<Duration>;
}

/// The figures of one store, and how long its commits have taken since it was opened.
pub(crate) struct Figures<S> {
    store: S,
    commits: Mutex<Histogram>,
}

impl<S: NodeStore> Figures<S> {
    pub(crate) fn of(store: &S) -> Box<Self> {
        Box::new(Self { store: store.clone(), commits: Mutex::default() })
    }
}

impl<S: NodeStore> StoreFigures for Figures<S> {
    fn collect(&self) {
        let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.take_commit_times().into_iter().for_each(|took| commits.record(took));
    }

    fn families(&self) -> Vec<Family> {
        let mut families = self.store.families();
        let commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner).clone();
        families.push(("rookery_store_commit_seconds", S::COMMIT_TIMED, Value::Histogram(commits)));
        families
    }
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

    /// The same, of a store that is there: [`Self::open`] makes one where none is. For commands that look into a store
    /// without a node; does not wait long.
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
    match config.engine {
        StoreEngine::Embedded => what.run(EmbeddedSource::new(config)),
        StoreEngine::FoundationDb => what.run(FoundationDbSource::connect(config)?),
    }
}

/// What holds part of another store's rows is no store yet: a node on it would serve a history with holes.
///
/// # Errors
/// An import was begun and not finished; the store's.
pub(crate) async fn must_be_whole<S: NodeStore>(store: &S) -> anyhow::Result<()> {
    ensure_whole(transfer::unfinished(store).await?)
}

/// The same, however long the store takes to answer.
///
/// # Errors
/// As [`must_be_whole`], but that it does not answer.
pub(crate) async fn must_be_whole_in_the_end<S: NodeStore>(store: &S) -> anyhow::Result<()> {
    ensure_whole(until_answered(|| transfer::unfinished(store)).await?)
}

/// Asks until the store answers: one that goes away right after it was opened is waited for like one that is not open
/// yet.
///
/// Bounded by whoever waits, who drops it. There is no pause between two questions, since each was waited for by
/// itself.
///
/// # Errors
/// All but that it does not answer.
pub(crate) async fn until_answered<T, F: Future<Output = Result<T, LayerError>>>(
    mut ask: impl FnMut() -> F,
) -> Result<T, LayerError> {
    loop {
        match ask().await {
            Err(LayerError::Store(Error::Unavailable)) => tracing::debug!("the store does not answer, asking again"),
            answered => return answered,
        }
    }
}

fn ensure_whole(unfinished: bool) -> anyhow::Result<()> {
    anyhow::ensure!(
        !unfinished,
        "an import into this store was begun and not finished; run `rookery store import` again with the same file"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::future::ready;

    use futures_lite::future::block_on;
    use kv::embedded::{EmbeddedEngine, EmbeddedOptions};
    use kv::foundationdb::FoundationDbStats;

    use crate::telemetry::metrics::{Metrics, render};

    use super::*;

    #[test]
    fn a_store_that_does_not_answer_is_asked_again_and_one_that_fails_is_not() {
        let check = |answers: Vec<Result<u32, LayerError>>, expected: &str| {
            let mut answers = answers.into_iter();
            let told = block_on(until_answered(|| ready(answers.next().expect("asked no more"))));
            assert_eq!((format!("{told:?}").as_str(), answers.count()), (expected, 0));
        };
        let away = || Err(LayerError::Store(Error::Unavailable));
        check(vec![Ok(1)], "Ok(1)");
        check(vec![away(), away(), Ok(1)], "Ok(1)");
        check(vec![away(), Err(LayerError::Store(Error::Conflict))], "Err(Store(Conflict))");
    }

    #[test]
    fn the_operators_manual_lists_every_metric() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = EmbeddedEngine::open(directory.path(), EmbeddedOptions::new(1)).expect("an empty store");
        let metrics = Metrics::new(1, 1_000, directory.path());
        metrics.show_store(Figures::of(&store));
        metrics.show_notifications(std::sync::Arc::default());
        metrics.show_before(std::sync::Arc::default());
        let objects = ::media::Objects::directory(directory.path().join("media"), 0).expect("a directory");
        metrics.show_media(::media::Library::start(objects, ::media::Limits::default()).expect("a thread"));
        let feeds = std::sync::Arc::default();
        let limits = ::timeline::Limits::default();
        let _shows_its_caches = ::timeline::Reader::new(store.clone(), limits, 1 << 20, std::sync::Arc::clone(&feeds));
        metrics.show_timeline(feeds);
        metrics.show_issuers(api::Tokens::own(api::TokenKey::new(&[0; 32])));
        let of_a_cluster = render(foundationdb::families(&FoundationDbStats::default()));
        let text = api::Counts::default().within(&(metrics.render() + &of_a_cluster));
        let shown: BTreeSet<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|line| line.split_once(' '))
            .map(|(name, kind)| match kind {
                "counter" => format!("{name}_total"),
                "info" => format!("{name}_info"),
                _ => name.to_owned(),
            })
            .collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operation.md");
        let manual = std::fs::read_to_string(path).expect("docs/operation.md is in the repository");
        let row = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
        let is_metric = |name: &String| name.starts_with("rookery_") || name.starts_with("process_");
        let listed: BTreeSet<_> = manual.lines().filter_map(row).filter(is_metric).collect();
        assert_eq!(listed, shown);
        let quoted = manual.split('`').skip(1).step_by(2).filter(|name| name.starts_with("rookery_"));
        let unknown: Vec<_> = quoted.filter(|name| !shown.contains(*name)).collect();
        assert_eq!(unknown, [""; 0], "named in the text and not exported");
    }
}
