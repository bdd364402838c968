//! Links to other nodes as one shard left them, for an operator.
//!
//! Owns the copy: a shard replaces its own about once a second.

use link::Figures;
use schema::{Incarnation, Instant, Now, UnixMs};

/// The links that one shard holds, at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShardLinks {
    /// When that was.
    pub(crate) at: Now,
    /// The peer of each, its number between the two, and how it fares.
    pub(crate) links: Vec<((Incarnation, u16), Figures)>,
}

impl ShardLinks {
    /// The wall time of a moment before.
    pub(crate) fn wall(&self, at: Instant) -> UnixMs {
        let ago_ms = u64::try_from(self.at.mono.since(at).as_millis()).unwrap_or(u64::MAX);
        UnixMs(self.at.wall.0.saturating_sub(ago_ms))
    }
}
