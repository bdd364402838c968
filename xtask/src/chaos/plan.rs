//! What is done to a cluster, and when: a list that follows from the options alone.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;

/// Seconds before the end in which nothing new begins: what was done last is over by then.
const CALM_SECONDS: u64 = 10;

/// What is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Plan {
    /// Nodes are killed in turn; in the middle of it one stands still for longer than its lease instead
    Kills,
    /// All nodes are drained and started again, one after the other, as an upgrade does
    Rolling,
    /// One more node joins
    Join,
}

/// One thing that is done, to the node of this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// SIGKILL, and started again.
    Kill(u16),
    /// SIGSTOP for longer than a lease, SIGCONT, and started again once it has ended by itself.
    Pause(u16),
    /// `rookery drain`, and started again.
    Restart(u16),
    /// Started for the first time.
    Join(u16),
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, number) = match self {
            Self::Kill(number) => ("kill -9", number),
            Self::Pause(number) => ("pause", number),
            Self::Restart(number) => ("drain and restart", number),
            Self::Join(number) => ("join", number),
        };
        write!(f, "{what} node-{number}")
    }
}

impl Plan {
    /// Acts in the order of their times since the load began, the first after `every_seconds`. One that is due while
    /// another is under way is late.
    pub(super) fn acts(self, nodes: u16, seconds: u64, every_seconds: u64) -> Vec<(Duration, Act)> {
        let at = |turn: u64| Duration::from_secs(turn * every_seconds);
        match self {
            Self::Kills => {
                let turns = seconds.saturating_sub(CALM_SECONDS) / every_seconds;
                let act = |turn, number| if turn == turns / 2 + 1 { Act::Pause(number) } else { Act::Kill(number) };
                (1..=turns).zip((1..=nodes).cycle()).map(|(turn, number)| (at(turn), act(turn, number))).collect()
            }
            // Each as soon as the one before serves again.
            Self::Rolling => (1..=nodes).map(|number| (at(1), Act::Restart(number))).collect(),
            Self::Join => vec![(at(1), Act::Join(nodes + 1))],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_follows_from_what_is_wished() {
        check(Plan::Kills, 60, 20, "20 kill -9 node-1, 40 pause node-2");
        check(Plan::Kills, 90, 20, "20 kill -9 node-1, 40 kill -9 node-2, 60 pause node-3, 80 kill -9 node-1");
        check(Plan::Kills, 25, 20, "");
        check(Plan::Kills, 35, 20, "20 pause node-1");
        check(
            Plan::Rolling,
            60,
            5,
            "5 drain and restart node-1, 5 drain and restart node-2, 5 drain and restart node-3",
        );
        check(Plan::Join, 60, 7, "7 join node-4");
    }

    fn check(plan: Plan, seconds: u64, every_seconds: u64, expected: &str) {
        let said = plan.acts(3, seconds, every_seconds).into_iter().map(|(at, act)| format!("{} {act}", at.as_secs()));
        assert_eq!(said.collect::<Vec<_>>().join(", "), expected, "{plan:?} {seconds} {every_seconds}");
    }
}
