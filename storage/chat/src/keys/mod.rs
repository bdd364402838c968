//! Keys of every table: fixed width, big-endian.
//!
//! Owns the layout of keys and of ranges. Values are `schema::record`, and the smallest `packed`. Part of the stored
//! format: what is here changes only with the format version of the data directory. Keys of one table order as their
//! fields do.
//!
//! ```text
//! table     every table, in one declaration each: its keys, its values, what becomes of it in another store
//! range     ranges of keys, and keys whose fields follow from others
//! ```

mod range;
mod table;
#[cfg(test)]
mod tests;

pub use crate::fields::Field;
pub use range::*;
pub(crate) use table::Table;
pub use table::*;
