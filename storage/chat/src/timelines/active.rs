//! Readers that are known to get rows, so that no step reads their state again.
//!
//! Owns a bounded set of them. That one is dormant is never kept: one that has come back would get no row. One that has
//! gone meanwhile gets rows for some minutes more, which does no harm.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use schema::{UnixMs, UserId};

/// Readers of each half: some 20 bytes each, 20 MB together.
const HALF_MAX: usize = 500_000;
/// After how long a half is forgotten, so that one is known for twice as long at most.
const HALF_MS: u64 = 300_000;

/// The readers that were seen to be active last.
#[derive(Debug, Default)]
pub struct Active(Mutex<Halves>);

/// When the younger is full or old it becomes the older, which is forgotten.
#[derive(Debug, Default)]
struct Halves {
    young: BTreeSet<UserId>,
    old: BTreeSet<UserId>,
    since: UnixMs,
}

impl Active {
    /// Those of these readers of whom it is not known.
    pub(super) fn unknown(&self, readers: &[UserId], wall: UnixMs) -> Vec<UserId> {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.turn(wall);
        let is_known = |user: &UserId| halves.young.contains(user) || halves.old.contains(user);
        readers.iter().copied().filter(|user| !is_known(user)).collect()
    }

    /// These are.
    pub(super) fn add(&self, readers: impl IntoIterator<Item = UserId>) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.young.extend(readers);
    }
}

impl Halves {
    fn turn(&mut self, wall: UnixMs) {
        if self.young.len() >= HALF_MAX || wall.since_ms(self.since) >= HALF_MS || wall < self.since {
            self.old = std::mem::take(&mut self.young);
            self.since = wall;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_known_for_twice_a_halfs_time_at_most() {
        let active = Active::default();
        let check = |at: u64, expected: &[u64]| {
            let unknown = active.unknown(&[UserId(1), UserId(2)], UnixMs(1_800_000_000_000 + at));
            assert_eq!(unknown.iter().map(|user| user.0).collect::<Vec<_>>(), expected, "at {at}");
        };
        check(0, &[1, 2]);
        active.add([UserId(1)]);
        check(HALF_MS - 1, &[2]);
        check(HALF_MS, &[2]);
        check(2 * HALF_MS - 1, &[2]);
        check(2 * HALF_MS, &[1, 2]);
    }
}
