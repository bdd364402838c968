//! Leases of nodes: an observer's own heartbeats as the only clock.
//!
//! Owns what one node has seen of the others' heartbeats. Reads no clock and no store. A node is dead after
//! `BEATS_OF_LEASE` heartbeats of the observer's were committed, over at least `LEASE_MS` of the observer's own time,
//! while the node's row did not change. Clocks of others do not count, and while the store is away no heartbeat
//! commits, so nobody dies of it. That a node is dead is a guess, and may be wrong where it was merely slow:
//! [`super::change`] reads again what the guess relies on, and the fence makes it true (I7).

use std::collections::BTreeMap;

use schema::limits::{BEATS_OF_LEASE, LEASE_MS, STORE_AWAY_MS};
use schema::{Epoch, Incarnation};

use super::roll::Roll;

/// What one node has seen of the others. See the module.
#[derive(Debug)]
pub struct Lease {
    me: Incarnation,
    last_ms: Option<u64>,
    watched: BTreeMap<Incarnation, Watched>,
}

/// One node's silence.
#[derive(Debug, Clone, Copy)]
struct Watched {
    beat: Option<u64>,
    since_ms: u64,
    /// Own heartbeats since.
    beats: u32,
}

/// Who is dead, and what that relies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The epoch of the view in which it was seen.
    pub epoch: Epoch,
    /// The dead, each with the heartbeat that did not change.
    pub dead: BTreeMap<Incarnation, Option<u64>>,
}

impl Lease {
    /// Has seen nobody yet.
    #[must_use]
    pub fn new(me: Incarnation) -> Self {
        Self { me, last_ms: None, watched: BTreeMap::new() }
    }

    /// Takes in what a heartbeat that has just committed saw. `now_ms` is this node's own monotonic time.
    ///
    /// After a gap of more than `STORE_AWAY_MS` everybody has a whole lease again: the store was away, or this node
    /// stood still, and either may have kept the others from their heartbeats.
    pub fn observe(&mut self, now_ms: u64, roll: &Roll) -> Verdict {
        let gap = self.last_ms.replace(now_ms).is_some_and(|last_ms| now_ms.saturating_sub(last_ms) > STORE_AWAY_MS);
        if gap {
            self.watched.clear();
        }
        let before = std::mem::take(&mut self.watched);
        for (&node, &super::Node { beat, .. }) in roll.nodes.iter().filter(|&(&node, _)| node != self.me) {
            let watched = match before.get(&node) {
                Some(watched) if watched.beat == beat => Watched { beats: watched.beats.saturating_add(1), ..*watched },
                Some(_) | None => Watched { beat, since_ms: now_ms, beats: 0 },
            };
            self.watched.insert(node, watched);
        }
        let dead = self.watched.iter().filter(|(_, watched)| {
            watched.beats >= BEATS_OF_LEASE && now_ms.saturating_sub(watched.since_ms) >= LEASE_MS
        });
        Verdict { epoch: roll.epoch, dead: dead.map(|(&node, watched)| (node, watched.beat)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Node;
    use super::*;

    /// Feeds heartbeats, each `ms A B`: the observer's time and what it read of nodes 1 and 2 (`-` for a node that is
    /// not there, `.` for one without a heartbeat). After each, who is dead.
    fn check(heartbeats: &str, expected: &str) {
        let mut lease = Lease::new(Incarnation(9));
        let mut told = Vec::new();
        for heartbeat in heartbeats.split(", ") {
            let mut words = heartbeat.split(' ');
            let now_ms = words.next().expect("a time").parse().expect("milliseconds");
            let mut roll = Roll { epoch: Epoch(4), ..Roll::default() };
            // The observer's own silence says nothing.
            roll.nodes.insert(Incarnation(9), Node::default());
            for (node, beat) in (1..).zip(words).filter(|&(_, beat)| beat != "-") {
                roll.nodes.insert(Incarnation(node), Node { beat: beat.parse().ok(), ..Node::default() });
            }
            let verdict = lease.observe(now_ms, &roll);
            assert_eq!(verdict.epoch, Epoch(4));
            for (node, beat) in &verdict.dead {
                assert_eq!(*beat, roll.nodes[node].beat, "the heartbeat that did not change");
            }
            let dead: String = verdict.dead.keys().map(|node| node.0.to_string()).collect();
            told.push(if dead.is_empty() { "-".to_owned() } else { dead });
        }
        assert_eq!(told.join(" "), expected, "{heartbeats}");
    }

    #[test]
    fn a_node_is_dead_after_five_own_heartbeats_over_a_lease() {
        check("0 7, 1000 7, 2000 7, 3000 7, 4000 7, 5000 7", "- - - - - 1");
        check("0 7, 1000 7, 2000 7, 3000 7, 4000 7, 4999 7, 5999 7", "- - - - - - 1");
        // Five over more than a lease, and more than five within one.
        check("0 7, 2000 7, 4000 7, 6000 7, 8000 7, 10000 7", "- - - - - 1");
        check("0 7, 100 7, 200 7, 300 7, 400 7, 500 7, 600 7", "- - - - - - -");
    }

    #[test]
    fn a_word_from_it_begins_a_new_lease() {
        check("0 7, 1000 7, 2000 7, 3000 7, 4000 8, 5000 8, 6000 8", "- - - - - - -");
        check("0 7, 1000 7, 2000 7, 3000 7, 4000 7, 5000 8, 6000 8, 7000 8, 8000 8, 9000 8, 10000 8", {
            "- - - - - - - - - - 1"
        });
        // Also from one that was dead, and from one that goes and comes.
        check("0 7, 1000 7, 2000 7, 3000 7, 4000 7, 5000 7, 6000 8", "- - - - - 1 -");
        check("0 7, 1000 7, 2000 7, 3000 7, 4000 -, 5000 7, 6000 7", "- - - - - - -");
    }

    #[test]
    fn nodes_die_each_for_itself() {
        check("0 7 1, 1000 7 2, 2000 7 3, 3000 7 4, 4000 7 4, 5000 7 4", "- - - - - 1");
        check("0 7 1, 1000 7 1, 2000 7 1, 3000 7 1, 4000 7 1, 5000 7 1", "- - - - - 12");
        check("0 - 1, 1000 - 1, 2000 7 1, 3000 7 1, 4000 7 1, 5000 7 1", "- - - - - 2");
    }

    #[test]
    fn one_that_never_says_a_word_dies_as_well() {
        check("0 ., 1000 ., 2000 ., 3000 ., 4000 ., 5000 .", "- - - - - 1");
        check("0 ., 1000 ., 2000 ., 3000 ., 4000 ., 5000 1", "- - - - - -");
    }

    #[test]
    fn a_gap_between_own_heartbeats_begins_every_lease_again() {
        check("0 7, 1000 7, 2000 7, 3000 7, 4000 7, 64000 7, 65000 7, 66000 7", "- - - - - - - -");
        check("0 7, 3001 7, 4000 7, 5000 7, 6000 7, 7000 7, 8000 7, 8001 7", "- - - - - - - 1");
        check("0 7, 1000 7, 2000 7, 3000 7, 4000 7, 7000 7", "- - - - - 1");
    }
}
