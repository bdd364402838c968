//! Counts of calls to the server, which tests of a budget compare with their arithmetic.

use std::collections::BTreeMap;

/// Totals since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calls {
    /// Connections that said hello.
    pub connections: u64,
    /// Transactions that asked for anything.
    pub begun: u64,
    /// Read versions asked for by name.
    pub read_versions: u64,
    /// Keys read.
    pub gets: u64,
    /// Pages read.
    pub ranges: u64,
    /// Watches set.
    pub watches: u64,
    /// Commits of transactions that write or watch; those that only read never get here.
    pub commits: u64,
    /// Of these, the ones that happened.
    pub committed: u64,
    /// What commits that happened wrote.
    pub written: Written,
    /// Answers by error, by FoundationDB's numbers.
    pub errors: BTreeMap<u16, u64>,
}

/// What transactions wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Rows set, changed in place or written with a versionstamp.
    pub rows: u64,
    /// Keys and values of these rows, without the stamps.
    pub bytes: u64,
    /// Rows removed by name.
    pub rows_cleared: u64,
    /// Ranges removed.
    pub ranges_cleared: u64,
}

impl std::ops::AddAssign for Written {
    fn add_assign(&mut self, more: Self) {
        self.rows += more.rows;
        self.bytes += more.bytes;
        self.rows_cleared += more.rows_cleared;
        self.ranges_cleared += more.ranges_cleared;
    }
}
