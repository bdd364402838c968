//! A stand-in for FoundationDB, **for tests and development, not for data that one wants to keep**.
//!
//! Two halves. The [`server`] serves the transactions of one of our own engines over TCP, on this machine, with faults
//! on request. The client half is built as `libfdb_c.so`: the functions of FoundationDB's C library that the
//! `foundationdb` crate can call, so that the real client code path and several real node processes run where there is
//! no FoundationDB. Production clusters use FoundationDB and its own library.
//!
//! What it does not imitate: a cluster's timing, its recoveries, its backup, tenants, and the parts of the C library
//! that Rookery never calls, which exist and answer with error 2000.

mod client;
mod cluster_file;
pub mod code;
mod frame;
mod link;
pub mod server;

use std::path::PathBuf;

pub use cluster_file::{ClusterFile, ClusterFileError};
pub use server::{Calls, CommitRows, Fault, Faults, ReadFault, Server, ServerOptions, Store};

/// `libfdb_c.so` as cargo built it beside the running test, example or program.
///
/// # Panics
/// If it is not there: it is built with this crate, so a dependency on this crate is what brings it.
#[must_use]
pub fn library() -> PathBuf {
    let program = std::env::current_exe().expect("the system names the running program");
    let beside = program.ancestors().skip(1).take(2);
    let places = beside.flat_map(|directory| [directory.to_owned(), directory.join("deps")]);
    let mut libraries = places.map(|directory| directory.join("libfdb_c.so"));
    libraries
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("there is no libfdb_c.so beside {}", program.display()))
}
