//! What survives: transactions over an ordered key space, the engines that keep them, and the layers above.
//!
//! One interface ([`Engine`], [`Transaction`]) with FoundationDB's semantics, so that layers are written once.
//! [`resolver`] decides which transactions commit, and [`memory`] and [`embedded`] carry it out; in [`foundationdb`] a
//! cluster does both. No runtime is named here, and nothing outside [`embedded`] and [`foundationdb`] reads a clock or
//! starts a thread. Nothing draws a random number.

mod clock;
#[cfg(feature = "testing")]
pub mod contract;
pub mod embedded;
mod error;
pub mod foundationdb;
mod join;
pub mod keys;
pub mod layers;
pub mod limits;
pub mod local;
pub mod memory;
mod pending;
pub mod resolver;
pub mod retry;
pub mod transaction;

pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Cause, Error};
pub use transaction::{
    Atomic, Begin, Committed, Engine, Generation, Page, RangeRequest, Row, Stamp, Transaction, Version, Watch,
};
