//! The functions of FoundationDB's C library, by their names, and the only `unsafe` code of the stand-in.
//!
//! Owns the pointers. A database and a transaction are a `Box` that the caller holds, a future is one count of an `Arc`.
//! Callers keep the contract of the C library: a pointer that they hand in came from here and was not destroyed, bytes
//! are as long as they say, and results are read before their future is destroyed. Each function borrows what it is
//! given only until it returns.

mod absent;
mod database;
mod futures;
mod handles;
mod transactions;

pub(super) use handles::{Callback, KeyValues};
