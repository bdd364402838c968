//! Logs and metrics of the process.
//!
//! Owns their forms and bounds. What is counted is counted where it happens.

pub(crate) mod logs;
pub(crate) mod metrics;
