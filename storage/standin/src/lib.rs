//! A stand-in for FoundationDB, **for tests and development, not for data that one wants to keep**.
//!
//! Two halves. The [`server`] serves the transactions of one of our own engines over TCP, on this machine, with faults
//! on request. The client half is built as `libfdb_c.so`: the functions of FoundationDB's C library that Rookery calls
//! through the `foundationdb` crate, so that the real client code path and several real node processes run where there
//! is no FoundationDB. Production clusters use FoundationDB and its own library.
//!
//! What it does not imitate: a cluster's timing, its recoveries, its backup, and the parts of the C library that
//! Rookery never calls.

mod client;
mod cluster_file;
mod code;
mod frame;
mod library;
pub mod server;

pub use cluster_file::ClusterFile;
pub use library::library;
pub use server::{Calls, Fault, Faults, Server, ServerOptions, Store};
