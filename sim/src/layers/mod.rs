//! Simulator of the storage layers alone: appenders of nodes that take over from each other, and whoever reads after
//! them.
//!
//! Everything is one thread over one simulated database. Which task goes on next, which faults come, and which node
//! takes over when follow from the seed. There are no sessions and no network between shards; those are the node's
//! simulator's. So a run is short, and thousands of them reach what few runs of a whole node do.
//!
//! ```text
//! options    a seed's plan, broken variants      tasks           who goes on
//! world      what outlives a node                life            one life of it: appenders, homes
//! device     clients                             run judge       the story, and what must hold (I2 to I7, I10)
//! ```

mod device;
mod judge;
mod life;
pub mod options;
mod run;
mod tasks;
mod world;

pub use crate::counts::Counts;
pub use options::{Broken, Options};
pub use run::run;
