//! Simulator of the storage layers alone: appenders and homes of one to five lives of nodes that share a view, hand over
//! and take over from each other, and whoever reads after them.
//!
//! Everything is one thread over one simulated database, of which each life is a client of its own, so that what one has
//! read may be old to another. Which task goes on next, which faults come, and which view follows which when follow from
//! the seed. Sessions are a model, and between lives a call is as good as a frame; true ones are the node's simulator's.
//! So a run is short, and thousands of them reach what few runs of whole nodes do.
//!
//! ```text
//! options    a seed's plan, broken variants      tasks           who goes on
//! world      what outlives a node                life            one life of it: appenders, and its view
//! views      which there were, and proposals     homes           what arrives, sessions served, adoption
//! device     clients                             story           what befalls the lives
//! notices    who is told of what (I9)            judge           what must hold (I2 to I7, I10)
//! hooks      what webhooks are told (I14)        posts           what is in feeds (I15)
//! run        the phases
//! ```

mod device;
mod homes;
mod hooks;
mod judge;
mod life;
mod notices;
pub mod options;
mod posts;
mod run;
mod story;
mod tasks;
mod views;
mod world;

pub use crate::counts::Counts;
pub use options::{Broken, Options};
pub use run::run;
