//! Phases of a node between its start and its end.
//!
//! Owns the order of the phases, and what a probe is told of each. A node serves clients in one of them.
//!
//! ```text
//! waiting for the store ─► standing by ─► active ─► draining ─► stopping
//!            │                  │             ╰──────────────────▲▲▲
//!            │                  ╰─────────────────────────────────││
//!            ╰─────────────────────────────────────────────────────╯
//! ```

use std::fmt;
use std::time::Instant;

use chat::view::Roll;
use schema::{Epoch, Incarnation};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its store has not answered yet. Only the internal listener is there.
    Waiting {
        /// When it began to.
        since: Instant,
    },
    /// Another node serves. Only the internal listener is there.
    StandingBy {
        /// Which, as it was seen last. None before the first look, and where none does, which does not last.
        active: Option<Active>,
    },
    /// It serves clients.
    Active,
    /// It serves clients, and sends them and what it owns to the other nodes, since it is going to stop.
    Draining,
    /// It has been told to stop, or cannot go on.
    Stopping,
}

impl Phase {
    /// Goes on to `next`.
    ///
    /// # Panics
    /// If no node goes that way: phases are not repeated.
    pub(crate) fn advance(&mut self, next: Self) {
        let legal = match (&*self, &next) {
            (
                Self::Waiting { .. } | Self::StandingBy { .. },
                Self::StandingBy { .. } | Self::Active | Self::Stopping,
            )
            | (Self::Active, Self::Draining | Self::Stopping)
            | (Self::Draining, Self::Stopping) => true,
            (Self::Waiting { .. } | Self::StandingBy { .. } | Self::Active | Self::Draining | Self::Stopping, _) => {
                false
            }
        };
        assert!(legal, "a node does not go from {self:?} to {next:?}");
        *self = next;
    }

    /// Why the node takes no traffic in this phase, in the words of `/health/ready`. `None` where it does.
    pub(crate) fn reason(&self, now: Instant) -> Option<String> {
        match self {
            Self::Waiting { since } => {
                Some(format!("store: waiting for the cluster, {} s", now.saturating_duration_since(*since).as_secs()))
            }
            Self::StandingBy { active: Some(active) } => Some(format!("node: standing by, {active}")),
            Self::StandingBy { active: None } => Some("node: standing by".to_owned()),
            Self::Active => None,
            Self::Draining => Some("node: draining, its partitions and clients go to other nodes".to_owned()),
            Self::Stopping => Some("node: stopping".to_owned()),
        }
    }
}

/// The node that serves a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Active {
    /// Which life.
    pub(crate) incarnation: Incarnation,
    /// What its operator calls it, if it has registered.
    pub(crate) name: Option<String>,
    /// Under which epoch.
    pub(crate) epoch: Epoch,
}

impl Active {
    pub(crate) fn of(roll: &Roll) -> Option<Self> {
        let (incarnation, node) = roll.first_active()?;
        let name = node.record.as_ref().map(|record| record.name.clone());
        Some(Self { incarnation, name, epoch: roll.epoch })
    }
}

/// `node chat-1 is active (epoch 7)`.
impl fmt::Display for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "node {name} is active (epoch {})", self.epoch.0),
            None => write!(f, "node {:x} is active (epoch {})", self.incarnation.0, self.epoch.0),
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
        let active = |name: Option<&str>| {
            Some(Active { incarnation: Incarnation(0xab), name: name.map(str::to_owned), epoch: Epoch(7) })
        };
        check(
            Phase::StandingBy { active: active(Some("chat-1")) },
            Some("node: standing by, node chat-1 is active (epoch 7)"),
        );
        check(Phase::StandingBy { active: active(None) }, Some("node: standing by, node ab is active (epoch 7)"));
        check(Phase::StandingBy { active: None }, Some("node: standing by"));
        check(Phase::Active, None);
        check(Phase::Draining, Some("node: draining, its partitions and clients go to other nodes"));
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
