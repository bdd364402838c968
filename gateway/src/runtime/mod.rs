//! Shards at work: their threads, mailboxes and store operations.
//!
//! Owns the threads, their executors and the ends of their mailboxes, and puts [`host::driver`] on them. The only place
//! that names glommio. When shards start and stop is
//! `lifecycle`'s, which is told by [`ShardEnd`] why one cannot go on.

mod before;
mod clients;
mod clock;
mod commands;
pub(crate) mod executor;
mod handler;
mod mesh;
mod operations;
mod pool;
mod shards;
mod streams;
mod tokens;

pub(crate) use before::Applications;
pub(crate) use clock::{Clock, wall};
pub(crate) use commands::NodeShards;
pub(crate) use pool::{Job, StorePool};
pub(crate) use shards::{Commander, NodeParts, ShardEnd, Started, Tell};
