//! Stores in a cluster: each under a prefix that nobody else has, and removed when it is dropped.

use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use foundationdb::{Database, FdbResult};
use futures_lite::future::block_on;
use kv::foundationdb::{FoundationDb, FoundationDbEngine, Options};

use crate::Subject;

/// Removes a store from its cluster when it is dropped.
struct Erased {
    cluster_file: Option<PathBuf>,
    prefix: String,
}

impl Drop for Erased {
    fn drop(&mut self) {
        if let Err(error) = block_on(self.erase()) {
            eprintln!("rows are left under {:?}: {error}", self.prefix);
        }
    }
}

impl Erased {
    /// Removes every row, the store's own included. The engine's client has started, and goes on for both.
    async fn erase(&self) -> FdbResult<()> {
        let cluster_file = self.cluster_file.as_ref().map(|path| path.to_str().expect("tests name plain paths"));
        let mut tx = Database::new(cluster_file)?.create_trx()?;
        loop {
            // A zero byte ends the prefix, and no key of a store begins with 0xFF twice.
            let [begin, end] = [&[0][..], &[0, 0xFF, 0xFF]].map(|suffix| [self.prefix.as_bytes(), suffix].concat());
            tx.clear_range(&begin, &end);
            tx = match tx.commit().await {
                Ok(_) => return Ok(()),
                Err(failed) => failed.on_error().await?,
            };
        }
    }
}

/// An empty store in the cluster that `options` name. Its prefix begins with theirs.
///
/// FoundationDB's time is its own, so the rules of time are skipped.
///
/// # Panics
/// If the client cannot be started, or the store not be opened.
#[must_use]
pub fn subject(options: &Options) -> Subject<FoundationDbEngine> {
    static STORES: AtomicU64 = AtomicU64::new(0);
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("later than 1970");
    let number = STORES.fetch_add(1, Ordering::Relaxed);
    let prefix = format!("{} {} {} {number} ", options.prefix, process::id(), since_1970.as_nanos());
    let options = Options { prefix, new_generation: number, ..options.clone() };
    let cluster = FoundationDb::connect(&options).unwrap_or_else(|error| panic!("no client: {error}"));
    let engine = block_on(cluster.open()).unwrap_or_else(|error| panic!("no store: {error}"));
    let erased = Erased { cluster_file: options.cluster_file, prefix: options.prefix };
    // Commits are durable by themselves; the store lives as long as the subject.
    let sync = move || {
        let _kept = &erased;
    };
    let other = block_on(cluster.open()).unwrap_or_else(|error| panic!("no second process: {error}"));
    Subject { engine, clock: None, other: Some(other), sync: Box::new(sync) }
}
