//! `rookery store`: tasks on a store at rest.
//!
//! Owns the opening of a store that must be there, or that is to be made. Each command is in its file.

mod check;
mod export;
mod import;
mod progress;
mod push;
mod rest;

use std::future::Future;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use futures_lite::future;

use crate::config::Config;
use crate::store::{self, NodeStore, SLOW, STILL_WAITING, Source, WithStore};

pub(super) use check::check;
pub(super) use export::export;
pub(super) use import::import;
pub(super) use push::push;

/// What a command does with an open store.
trait StoreTask {
    /// Reads what it wants, and tells it.
    async fn run<S: NodeStore>(self, store: &S) -> anyhow::Result<()>;
}

/// Opens a store that must be there, whole and at rest, for a task.
fn open<T: StoreTask>(config: &Config, task: T) -> anyhow::Result<()> {
    store::with(config, Opening { task, wanted: Wanted::Whole, beside_nodes: false })
}

/// The same, also while nodes are active on it, where the engine allows that.
fn open_beside_nodes<T: StoreTask>(config: &Config, task: T) -> anyhow::Result<()> {
    store::with(config, Opening { task, wanted: Wanted::Whole, beside_nodes: true })
}

/// Opens a store into which something is to be put, and makes it if it is not there.
fn open_or_make<T: StoreTask>(config: &Config, task: T) -> anyhow::Result<()> {
    store::with(config, Opening { task, wanted: Wanted::Any, beside_nodes: false })
}

/// What a command expects of a store.
enum Wanted {
    /// It is there, and no import into it is unfinished.
    Whole,
    /// Nothing.
    Any,
}

struct Opening<T> {
    task: T,
    wanted: Wanted,
    beside_nodes: bool,
}

impl<T: StoreTask> WithStore for Opening<T> {
    type Output = ();

    fn run<O: Source>(self, source: O) -> anyhow::Result<()> {
        let opened = match self.wanted {
            Wanted::Whole => future::block_on(source.open_existing()),
            Wanted::Any => waited_for(O::Store::REMEDY, source.open()),
        };
        let (store, done) = match opened {
            Ok(store) => {
                let done = future::block_on(self.run_task(&store));
                (Some(store), done)
            }
            Err(error) => (None, Err(error)),
        };
        source.close(store);
        done
    }
}

impl<T: StoreTask> Opening<T> {
    async fn run_task<S: NodeStore>(self, store: &S) -> anyhow::Result<()> {
        match self.wanted {
            Wanted::Whole => store::must_be_whole(store).await?,
            Wanted::Any => {}
        }
        if !self.beside_nodes {
            rest::must_rest(store).await?;
        }
        self.task.run(store).await
    }
}

/// Waits for a store to open, however long it takes, and says so.
fn waited_for<T>(remedy: &str, opening: impl Future<Output = T>) -> T {
    let (open, opened) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut pause = SLOW;
            // Ends when the other side is dropped, which is the only thing that happens to it.
            while opened.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                progress::note(&format!("waiting for the store, which does not answer: {remedy}"));
                pause = STILL_WAITING;
            }
        });
        let store = future::block_on(opening);
        drop(open);
        store
    })
}
