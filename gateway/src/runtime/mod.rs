//! Shards at work: their threads, mailboxes and store operations.
//!
//! Owns everything between a socket's event and the host's input, and between an effect and whoever carries it out. When
//! shards start and stop is for [`crate::lifecycle`].

mod clock;
mod commands;
mod handler;
mod mesh;
mod pool;
mod shards;
mod tokens;

pub(crate) use clock::{Clock, wall};
pub(crate) use commands::NodeShards;
pub(crate) use handler::Mail;
pub(crate) use pool::{Job, StorePool};
pub(crate) use shards::{NodeParts, Started};
