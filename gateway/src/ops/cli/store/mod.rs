//! `rookery store`: tasks on a store at rest.
//!
//! Owns the opening of a store that must be there, or that is to be made. Each command is in its file.

mod accounts;
mod check;
mod export;
mod friends;
mod import;
mod progress;
mod push;
mod rest;

use std::future::Future;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use clap::Subcommand;
use futures_lite::future;

use crate::config::{Config, Mode};
use crate::store::{self, NodeStore, SLOW, STILL_WAITING, Source, WithStore};

pub(super) use progress::Progress;

use super::help;
use super::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Walk the history and the inboxes, and verify order (I2), duplicates (I5) and inboxes (I6)
    #[command(after_help = help::STORE_CHECK_EXAMPLES)]
    Check(check::Check),
    /// Write everything into a file, to be imported into another store
    #[command(after_help = help::STORE_EXPORT_EXAMPLES)]
    Export(export::Export),
    /// Put what was exported into an empty store, of whichever engine, and check it
    #[command(after_help = help::STORE_IMPORT_EXAMPLES)]
    Import(import::Import),
    /// Show what the phones of absent users are to be told of
    #[command(after_help = help::STORE_PUSH_EXAMPLES)]
    Push(push::List),
    /// Make accounts without a password, for which only tokens of the node's key speak
    #[command(after_help = help::STORE_ACCOUNTS_EXAMPLES)]
    Accounts(accounts::Accounts),
    /// Make friends of pairs of accounts, without a request each
    #[command(after_help = help::STORE_FRIENDS_EXAMPLES)]
    Friends(friends::Friends),
}

impl StoreCommand {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Check(task) => open(task),
            Self::Export(task) => open(task),
            Self::Import(task) => open(task),
            Self::Push(task) => open(task),
            Self::Accounts(task) => open(task),
            Self::Friends(task) => open(task),
        }
    }
}

/// What a command does with an open store.
pub(super) trait StoreTask {
    /// What it expects of the store.
    const WANTED: Wanted = Wanted::Whole;

    /// What names the store.
    fn settings(&self) -> &Settings;

    /// Whether nodes may be active on the store meanwhile, where the engine allows that.
    fn beside_nodes(&self) -> bool {
        false
    }

    /// Reads what it wants, and tells it.
    async fn run<S: NodeStore>(&self, config: &Config, store: &S) -> anyhow::Result<()>;
}

/// What a command expects of a store.
pub(super) enum Wanted {
    /// It is there, and no import into it is unfinished.
    Whole,
    /// Nothing: it is made if it is not there.
    Any,
}

/// Opens the store of a task, which is at rest unless the task does without that, and carries the task out.
pub(super) fn open<T: StoreTask>(task: &T) -> anyhow::Result<ExitCode> {
    let config = task.settings().load(Mode::Run)?;
    store::with(&config, Opening { task, config: &config })?;
    Ok(ExitCode::SUCCESS)
}

struct Opening<'a, T> {
    task: &'a T,
    config: &'a Config,
}

impl<T: StoreTask> WithStore for Opening<'_, T> {
    type Output = ();

    fn run<O: Source>(self, source: O) -> anyhow::Result<()> {
        let opened = match T::WANTED {
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

impl<T: StoreTask> Opening<'_, T> {
    async fn run_task<S: NodeStore>(self, store: &S) -> anyhow::Result<()> {
        match T::WANTED {
            Wanted::Whole => store::must_be_whole(store).await?,
            Wanted::Any => {}
        }
        if !self.task.beside_nodes() {
            rest::must_rest(store).await?;
        }
        self.task.run(self.config, store).await
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
