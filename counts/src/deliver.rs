//! One message to the sessions of a group, from the hint of its commit to the frame that each socket is given.

use crate::group::Group;

/// Sessions that are told, each of an account of its own.
pub(crate) const SESSIONS: u32 = 500;

pub(crate) fn run(rounds: u32) {
    let mut group = Group::new();
    for _ in 0..SESSIONS {
        group.connect();
    }
    // What their home has to do of itself is done within a second.
    group.later(2_000);
    group.drain();
    for round in 1..=rounds {
        group.send(round);
        assert_eq!(group.queued.len(), SESSIONS as usize, "each is told");
        group.drain();
    }
}
