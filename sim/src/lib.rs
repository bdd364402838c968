//! The node in hostile simulated worlds, and the checkers of what must hold in all of them.
//!
//! One node of several shards, with the gateway's own driver, another that takes over from it, and clients with real frames over simulated TCP (turmoil).
//! Everything that happens follows from a seed: delays, losses, crashes, what users write. Two processes that run the same seed do
//! the same, line by line, which their trace's hash shows.
//!
//! ```text
//! options    a seed's plan, planted bugs        rng chaos trace    chance, the network's cuts, what happened
//! world      what outlives the node             node               one life of it: sockets, shards, disk
//! conformance    what clients see of any node
//! client     devices                            facts checks       evidence, judgement (I2 to I6, I10, I12)
//! layers     the storage layers alone: many more worlds, each of them short (I2 to I7, I10)
//! ```

#[cfg(not(any(tokio_unstable, doc, doctest)))]
compile_error!(
    "sim needs `--cfg tokio_unstable`, or a panic in a simulated host's task passes as success: \
     RUSTFLAGS in the environment replaces the flags of .cargo/config.toml, so name it there too"
);

mod chaos;
mod checks;
mod client;
pub mod conformance;
mod facts;
pub mod layers;
mod node;
pub mod options;
mod rng;
mod trace;
mod world;

pub use options::{Options, Planted, Workload};
pub use world::{Met, Outcome, Violation, run};
