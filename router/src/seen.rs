//! Sends that this home has taken on for other shards, as far as another may say that it comes behind one.
//!
//! Owns their memory and its bound. What is lost between nodes leaves no hole in the numbers of one asker, who asks many
//! homes; so a send names the one before it in its line, and a home that has not taken that on does not take on this
//! (rule 7). One that was refused for now was not.

use std::collections::{BTreeSet, VecDeque};

use schema::limits::PENDING_APPENDS_MAX;
use schema::{Incarnation, Instant, Owner};

/// Time after which nothing can come behind it: an answer is not waited for as long.
const SEEN_MS: u64 = 30_000;
/// Sends that are remembered, at some 60 bytes each. Beyond it the oldest is not, and what comes behind it is refused.
const SEEN_MAX: usize = PENDING_APPENDS_MAX as usize;

#[derive(Debug, Default)]
pub(crate) struct Seen {
    tickets: BTreeSet<(Owner, u64)>,
    oldest: VecDeque<(Instant, Owner, u64)>,
}

impl Seen {
    /// Whether a send was taken on that another says it is behind.
    pub(crate) fn has(&self, asker: Owner, ticket: u64) -> bool {
        self.tickets.contains(&(asker, ticket))
    }

    /// A send is taken on.
    pub(crate) fn note(&mut self, now: Instant, asker: Owner, ticket: u64) {
        if self.tickets.insert((asker, ticket)) {
            self.oldest.push_back((now, asker, ticket));
        }
        if self.oldest.len() > SEEN_MAX {
            self.forget_oldest();
        }
    }

    /// A send was refused after all, and may be repeated.
    pub(crate) fn forget(&mut self, asker: Owner, ticket: u64) {
        self.tickets.remove(&(asker, ticket));
    }

    fn forget_oldest(&mut self) {
        if let Some((_, asker, ticket)) = self.oldest.pop_front() {
            self.tickets.remove(&(asker, ticket));
        }
    }

    /// Forgets the sends of a node.
    pub(crate) fn lost(&mut self, peer: Incarnation) {
        self.oldest.retain(|(_, asker, _)| asker.incarnation != peer);
        self.tickets.retain(|(asker, _)| asker.incarnation != peer);
    }

    /// A second has passed: forgets what is long past.
    pub(crate) fn tick(&mut self, now: Instant) {
        while self.oldest.front().is_some_and(|(at, ..)| now >= at.plus_ms(SEEN_MS)) {
            self.forget_oldest();
        }
    }
}
