//! Nodes in hostile simulated worlds, and the checkers of what must hold in all of them.
//!
//! One to five nodes of several shards each, with the gateway's own driver, and clients with real frames over simulated
//! TCP (turmoil). Everything that happens follows from a seed: delays, losses, crashes, what
//! users write. Two processes that run the same seed do the same, line by line, which their trace's hash shows.
//!
//! ```text
//! rng trace chaos faults    chance, what happened, how streams are cut, the store's faults
//! options plan world        planted bugs, what a seed makes of a run; what outlives the nodes
//! network hardships         hosts and what is wrong between them; what is done to them, and when
//! node client               lives of a node: sockets, shards, its way to the store; devices
//! facts checks outcome      evidence, judgement (I2 to I6, I10, I12), what a run came to
//! run                       nodes and devices in a world, until all is quiet
//! conformance               what clients see of any node
//! layers                    the storage layers alone: many more worlds, each of them short (I2 to I7, I10)
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
mod counts;
mod facts;
mod faults;
mod hardships;
pub mod layers;
mod network;
mod node;
mod options;
mod outcome;
pub mod plan;
mod rng;
mod run;
mod trace;
mod world;

pub use counts::Met;
pub use options::{Options, Planted, Workload};
pub use outcome::{Outcome, Violation};
pub use plan::Plan;
pub use run::{Done, run};
