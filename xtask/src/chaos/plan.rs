//! What is done to a cluster, and when: a list that follows from the options alone.

use std::fmt;
use std::time::Duration;

/// Seconds before the end in which nothing new begins: what was done last is over by then.
const CALM_SECONDS: u64 = 10;
/// When a rolling restart begins.
const ROLLING_SECONDS: u64 = 5;

/// One thing that is done, to the node of this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// SIGKILL, and started again.
    Kill(u16),
    /// SIGSTOP for longer than a lease, SIGCONT, and started again once it has ended by itself.
    Pause(u16),
    /// SIGTERM, and started again.
    Restart(u16),
    /// Started for the first time.
    Join(u16),
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, number) = match self {
            Self::Kill(number) => ("kill -9", number),
            Self::Pause(number) => ("pause", number),
            Self::Restart(number) => ("restart", number),
            Self::Join(number) => ("join", number),
        };
        write!(f, "{what} node-{number}")
    }
}

/// What is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish {
    pub(super) nodes: u16,
    pub(super) seconds: u64,
    pub(super) kill_every: Option<u64>,
    pub(super) pause: bool,
    pub(super) rolling: bool,
    pub(super) join_at: Option<u64>,
}

impl Wish {
    /// Acts in the order of their times since the load began. One that is due while another is under way is late.
    pub(super) fn plan(&self) -> Vec<(Duration, Act)> {
        let last = self.seconds.saturating_sub(CALM_SECONDS);
        let mut plan = Vec::new();
        // Without any other wish there would be no chaos.
        let other = self.rolling || self.join_at.is_some();
        let every = self.kill_every.or((!other).then_some(20)).filter(|&every| every > 0);
        for (turn, number) in
            every.map(|every| last / every).map_or(0..0, |turns| 0..turns).zip((1..=self.nodes).cycle())
        {
            // Of two turns one is a pause, so that with three nodes each has both.
            let act = if self.pause && turn % 2 == 1 { Act::Pause(number) } else { Act::Kill(number) };
            plan.push(((turn + 1) * every.unwrap_or_default(), act));
        }
        if self.rolling {
            plan.extend((1..=self.nodes).map(|number| (ROLLING_SECONDS, Act::Restart(number))));
        }
        plan.extend(self.join_at.map(|at| (at, Act::Join(self.nodes + 1))));
        plan.sort_by_key(|&(at, _)| at);
        plan.into_iter().map(|(at, act)| (Duration::from_secs(at), act)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_follows_from_what_is_wished() {
        let wish = Wish { nodes: 3, seconds: 60, ..Wish::default() };
        check(wish, "20 kill -9 node-1, 40 kill -9 node-2");
        let quick = Wish { kill_every: Some(12), ..wish };
        check(quick, "12 kill -9 node-1, 24 kill -9 node-2, 36 kill -9 node-3, 48 kill -9 node-1");
        let pauses = Wish { pause: true, ..quick };
        check(pauses, "12 kill -9 node-1, 24 pause node-2, 36 kill -9 node-3, 48 pause node-1");
        check(Wish { rolling: true, ..wish }, "5 restart node-1, 5 restart node-2, 5 restart node-3");
        check(Wish { join_at: Some(7), ..wish }, "7 join node-4");
        check(
            Wish { join_at: Some(30), kill_every: Some(25), ..wish },
            "25 kill -9 node-1, 30 join node-4, 50 kill -9 node-2",
        );
        check(Wish { seconds: 8, ..wish }, "");
    }

    fn check(wish: Wish, expected: &str) {
        let said = wish.plan().into_iter().map(|(at, act)| format!("{} {act}", at.as_secs()));
        assert_eq!(said.collect::<Vec<_>>().join(", "), expected, "{wish:?}");
    }
}
