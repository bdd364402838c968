//! Limits that every engine keeps, in the numbers of FoundationDB, so that what passes here passes there.
//!
//! Owns the limits of a transaction and of the resolver's memory. Limits of the product are `schema::limits`.

/// Longest key in bytes: FoundationDB's 10,000, less 60 for the prefix and its end under which a store lies in a
/// cluster (`foundationdb::PREFIX_BYTES_MAX`) and [`STAMP_OFFSET_BYTES`] that a versionstamped key bears on its way
/// there.
pub const KEY_BYTES_MAX: usize = 10_000 - 64;

/// What FoundationDB wants behind a versionstamped key or value: where in it the stamp goes, in bytes of its limit.
pub const STAMP_OFFSET_BYTES: usize = 4;

/// Longest value in bytes. One with a versionstamp is [`STAMP_OFFSET_BYTES`] shorter at most.
pub const VALUE_BYTES_MAX: usize = 100_000;

/// Largest transaction in bytes: keys and values of its mutations, the ends of its conflict ranges, and
/// [`MUTATION_OVERHEAD_BYTES`] and [`CONFLICT_OVERHEAD_BYTES`] for each.
pub const TRANSACTION_BYTES_MAX: usize = 10_000_000;

/// What a transaction should stay under: larger ones delay everybody who commits beside them.
pub const TRANSACTION_BYTES_TARGET: usize = 1_000_000;

/// Counted for a mutation beyond its key and value: what FoundationDB's client counts for its record, rounded up.
pub const MUTATION_OVERHEAD_BYTES: usize = 40;

/// Counted for a conflict range beyond its two ends.
pub const CONFLICT_OVERHEAD_BYTES: usize = 32;

/// Longest life of a transaction, from `begin` to the arrival of its commit.
pub const TRANSACTION_LIFE_MS: u64 = 5_000;

/// Watches that one engine holds; one more is refused with `Throttled`. FoundationDB's default.
pub const WATCHES_MAX: usize = 10_000;

/// Rows of a range read that names no limit: two pages of the largest list (5,000 rows) and far from a second of work.
pub const RANGE_ROWS_DEFAULT: u32 = 10_000;

/// Bytes of keys and values after which a range read that names no limit stops.
pub const RANGE_BYTES_DEFAULT: u32 = 1 << 20;

/// Transactions in one group commit, which are one version. The order within is two bytes, and the last is kept for
/// transactions that only read ([`crate::transaction::Stamp::after`]).
pub const GROUP_TRANSACTIONS_MAX: usize = 4_096;

/// Bytes of mutations after which a group commit takes no further transaction. One transaction always fits.
pub const GROUP_BYTES_MAX: usize = 16 << 20;

/// Bytes of recently written keys that the resolver keeps to check conflicts with. Beyond it the oldest go, and
/// transactions that began before them are too old. 256 MiB is 5 s of 400,000 rows a second with keys of 130 bytes.
pub const RECENT_BYTES_MAX: usize = 256 << 20;

/// Versions reserved at a time. A restart begins above the reserve, so this many are skipped at most.
/// 1,000,000 is a group commit each millisecond for a quarter of an hour, and leaves 2^44 restarts.
pub const VERSIONS_RESERVED: u64 = 1_000_000;
