//! Where a node is between its start and its end.
//!
//! Owns the order of the phases, and what a probe is told of each. A node serves clients in one of them.
//!
//! ```text
//! waiting for the store ─► active ─► stopping
//!            └──────────────────────────▲
//! ```

use std::time::Instant;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its store has not answered yet. Only the internal listener is there.
    Waiting {
        /// When it began to.
        since: Instant,
    },
    /// It serves clients.
    Active,
    /// It has been told to stop, or cannot go on.
    Stopping,
}

impl Phase {
    /// Goes on to `next`.
    ///
    /// # Panics
    /// If no node goes that way: phases are not repeated.
    pub(super) fn advance(&mut self, next: Self) {
        let legal = match (&*self, &next) {
            (Self::Waiting { .. }, Self::Active | Self::Stopping) | (Self::Active, Self::Stopping) => true,
            (Self::Waiting { .. } | Self::Active | Self::Stopping, _) => false,
        };
        assert!(legal, "a node does not go from {self:?} to {next:?}");
        *self = next;
    }

    /// Why the node takes no traffic in this phase, in the words of `/health/ready`. `None` where it does.
    pub(super) fn reason(&self, now: Instant) -> Option<String> {
        match self {
            Self::Waiting { since } => {
                Some(format!("store: waiting for the cluster, {} s", now.saturating_duration_since(*since).as_secs()))
            }
            Self::Active => None,
            Self::Stopping => Some("node: stopping".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_probe_is_told_what_the_node_waits_for() {
        let since = Instant::now();
        let check = |phase: Phase, expected: Option<&str>| {
            assert_eq!(phase.reason(since + Duration::from_millis(12_900)).as_deref(), expected, "{phase:?}");
        };
        check(Phase::Waiting { since }, Some("store: waiting for the cluster, 12 s"));
        check(Phase::Active, None);
        check(Phase::Stopping, Some("node: stopping"));
    }

    #[test]
    #[should_panic(expected = "does not go from Stopping to Active")]
    fn nothing_comes_after_the_end() {
        let mut phase = Phase::Waiting { since: Instant::now() };
        phase.advance(Phase::Active);
        phase.advance(Phase::Stopping);
        phase.advance(Phase::Active);
    }
}
