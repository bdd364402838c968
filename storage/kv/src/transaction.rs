//! The one transaction interface that layers are written against, with FoundationDB's semantics.
//!
//! Owns the traits and the plain types that cross them. Knows no engine and no runtime: futures are `Send` and may be
//! polled anywhere. Semantics that every engine keeps, and `contract` checks:
//!
//! - A transaction reads the store as it was at its read version, with its own writes on top.
//! - It commits only if nothing that it read was written by another after that version. Snapshot reads do not count.
//!   A transaction that wrote nothing commits always, at its read version.
//! - A version that can be read is durable, and so is a commit that was answered (I3).
//! - A commit that is answered before another transaction begins is seen by it, if it begins `Fresh`.
//! - Writes take effect in the order in which they were made. Sizes are checked at commit.
//! - A transaction that begins `Fresh` or `Cached` may get its read version as late as its first read or, without one,
//!   its commit. What it declares to have read is checked from there on; whoever means an earlier moment asks for the
//!   version.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::error::Error;
use crate::limits;

/// A point in the store's history. Later commits have greater versions; the numbers are not dense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Length of a versionstamp in bytes.
pub const STAMP_BYTES: usize = 10;

/// A versionstamp: the commit version (8 bytes, big-endian) and the transaction's order at that version (2 bytes).
///
/// Unique in a store's generation; compares as bytes in commit order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub [u8; STAMP_BYTES]);

impl Stamp {
    /// The stamp of the transaction with this order at `version`.
    #[must_use]
    pub fn new(version: Version, order: u16) -> Self {
        let mut bytes = [0; STAMP_BYTES];
        bytes[..8].copy_from_slice(&version.0.to_be_bytes());
        bytes[8..].copy_from_slice(&order.to_be_bytes());
        Self(bytes)
    }

    /// After everything that was committed at `version` or before. No write bears this stamp.
    #[must_use]
    pub fn after(version: Version) -> Self {
        Self::new(version, u16::MAX)
    }

    /// The version in it.
    #[must_use]
    pub fn version(self) -> Version {
        let (version, _) = self.0.split_at(8);
        Version(u64::from_be_bytes(version.try_into().expect("split at 8 bytes")))
    }

    /// The order within the version.
    #[must_use]
    pub fn order(self) -> u16 {
        let [.., high, low] = self.0;
        u16::from_be_bytes([high, low])
    }
}

/// Which store this is: drawn at random when the store is created, and again by every import or restore.
///
/// Versions of different generations do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Generation(pub u64);

/// The version at which a transaction reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// The newest: sees every commit that was answered before.
    Fresh,
    /// One that the engine has at hand, perhaps some hundred milliseconds old. Conflicts are still found.
    Cached,
    /// One at hand if it is no older than this, else the newest; [`Error::FutureVersion`] if even that is older.
    AtLeast(Version),
    /// Exactly this: [`Error::TooOld`] or [`Error::FutureVersion`] if it is not to be had.
    At(Version),
}

/// A range of keys to read, from `begin` (inclusive) to `end` (exclusive).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeRequest {
    /// First key.
    pub begin: Vec<u8>,
    /// First key that is not read.
    pub end: Vec<u8>,
    /// Stop after so many rows. At least 1.
    pub limit_rows: u32,
    /// Stop with the row that brings keys and values to so many bytes. So at least one row is returned.
    pub limit_bytes: u32,
    /// Read from `end` downwards.
    pub reverse: bool,
}

impl RangeRequest {
    /// All of `begin..end`, ascending, within [`limits::RANGE_ROWS_DEFAULT`] and [`limits::RANGE_BYTES_DEFAULT`].
    #[must_use]
    pub fn new(begin: impl Into<Vec<u8>>, end: impl Into<Vec<u8>>) -> Self {
        Self {
            begin: begin.into(),
            end: end.into(),
            limit_rows: limits::RANGE_ROWS_DEFAULT,
            limit_bytes: limits::RANGE_BYTES_DEFAULT,
            reverse: false,
        }
    }

    /// Every key that begins with `prefix`.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        Self::new(prefix, prefix_end(prefix))
    }

    /// At most `rows` rows.
    #[must_use]
    pub fn rows(mut self, rows: u32) -> Self {
        self.limit_rows = rows.max(1);
        self
    }

    /// At most the row that reaches `bytes`.
    #[must_use]
    pub fn bytes(mut self, bytes: u32) -> Self {
        self.limit_bytes = bytes;
        self
    }

    /// Descending.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// The request that goes on where `page` stopped, or `None` if nothing is left.
    #[must_use]
    pub fn after(mut self, page: &Page) -> Option<Self> {
        let last = page.rows.last().filter(|_| page.more)?;
        if self.reverse {
            self.end = last.key.to_vec();
        } else {
            self.begin = key_after(&last.key);
        }
        Some(self)
    }
}

/// The first key after all that begin with `prefix`. [`RESERVED`] where there is none that a layer may use.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    match prefix.iter().rposition(|byte| *byte != 0xFF) {
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end
        }
        None => RESERVED.to_vec(),
    }
}

/// The key right after `key`.
#[must_use]
pub fn key_after(key: &[u8]) -> Vec<u8> {
    let mut after = Vec::with_capacity(key.len() + 1);
    after.extend_from_slice(key);
    after.push(0);
    after
}

/// Where the store's own keys begin: the end of every range that a layer may name.
pub const RESERVED: &[u8] = &[0xFF];

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The whole key.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
}

/// What a range read returned, in the order asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Row>,
    /// A limit ended the read. The next page may still be empty.
    pub more: bool,
}

/// A read-modify-write that needs no read and so conflicts with no other like it.
///
/// Operands are little-endian unsigned numbers; the result has the operand's length, and the stored value is cut or
/// padded with zeros to it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomic {
    /// Sum, wrapping. An absent value is 0.
    Add,
    /// The larger. An absent value is smaller than every operand.
    Max,
}

/// Proof that a transaction is committed and durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Where it took effect. Of a transaction that wrote nothing: its read version.
    pub version: Version,
    /// What its versionstamped writes bear. Of a transaction that wrote nothing: [`Stamp::after`] its read version.
    pub stamp: Stamp,
}

impl Committed {
    /// The result of a transaction that wrote nothing and read at `version`.
    #[must_use]
    pub fn reads(version: Version) -> Self {
        Self { version, stamp: Stamp::after(version) }
    }
}

/// A future that resolves once a key may have changed. It owns what it needs and outlives its transaction.
///
/// It can resolve without a change: read again. A write of the value that was there need not be told.
/// [`Error::WatchCancelled`] if the transaction did not commit.
#[must_use = "a watch does nothing unless it is awaited"]
pub struct Watch(Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>);

impl Watch {
    /// Wraps an engine's future.
    pub fn new(future: impl Future<Output = Result<(), Error>> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl Future for Watch {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// A store. Clones are handles to the same one.
pub trait Engine: Clone + Send + Sync + 'static {
    /// Its transactions.
    type Tx: Transaction;

    /// Begins a transaction. Never waits; what is wrong with `read` is reported by the first read or the commit.
    fn begin(&self, read: Begin) -> Self::Tx;

    /// Which store this is.
    fn generation(&self) -> Generation;

    /// The newest version that this process knows to be readable: no older than any commit that it was answered and any
    /// read version that it was given. Never waits. [`Begin::AtLeast`] with it sees all of those, and asks the store
    /// only if no version at hand is young enough.
    fn newest(&self) -> Version;

    /// Another process of the same store was answered `version`, and this one goes on from what that knew: from here on
    /// [`Self::newest`] is no older. Never waits. It makes no version at hand younger than it is. To be called with what
    /// a process of the store says, never with what a client does.
    fn floor(&self, version: Version);
}

/// One transaction. Reads take `&self`, so several can be in flight at once; writes take `&mut self`, so none is.
///
/// Dropping it forgets it. Its life is [`limits::TRANSACTION_LIFE_MS`].
pub trait Transaction: Send + Sync + 'static {
    /// The version at which this transaction reads.
    ///
    /// # Errors
    /// What `begin` could not satisfy: [`Error::TooOld`], [`Error::FutureVersion`].
    fn read_version(&self) -> impl Future<Output = Result<Version, Error>> + Send;

    /// The value of `key`.
    ///
    /// # Errors
    /// [`Error::Unreadable`] after a versionstamped write that may cover `key`; any error of the read version.
    fn get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Bytes>, Error>> + Send;

    /// Like [`Self::get`], but later writes of others to `key` do not fail this transaction.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn snapshot_get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Bytes>, Error>> + Send;

    /// The values of all `keys`, in their order, read at once.
    ///
    /// # Errors
    /// As [`Self::get`]; the first of them.
    fn get_all<K: AsRef<[u8]> + Sync>(
        &self,
        keys: &[K],
    ) -> impl Future<Output = Result<Vec<Option<Bytes>>, Error>> + Send {
        crate::join::try_all(keys.iter().map(|key| self.get(key.as_ref())))
    }

    /// The values of all `keys`, in their order, read at once, each like [`Self::snapshot_get`].
    ///
    /// # Errors
    /// As [`Self::get`]; the first of them.
    fn snapshot_get_all<K: AsRef<[u8]> + Sync>(
        &self,
        keys: &[K],
    ) -> impl Future<Output = Result<Vec<Option<Bytes>>, Error>> + Send {
        crate::join::try_all(keys.iter().map(|key| self.snapshot_get(key.as_ref())))
    }

    /// The rows of a range. Of a page cut by a limit only the part that was read can conflict.
    ///
    /// # Errors
    /// [`Error::InvertedRange`]; [`Error::Unreadable`] if a versionstamped write may fall anywhere into the range;
    /// any error of the read version.
    fn get_range(&self, range: &RangeRequest) -> impl Future<Output = Result<Page, Error>> + Send;

    /// Like [`Self::get_range`], but later writes of others do not fail this transaction.
    ///
    /// # Errors
    /// As [`Self::get_range`].
    fn snapshot_get_range(&self, range: &RangeRequest) -> impl Future<Output = Result<Page, Error>> + Send;

    /// Writes one row.
    fn set(&mut self, key: &[u8], value: &[u8]);

    /// Removes one row, present or not.
    fn clear(&mut self, key: &[u8]);

    /// Removes every row from `begin` (inclusive) to `end` (exclusive).
    fn clear_range(&mut self, begin: &[u8], end: &[u8]);

    /// Changes a number in place.
    fn atomic(&mut self, op: Atomic, key: &[u8], operand: &[u8]);

    /// Writes a row whose key is `prefix`, the transaction's [`Stamp`], `suffix`.
    ///
    /// From here on this transaction cannot read what the key may turn out to be: any stamp not older than its read
    /// version between `prefix` and `suffix`.
    fn set_versionstamped_key(&mut self, prefix: &[u8], suffix: &[u8], value: &[u8]);

    /// Writes a row whose value is `prefix`, the transaction's [`Stamp`], `suffix`. It cannot be read before commit.
    fn set_versionstamped_value(&mut self, key: &[u8], prefix: &[u8], suffix: &[u8]);

    /// Fails this transaction if another writes into `begin..end` after its read version, as if it had read that. Alone
    /// it does not fix the read version, which some engines learn with the first read.
    fn add_read_conflict(&mut self, begin: &[u8], end: &[u8]);

    /// Bytes that count towards [`limits::TRANSACTION_BYTES_MAX`] so far.
    fn size_bytes(&self) -> usize;

    /// Watches `key` from this transaction's read version on. Starts when the transaction commits; a transaction that
    /// wrote nothing must commit too. A change of its own to `key` counts. In some engines a transaction that writes
    /// and watches fails if another writes `key` meanwhile, as if it had read it.
    fn watch(&mut self, key: &[u8]) -> Watch;

    /// Commits. Nothing happens before the first poll; dropping the future after that leaves the outcome unknown.
    ///
    /// # Errors
    /// Any of [`Error`]. Sizes, reserved keys and inverted ranges of earlier calls are reported here.
    fn commit(self) -> impl Future<Output = Result<Committed, Error>> + Send;
}
