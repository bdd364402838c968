//! Leadership of a shared store: which step follows from each of a node's heartbeats.
//!
//! Owns the order of a node's life there: it stands by, takes over, serves, and may find itself fenced. Reads no clock
//! and no store: [`super::heartbeat`] carries out what it decides, and tells it what came of it. Upholds I7 on this
//! side: a node whose fence is not its own any more never serves again, whatever it sees later.

use chat::view::{Lease, Seen, Verdict};
use schema::{Epoch, Incarnation};

/// One node's place among those of its store.
#[derive(Debug)]
pub(super) struct Leadership {
    me: Incarnation,
    lease: Lease,
    /// Under which epoch this node serves.
    serves: Option<Epoch>,
}

/// The step that follows from a heartbeat.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing until the next one.
    Wait,
    /// Another node took this one for dead while it stood by: register again.
    Register,
    /// The nodes of the view are dead, or there are none: take over.
    TakeOver(Verdict),
    /// Nodes that stood by are dead: remove what is left of them.
    Forget(Verdict),
    /// Another node has taken over: stop.
    Fenced,
}

impl Leadership {
    pub(super) fn new(me: Incarnation) -> Self {
        Self { me, lease: Lease::new(me), serves: None }
    }

    /// A heartbeat has committed and saw this, at `now_ms` of this node's monotonic time.
    pub(super) fn beat(&mut self, now_ms: u64, seen: &Seen) -> Step {
        let verdict = self.lease.observe(now_ms, &seen.roll);
        match self.serves {
            Some(epoch) if !seen.registered || seen.fence != Some(epoch) => Step::Fenced,
            Some(_) if verdict.dead.is_empty() => Step::Wait,
            Some(_) => Step::Forget(verdict),
            None if !seen.registered => Step::Register,
            // With itself in the view it has taken over without having heard of it, and does so again.
            None if seen.roll.active().all(|node| node == self.me || verdict.dead.contains_key(&node)) => {
                Step::TakeOver(verdict)
            }
            None => Step::Wait,
        }
    }

    /// A takeover has committed.
    pub(super) fn took_over(&mut self, epoch: Epoch) {
        self.serves = Some(epoch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat::view::{Node, Roll};
    use schema::View;

    /// Feeds heartbeats a second apart, each `epoch:active fence` with an `!` where the registration of this node,
    /// which is 1, is gone; node 2 says a word each time, node 3 never. A takeover that is wanted succeeds unless the
    /// next heartbeat is told with a `~`. Returns what is done after each.
    fn check(heartbeats: &str, expected: &str) {
        let mut leadership = Leadership::new(Incarnation(1));
        let mut done = Vec::new();
        let all: Vec<&str> = heartbeats.split(", ").collect();
        for (at, heartbeat) in all.iter().enumerate() {
            let (told, registered) = (heartbeat.trim_matches(['!', '~']), !heartbeat.ends_with('!'));
            let (view, fence) = told.split_once(' ').unwrap_or((told, ""));
            let (epoch, active) = view.split_once(':').expect("epoch:active");
            let epoch = Epoch(epoch.parse().expect("an epoch"));
            let view = active.parse().ok().map(|active| View::alone(epoch, Incarnation(active), 1));
            let words = [(1, None), (2, Some(at as u64)), (3, Some(7))];
            let nodes = words.map(|(node, beat)| (Incarnation(node), Node { beat, ..Node::default() })).into();
            let seen = Seen {
                roll: Roll { epoch, view, version: 0, nodes },
                registered,
                fence: fence.parse().map(Epoch).ok(),
            };
            let step = leadership.beat(at as u64 * 1_000, &seen);
            done.push(match step {
                Step::Wait => "-",
                Step::Register => "register",
                Step::TakeOver(verdict) => {
                    assert_eq!(verdict.epoch, epoch);
                    if !all.get(at + 1).is_some_and(|next| next.starts_with('~')) {
                        leadership.took_over(Epoch(epoch.0 + 1));
                    }
                    "take"
                }
                Step::Forget(_) => "forget",
                Step::Fenced => "fenced",
            });
        }
        assert_eq!(done.join(" "), expected, "{heartbeats}");
    }

    #[test]
    fn a_store_without_an_active_node_is_taken_at_once() {
        check("0:, 1:1 1, 1:1 1", "take - -");
        check("4:, 5:1 5, 5:1 5, 5:1 5, 5:1 5, 5:1 5", "take - - - - forget");
    }

    #[test]
    fn a_node_that_stands_by_takes_over_once_the_active_one_is_dead() {
        check("4:2, 4:2, 4:2, 4:2, 4:2, 4:2, 4:2", "- - - - - - -");
        check("4:3, 4:3, 4:3, 4:3, 4:3, 4:3, 5:1 5", "- - - - - take forget");
        check("4:2, 4:2, 5:, 6:1 6", "- - take -");
        // Another was faster.
        check("4:3, 4:3, 4:3, 4:3, 4:3, 4:3, ~5:2, 5:2", "- - - - - take - -");
    }

    #[test]
    fn a_takeover_that_was_not_heard_of_is_made_again() {
        check("0:, ~1:1 1, 2:1 2", "take take -");
    }

    #[test]
    fn whoever_was_forgotten_while_it_stood_by_registers_again() {
        check("4:2, 4:2!, 4:2", "- register -");
    }

    #[test]
    fn a_node_whose_fence_is_gone_is_fenced() {
        check("0:, 1:1 1, 2:2", "take - fenced");
        check("0:, 1:1 1, 2:2!, 2:2!", "take - fenced fenced");
        check("0:, 1:1 1, 3:", "take - fenced");
        // Also by another life of its own number, which never was this one's.
        check("0:, 1:1 1, 2:1 2, 1:1 1", "take - fenced -");
    }
}
