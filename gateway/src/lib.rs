//! The `rookery` node: one process that carries clients, shards, the store and the HTTP API.
//!
//! Owns what the process has of its own, in rooms whose arrows point one way (`cargo xtask arrows` shows them):
//!
//! ```text
//! ops ─► lifecycle ─► runtime ─► peering ─► uring    ops        commands, the doctor
//!           │            │                           lifecycle  start, heartbeat, housekeeping, shutdown
//!           ├──► store ──┤                           runtime    shards on glommio, mailboxes, store operations
//!           ▼            ▼                           peering    connections to other nodes, until shards have them
//!        machine     telemetry                       store      the engine that is configured, and its health
//!           ╰──► config ◄╯                           machine    directory, disk, file limit, listeners, signals
//!                                                    telemetry  logs and metrics
//! ```

mod config;
mod lifecycle;
mod machine;
pub mod ops;
mod peering;
mod runtime;
mod store;
mod telemetry;
pub mod uring;

/// This program's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit that was built, `unknown` outside git.
const COMMIT: &str = env!("ROOKERY_COMMIT");
