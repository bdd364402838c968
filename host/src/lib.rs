//! One shard over the storage layers, on any executor.
//!
//! Owns two layers. [`Host`] says who carries out a shard's questions to the store. [`driver`] puts it between sockets,
//! mailboxes and clocks: gateway runs it on io_uring, sim in a hostile simulated world, both by the same three traits.
//!
//! ```text
//! sockets, mail, orders ─► driver ─► Input      Effect ─► driver ─► sockets, mailboxes, store tasks
//!
//! Input ─► Host::handle ─► router::Shard ─► Question ─► Appender | Effect::Run(future)
//!                                        └► Output ───► Effect::Output
//! future done ─► Host::done ─► Input::Answered
//! ```
//!
//! A future names no runtime, may be polled on any thread, and must be polled to its end: what it returns goes back
//! into [`Host::done`] of the same host. Dropping one loses an answer that the shard waits for (I12).

mod auth;
mod before;
pub mod driver;
mod host;
pub mod membership;
mod store;

pub use auth::{Authenticator, TokenFault, Verified};
pub use before::{Asking, Before};
pub use host::{Config, Done, Effect, Host, Latencies, Task};
pub use router::{Claims, Judgement};
