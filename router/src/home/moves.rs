//! Users whose home is another now, and nodes that this home and its sessions do not hear of each other any more.
//!
//! Owns what a home lets go of, silently: it stores nothing of them and tells nobody, since their home is another's to
//! be. Upholds I6 for who comes: an event that an earlier home was brought is in no arrival of this one, so nothing is
//! known of a user who has come but from the version at which the view was read, behind which all that arrives arrives
//! here.
//!
//! Arrivals of this home are read on, those of users who have gone too: whoever of them has no session here is written a
//! push item. That may be one too many, where the session is known to the new home already; the new home never sees
//! those rows, so it would be one too few otherwise.

use schema::{Incarnation, Partition, Position};

use crate::disruption::Disruption;
use crate::effects::Effects;

use super::Home;

impl Home {
    /// There is a newer view, which was read at this version.
    pub(crate) fn moved(&mut self, disruption: Disruption, version: u64, effects: &mut Effects) {
        let placement = &effects.placement;
        let has_moved = |partition: Partition| disruption.concerns(placement, partition);
        for user in self.users.of(|user| has_moved(Partition::of_user(user))) {
            for reading in self.users.forget(user) {
                self.reads.forget(Some(reading));
            }
            self.large.forget(user);
        }
        self.presence.moved(effects.now, has_moved);
        if Partition::all().any(|partition| placement.owns(partition) && has_moved(partition)) {
            self.floor = self.floor.max(version);
        }
        self.watchers.moved(disruption, effects);
        self.start_reads(effects);
        self.arrivals.look(effects);
    }

    /// A node and this one know nothing of each other any more: its sessions come back, or do not. They are told, since
    /// those that have heard of it before this home have come back too early.
    pub(crate) fn lost(&mut self, peer: Incarnation, effects: &mut Effects) {
        for name in self.users.of_node(peer) {
            self.unregister(name, effects);
            self.unknown(name, effects);
        }
        self.watchers.lost(peer);
        self.start_reads(effects);
    }

    /// Channels' homes are others now, or may not have heard which of them have members here.
    pub(crate) fn disrupted(&self, disruption: Disruption, effects: &mut Effects) {
        self.large.announce(disruption, effects);
    }

    /// The place from which on a user who comes is known.
    pub(super) fn start_place(&self) -> Position {
        self.place().unwrap_or(Position::START).max(Position::end_of(self.floor))
    }
}
