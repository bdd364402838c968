//! gateway

pub mod uring;
