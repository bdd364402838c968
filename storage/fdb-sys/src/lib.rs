//! FoundationDB's client library, resolved while the program runs.
//!
//! Owns the C names that the `foundationdb` crate calls at API version 730: types with their layouts, option codes, and
//! one `unsafe fn` for each function, which calls through a table that [`load`] fills. Nothing is linked, so a program
//! that holds this starts where no FoundationDB is installed, and says what is missing only when the store is selected.
//! Does not own the meaning of a call: that is FoundationDB's, of <https://apple.github.io/foundationdb/api-c.html>.
//! Upholds: all symbols or none; a library that was opened is never closed; calling before [`load`] is a panic, and so is
//! a call of what the crate names and Rookery never calls.

mod calls;
mod library;
mod options;
mod types;
mod versions;

pub use calls::*;
pub use library::{LIBRARY_NAME, LIBRARY_VARIABLE, Library, LoadError, load};
pub use options::*;
pub use types::*;

/// The version of the interface that this crate declares, and the least that a client library has to offer.
pub const FDB_API_VERSION: u32 = 730;
