//! One shard over the storage layers, on any executor.
//!
//! Owns the mapping between the router's store outputs and the storage layers, and nothing else: gateway runs it on io_uring,
//! sim in a hostile simulated world, both by the same three calls.
//!
//! ```text
//! Input ─► Host::handle ─► router::Shard ─► Output::Store ─► Appender | Effect::Run(future)
//!                                        └► other outputs ─► Effect
//! future done ─► Host::done ─► Input::Stored
//! ```
//!
//! A future names no runtime, may be polled on any thread, and must be polled to its end: what it returns goes back into
//! [`Host::done`] of the same host. Dropping one loses an answer that the shard waits for (I12).

mod auth;
mod host;
mod store;

pub use auth::{Authenticator, Claims, TokenFault};
pub use host::{Config, Done, Effect, Host, Latencies, Task};
