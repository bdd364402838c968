//! A newer view, a peer that is lost, and frames that did not come.
//!
//! Owns the order of what a shard does then, all in one turn. First the homes here let go of what is another's now or was
//! meanwhile, silently; then whoever here asks another home asks the home of now, in the order in which it had asked
//! before; then the frames that waited for the view are taken. A session stays where it is connected: it asks its home
//! from wherever it is, and its client hears of none of this.

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::limits::{HOME_TICK_MS, REJOINS_OF_FRAME_MAX};
use schema::mesh::{MeshBody, MeshFrame, Returning};
use schema::{Incarnation, Instant, Owner, View};

use crate::counters::Counter;
use crate::disruption::Disruption;
use crate::parked::Taken;

use super::Shard;

/// The least time between two rounds of what is asked again of one node.
const GAP_MS: u64 = HOME_TICK_MS;

/// Frames that were lost between another node and this one.
#[derive(Debug)]
pub(super) struct Gap {
    /// When what is lost was asked again.
    since: Instant,
    /// More was lost since.
    again: bool,
}

impl Shard {
    /// A newer view, as read at this version.
    pub(super) fn view(&mut self, view: Arc<View>, version: u64) {
        let Some(before) = self.effects.placement.set_view(view) else { return };
        let epoch = self.effects.placement.view().epoch;
        tracing::debug!(epoch = epoch.0, before = before.epoch.0, version, "a newer view");
        let disruption = Disruption::Moved(before.epoch);
        self.home.moved(disruption, version, &mut self.effects);
        self.channels.moved(disruption, &self.effects);
        self.feeds.moved(disruption, &self.effects);
        for member in before.members() {
            if self.effects.placement.view().member(member.incarnation).is_none() {
                self.forget_peer(member.incarnation);
            }
        }
        self.ask_again(disruption);
        let Taken { frames, lost } = self.parked.take(epoch);
        for frame in frames {
            self.mesh(frame);
        }
        for peer in lost {
            // Both sides are to begin anew.
            self.effects.lost(peer);
            self.peer_lost(peer);
        }
    }

    /// Another node and this one know nothing of each other any more.
    pub(super) fn peer_lost(&mut self, peer: Incarnation) {
        self.parked.forget(peer);
        self.forget_peer(peer);
        self.ask_again(Disruption::Lost(peer));
    }

    /// Frames between another node and this one were lost. Where that goes on they are asked again each second, since it
    /// is too much that is sent then.
    pub(super) fn gap(&mut self, peer: Incarnation) {
        let now = self.effects.now.mono;
        match self.gaps.get_mut(&peer) {
            Some(Gap { again, .. }) => *again = true,
            None => {
                self.gaps.insert(peer, Gap { since: now, again: false });
                self.ask_again(Disruption::Gap(peer));
            }
        }
    }

    /// A second has passed: what was lost in it is asked again.
    pub(super) fn tick_gaps(&mut self) {
        let now = self.effects.now.mono;
        let over = self.gaps.extract_if(.., |_, gap| now >= gap.since.plus_ms(GAP_MS));
        for (peer, Gap { again, .. }) in over.collect::<Vec<_>>() {
            if again {
                self.gap(peer);
            }
        }
    }

    /// The homes here forget what they have of a node's sessions and homes.
    fn forget_peer(&mut self, peer: Incarnation) {
        self.home.lost(peer, &mut self.effects);
        self.channels.lost(peer);
        self.feeds.lost(peer, &mut self.effects);
    }

    /// Whatever was asked of homes that are concerned is asked again, of the homes of now.
    fn ask_again(&mut self, disruption: Disruption) {
        for answered in self.tickets.disrupted(disruption, &mut self.effects) {
            self.answer(answered);
        }
        self.with_each(|session, context| session.disrupted(disruption, context));
        self.gathers.disrupted(disruption, &mut self.effects);
        self.kicks.disrupted(disruption, &mut self.effects);
        self.home.disrupted(disruption, &mut self.effects);
    }

    /// Registers live sessions again at homes that do not know them, as many as may go now.
    pub(super) fn rejoin(&mut self) {
        let mut homes: BTreeMap<Owner, Vec<Returning>> = BTreeMap::new();
        for conn in self.rejoins.take(self.effects.now.mono) {
            let mut returning = None;
            self.with_session(conn, |session, context| returning = session.rejoin(context));
            if let Some(returning) = returning {
                homes.entry(self.effects.placement.home_of_user(returning.user)).or_default().push(returning);
            }
        }
        for (home, mut sessions) in homes {
            while !sessions.is_empty() {
                let rest = sessions.split_off(sessions.len().min(REJOINS_OF_FRAME_MAX as usize));
                self.effects.mesh(home, MeshBody::RegisterMany { sessions });
                sessions = rest;
            }
        }
    }

    /// Keeps a request of a newer view until that is known.
    pub(super) fn park(&mut self, frame: MeshFrame) {
        self.effects.count(Counter::Parked);
        self.parked.keep(self.effects.now.mono, frame);
    }

    /// A second has passed: the view that frames wait for is asked for again.
    pub(super) fn await_views(&mut self) {
        if let Some(epoch) = self.parked.tick(self.effects.now.mono) {
            self.effects.outdated(epoch);
        }
    }
}
