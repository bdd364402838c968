//! The client half: FoundationDB's C library as `libfdb_c.so`, over one connection to the server.
//!
//! Thin on purpose: writes are kept as bytes and sent with the next read or the commit; what they mean is decided by the
//! server's engine. One thread, the one inside `fdb_run_network`, reads and writes all sockets and completes futures.
//! [`capi`] is the only place that deals in pointers.

mod capi;
mod connection;
mod future;
mod line;
mod network;
mod options;
mod transaction;
mod writes;
