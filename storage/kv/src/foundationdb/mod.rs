//! The engine of clusters: FoundationDB, by its own client library, which is loaded when this store is selected.
//!
//! Owns the client and its network thread ([`client`]), the store's own rows ([`open`]) and transactions: reads go to FoundationDB as snapshot reads, writes and conflicts are kept here as
//! in every engine ([`crate::pending`]) and handed over at commit. So what a transaction sees of itself, what it is
//! refused and when, do not depend on the engine. Futures wake from the network thread and are polled by whoever polls
//! ours. Upholds I3 by FoundationDB's promise: a commit that is answered is durable on every log server that has to
//! have it. Memory: per process one client with its own caches, and 32 KiB of samples; per transaction in flight its
//! reads and writes, which `limits::TRANSACTION_BYTES_MAX` bounds and layers keep under 1 MB; per shard a handle, which
//! is a pointer, and per connection nothing.
//!
//! Never a timeout on a commit: whoever stops waiting for one knows nothing of it.
//!
//! The contract suite runs on the stand-in in every test run, and on a real cluster where one is named
//! (`storage/kv/tests/foundationdb.rs`), which one process of 7.3.79 passed. What follows rests on that, and on
//! FoundationDB's documentation and source: that a transaction without read-your-writes hands its writes over in their
//! order, that a timeout of 0 reaches a commit that follows it, what watches and the limits on operands do, and that
//! `on_error` waits before it returns. Sizes are counted without the prefix: a transaction within a few percent of the
//! limit may pass here and be refused there, with the same word.

mod backoff;
mod client;
mod cluster_file;
mod engine;
mod errors;
mod hand_over;
mod open;
mod prefix;
mod probe;
mod stats;
mod transaction;

use std::path::PathBuf;

pub use client::{ConnectError, FoundationDb};
pub use cluster_file::{ClusterFileError, check as check_cluster_file};
pub use engine::FoundationDbEngine;
pub use errors::ClientError;
pub use foundationdb_sys::{Library, LoadError, load};
pub use open::{FORMAT, OpenError};
pub use prefix::{PREFIX_BYTES_MAX, PrefixError};
pub use probe::Probe;
pub use stats::FoundationDbStats;
pub use transaction::FoundationDbTransaction;

/// How to reach a cluster, and which part of it is the store.
#[derive(Debug, Clone)]
pub struct Options {
    /// The cluster file. `None`: where the client looks, `FDB_CLUSTER_FILE`, then `./fdb.cluster`, then
    /// `/etc/foundationdb/fdb.cluster`.
    pub cluster_file: Option<PathBuf>,
    /// The client library. `None`: `FDB_CLIENT_LIB`, then the dynamic loader's search for `libfdb_c.so`.
    pub client_library: Option<PathBuf>,
    /// What every key of the store begins with: at least 1 byte, at most [`PREFIX_BYTES_MAX`], none of them zero.
    pub prefix: String,
    /// A random number: the generation, if the store is empty. Nothing here draws random numbers.
    pub new_generation: u64,
}
