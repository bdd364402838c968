//! Pace: a timer wheel and a token bucket.
//!
//! Owns the arithmetic of both. There is no clock inside: time arrives as a number with every call, in whatever unit
//! the caller counts, so that a shard, the driver of its sockets and the HTTP API share them and a simulation repeats
//! them.

mod bucket;
mod wheel;

pub use bucket::Rate;
pub use wheel::Wheel;
