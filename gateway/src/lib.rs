//! The `rookery` node: one process that carries clients, shards, the store and the HTTP API.
//!
//! Owns what the process has of its own: its configuration, its logs, the limits of the machine, its signals, and the
//! driver of client sockets.

pub mod cli;
pub mod config;
pub mod datadir;
pub mod disk;
pub mod doctor;
pub mod files;
pub mod listen;
pub mod logs;
pub mod metrics;
pub mod node;
pub mod stop;
mod store;
pub mod uring;
