//! Counts of calls to the server, which tests of a budget compare with their arithmetic.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::code::Code;

/// Commits of which [`Server::last_commits`](super::Server::last_commits) knows the rows; older ones are forgotten.
pub const COMMITS_KEPT_MAX: usize = 10_000;

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
    /// Rows written by commits that happened.
    pub rows_written: u64,
    /// Rows removed by name by commits that happened.
    pub rows_cleared: u64,
    /// Ranges removed by commits that happened.
    pub ranges_cleared: u64,
    /// Keys and values of the rows written.
    pub bytes_written: u64,
    /// Answers by error.
    pub errors: BTreeMap<Code, u64>,
}

/// What one commit that happened wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CommitRows {
    /// Rows set, changed in place or written with a versionstamp.
    pub written: u32,
    /// Rows removed by name.
    pub cleared: u32,
    /// Ranges removed.
    pub ranges_cleared: u32,
    /// Keys and values of the rows written, without the stamps.
    pub bytes: u32,
}

/// The counts as they grow.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) calls: Calls,
    pub(super) commits: VecDeque<CommitRows>,
}

impl Counts {
    pub(super) fn failed(&mut self, code: Code) {
        *self.calls.errors.entry(code).or_default() += 1;
    }

    pub(super) fn committed(&mut self, rows: CommitRows) {
        self.calls.committed += 1;
        self.calls.rows_written += u64::from(rows.written);
        self.calls.rows_cleared += u64::from(rows.cleared);
        self.calls.ranges_cleared += u64::from(rows.ranges_cleared);
        self.calls.bytes_written += u64::from(rows.bytes);
        if self.commits.len() == COMMITS_KEPT_MAX {
            self.commits.pop_front();
        }
        self.commits.push_back(rows);
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, begun, read_versions, gets, ranges, watches, commits, committed, .. } = self;
        let Self { rows_written, rows_cleared, ranges_cleared, bytes_written, errors, .. } = self;
        write!(
            f,
            "{connections} connections, {begun} transactions, {read_versions} read versions, {gets} gets, {ranges} ranges, \
             {watches} watches, {committed} of {commits} commits happened, {rows_written} rows ({bytes_written} bytes) \
             written, {rows_cleared} rows and {ranges_cleared} ranges cleared"
        )?;
        for (Code(number), times) in errors {
            write!(f, ", error {number} {times} times")?;
        }
        Ok(())
    }
}
