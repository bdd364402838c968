//! Logs and metrics of the process.
//!
//! Owns their forms and bounds. What is counted is counted where it happens.

pub mod logs;
pub mod metrics;
