//! The client half: FoundationDB's C library as `libfdb_c.so`, over one connection to the server.
//!
//! Thin on purpose: writes are sent with the next read or the commit, and what they mean and whether they are legal is
//! decided by the server's engine. One thread, the one inside `fdb_run_network`, owns all sockets and timers and
//! completes all futures. [`capi`] is the only place that deals in pointers; it calls the others, which know nothing of
//! it.

mod capi;
mod connection;
mod future;
mod network;
mod transaction;
