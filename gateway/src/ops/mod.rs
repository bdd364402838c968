//! Commands of operators: the command line, and the examination of a machine.
//!
//! Owns what people at a terminal see. What a command does is in the rooms below.

pub mod cli;
mod doctor;
mod terminal;
