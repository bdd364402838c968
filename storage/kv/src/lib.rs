//! Transactions over an ordered key space, and the engines that keep them. Knows nothing of chat.
//!
//! One interface ([`Engine`], [`Transaction`]) with FoundationDB's semantics, so that what is built on it is written
//! once.
//! [`resolver`] decides which transactions commit, and [`memory`] and [`embedded`] carry it out; in [`foundationdb`] a
//! cluster does both. No runtime is named here, and nothing outside [`embedded`] and [`foundationdb`] reads a clock or
//! starts a thread. Nothing draws a random number.

mod clock;
pub mod embedded;
mod error;
pub mod foundationdb;
pub mod limits;
pub mod local;
pub mod memory;
mod pending;
pub mod resolver;
pub mod retry;
mod samples;
pub mod transaction;
mod versions;
pub mod waiting;

/// Concurrent reads of one transaction, without naming a runtime.
pub mod join {
    pub use futures_util::future::{try_join as both, try_join_all as try_all};
}

pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Cause, Error};
pub use transaction::{
    Atomic, Begin, Committed, Engine, Generation, Page, RangeRequest, Row, Stamp, Transaction, Version, Watch,
};
pub use versions::CACHED_MS_MAX;
