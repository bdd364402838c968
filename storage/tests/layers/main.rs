//! The layers over the memory engine, with faults, and the main path over the embedded one.

mod append;
mod fences;
mod reads;
mod world;
