//! File limit of the process, and the client connections that it leaves room for.
//!
//! Owns the raising of the limit and the reserve's arithmetic.

use anyhow::{Context as _, ensure};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Files that are no client connection, whatever the number of shards:
/// 900 tables that the embedded store keeps open, 64 of its journals, locks and directories, 1,024 HTTP connections and
/// 32 internal ones, and 64 for the process itself (standard streams, logs, signals, the HTTP runtime's own).
pub(crate) const RESERVE_FIXED: u64 = 900 + 64 + 1_024 + 32 + 64;
/// Files of one shard besides its connections: its ring, its listener and its eventfd are three; the rest are
/// connections that were accepted only to be told that the node is full.
pub(crate) const RESERVE_SHARD: u64 = 64;
/// Connections that a node must at least be able to hold, or it does not start.
pub(crate) const CONNECTIONS_MIN: u64 = 256;

/// Raises the file limit of this process to its hard value, and returns it.
///
/// # Errors
/// The system's refusal, which no Linux gives.
pub(crate) fn raise() -> anyhow::Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit).context("cannot raise the file limit")?;
    }
    Ok(hard_limit())
}

/// The hard file limit of this process; no limit is the largest number.
#[must_use]
pub(crate) fn hard_limit() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// Files that a node with `shards` shards keeps from its clients.
#[must_use]
pub(crate) fn reserve(shards: u16) -> u64 {
    RESERVE_FIXED + RESERVE_SHARD * u64::from(shards)
}

/// Client connections that a file limit leaves, for all shards together.
///
/// # Errors
/// It leaves less than [`CONNECTIONS_MIN`]; how much is needed.
pub(crate) fn connections_max(limit: u64, shards: u16) -> anyhow::Result<u32> {
    let needed = reserve(shards) + CONNECTIONS_MIN;
    ensure!(
        limit >= needed,
        "the file limit is {limit}, and {needed} is the least for {shards} shards; raise it (`ulimit -n {needed}`, \
         LimitNOFILE= in a systemd unit, --ulimit nofile= for a container) or start fewer shards"
    );
    Ok(u32::try_from(limit - reserve(shards)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_what_the_reserve_leaves() {
        let check =
            |limit, shards, expected| assert_eq!(connections_max(limit, shards).ok(), expected, "{limit}/{shards}");
        check(20_000, 2, Some(20_000 - 2_084 - 128));
        check(2_084 + 64 + 256, 1, Some(256));
        check(2_084 + 64 + 255, 1, None);
        check(u64::MAX, 1, Some(u32::MAX));
        check(0, 256, None);
    }

    #[test]
    fn the_limit_is_raised_to_its_hard_value() {
        let raised = raise().expect("a process may raise its own limit");
        assert_eq!(Some(raised), getrlimit(Resource::Nofile).current.or(Some(u64::MAX)));
        assert_eq!(raised, hard_limit());
    }
}
