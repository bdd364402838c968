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
