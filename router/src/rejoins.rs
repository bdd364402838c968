//! Sessions that are to be registered at their accounts' homes again, at a pace.
//!
//! Owns which they are and how many go in a second: a node that dies leaves its users to all others at once. They go in
//! the order of a hash of their accounts, so that the shards of a cluster do not all meet one home first. It knows no
//! session: who is taken is looked at then. One that was refused, or not answered, comes again after a while (I12).

use std::collections::{BTreeMap, BTreeSet};

use schema::limits::REJOINS_PER_S;
use schema::{Instant, Partition, UserId};

use crate::io::ConnId;

/// Time between two turns.
const TURN_MS: u64 = 100;
/// Sessions of one turn.
const TURN: usize = REJOINS_PER_S as usize / 10;
/// Time after which one that was refused comes again.
const AGAIN_MS: u64 = 1_000;
/// Time that a home's answer is waited for.
const ANSWER_MS: u64 = 10_000;

/// A place in the order: not before this, and by the account.
type Place = (Instant, u64, ConnId);

#[derive(Debug, Clone, Copy)]
enum Stage {
    Waiting(Place),
    /// Asked at this time.
    Asked(Instant, UserId),
}

#[derive(Debug, Default)]
pub(crate) struct Rejoins {
    stages: BTreeMap<ConnId, Stage>,
    waiting: BTreeSet<Place>,
    /// When the next turn begins.
    turn_at: Instant,
    /// Sessions that may go in this one.
    left: usize,
}

impl Rejoins {
    /// The session's home does not know it.
    pub(crate) fn want(&mut self, now: Instant, conn: ConnId, user: UserId) {
        self.put(now, conn, user);
    }

    /// The session's home has refused it for now: at once if it was only found not to be known, after a while if that
    /// is the answer to its registration.
    pub(crate) fn refused(&mut self, now: Instant, conn: ConnId, user: UserId) {
        match self.stages.get(&conn) {
            Some(Stage::Waiting(_)) => {}
            Some(Stage::Asked(..)) => self.put(now.plus_ms(AGAIN_MS), conn, user),
            None => self.put(now, conn, user),
        }
    }

    fn put(&mut self, at: Instant, conn: ConnId, user: UserId) {
        let place = (at, Partition::of_user(user).index() as u64, conn);
        self.forget(conn);
        self.stages.insert(conn, Stage::Waiting(place));
        self.waiting.insert(place);
    }

    /// Takes those whose turn it is; each is to be asked, or forgotten.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<ConnId> {
        let mut taken = Vec::new();
        if now >= self.turn_at {
            (self.turn_at, self.left) = (now.plus_ms(TURN_MS), TURN);
        }
        while self.left > 0
            && let Some(&(_, _, conn)) = self.waiting.first().filter(|(at, ..)| *at <= now)
        {
            self.forget(conn);
            self.left -= 1;
            taken.push(conn);
        }
        taken
    }

    /// The session's home is asked.
    pub(crate) fn asked(&mut self, now: Instant, conn: ConnId, user: UserId) {
        self.forget(conn);
        self.stages.insert(conn, Stage::Asked(now, user));
    }

    /// The session is known to its home, or over. Returns whether it was asked for here.
    pub(crate) fn forget(&mut self, conn: ConnId) -> bool {
        match self.stages.remove(&conn) {
            Some(Stage::Waiting(place)) => {
                self.waiting.remove(&place);
                false
            }
            Some(Stage::Asked(..)) => true,
            None => false,
        }
    }

    /// A second has passed: who was not answered comes again.
    pub(crate) fn tick(&mut self, now: Instant) {
        let overdue = self.stages.iter().filter_map(|(&conn, &stage)| match stage {
            Stage::Asked(at, user) if now >= at.plus_ms(ANSWER_MS) => Some((conn, user)),
            Stage::Asked(..) | Stage::Waiting(_) => None,
        });
        for (conn, user) in overdue.collect::<Vec<_>>() {
            self.put(now, conn, user);
        }
    }

    /// When [`take`](Self::take) next has something.
    pub(crate) fn due(&self) -> Option<Instant> {
        let first = self.waiting.first().map(|(at, ..)| *at)?;
        Some(if self.left > 0 { first } else { first.max(self.turn_at) })
    }

    /// Sessions that their homes do not know.
    pub(crate) fn len(&self) -> usize {
        self.stages.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    /// Wants so many sessions at once, and takes those whose turn it is whenever one is due. Returns when each went.
    fn went(sessions: u64) -> Vec<u64> {
        let mut rejoins = Rejoins::default();
        for conn in 0..sessions {
            rejoins.want(ms(1_000), ConnId(conn), UserId(conn));
        }
        let mut went = Vec::new();
        while let Some(due) = rejoins.due() {
            for conn in rejoins.take(due) {
                went.push(due.0 / 1_000_000);
                rejoins.asked(due, conn, UserId(conn.0));
            }
        }
        assert_eq!(rejoins.len() as u64, sessions, "each waits for its answer");
        went
    }

    #[test]
    fn as_many_go_at_once_as_may_and_the_others_at_the_pace_of_a_second() {
        assert_eq!(went(20), [1_000; 20]);
        let went = went(450);
        let within = |from: u64, to: u64| went.iter().filter(|at| (from..to).contains(*at)).count();
        assert_eq!((went.len(), within(1_000, 2_000), within(2_000, 3_000), within(3_000, 4_000)), (450, 200, 200, 50));
    }

    #[test]
    fn one_that_was_refused_or_not_answered_comes_again_after_a_while() {
        let (conn, user) = (ConnId(1), UserId(1));
        let mut rejoins = Rejoins::default();
        // It was only found not to be known.
        rejoins.refused(ms(0), conn, user);
        assert_eq!(rejoins.take(ms(0)), [conn]);
        rejoins.asked(ms(0), conn, user);
        rejoins.refused(ms(50), conn, user);
        assert_eq!((rejoins.take(ms(1_000)), rejoins.due()), (vec![], Some(ms(1_050))));
        assert_eq!(rejoins.take(ms(1_050)), [conn]);
        rejoins.asked(ms(1_050), conn, user);
        rejoins.tick(ms(11_000));
        assert_eq!(rejoins.due(), None);
        rejoins.tick(ms(11_050));
        assert_eq!(rejoins.take(ms(11_050)), [conn]);
        rejoins.asked(ms(11_050), conn, user);
        assert!(rejoins.forget(conn), "its answer came");
        assert_eq!((rejoins.len(), rejoins.forget(conn)), (0, false));
    }
}
