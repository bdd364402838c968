//! Subjects in a cluster: each in a store of its own, under a prefix that nobody else has, removed when it is dropped.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_lite::future::block_on;

use super::Subject;
use crate::foundationdb::{FoundationDb, FoundationDbEngine, Options};

/// Erases its store at the end.
struct Erased(FoundationDbEngine);

impl Drop for Erased {
    fn drop(&mut self) {
        if let Err(error) = block_on(self.0.erase()) {
            eprintln!("rows are left under {:?}: {error}", self.0);
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
    let erased = Erased(engine.clone());
    // Commits are durable by themselves; the store lives as long as the subject.
    let sync = move || {
        let _kept = &erased;
    };
    Subject { engine, clock: None, sync: Box::new(sync) }
}
