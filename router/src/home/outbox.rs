//! Answers on their way to the shards that hold the sessions: each event once per shard, for all who get it.
//!
//! Owns the gathering of one turn's answers into [`MeshBody::Deliver`] frames, and their bound.

use std::collections::BTreeMap;

use schema::mesh::{MeshBody, Target};
use schema::{Event, Owner, Position};

use crate::effects::Effects;

use super::user::Name;

/// Bytes of events in one frame between shards, about: beyond it the frame is sent and the next begun.
const DELIVER_BYTES: u32 = 512 * 1024;
/// Targets in one frame between shards.
const DELIVER_TARGETS: usize = 4_096;
/// Events in one frame between shards: its targets count them in 16 bits. A page of an inbox has a few hundred.
const DELIVER_EVENTS: usize = u16::MAX as usize;

#[derive(Default)]
struct Parcel {
    events: Vec<Event>,
    index: BTreeMap<Position, u16>,
    bytes: u32,
    targets: Vec<Target>,
}

/// The answers of one turn.
#[derive(Default)]
pub(super) struct Outbox {
    parcels: BTreeMap<Owner, Parcel>,
}

impl Outbox {
    /// One session's answer: its events in order, and up to where it is complete.
    pub(super) fn put(
        &mut self,
        name: Name,
        after: Position,
        mut events: Vec<Event>,
        mut through: Position,
        effects: &mut Effects,
    ) {
        if events.len() > DELIVER_EVENTS {
            events.truncate(DELIVER_EVENTS);
            through = events.last().map_or(after, |last| last.position);
        }
        let parcel = self.parcels.entry(name.owner).or_default();
        if parcel.bytes >= DELIVER_BYTES
            || parcel.targets.len() >= DELIVER_TARGETS
            || parcel.events.len() + events.len() > DELIVER_EVENTS
        {
            std::mem::take(parcel).send(name.owner, effects);
        }
        let indices = events.into_iter().map(|event| parcel.put(event)).collect();
        parcel.targets.push(Target { session: name.session, after, through, events: indices });
    }

    /// Sends what was gathered.
    pub(super) fn flush(self, effects: &mut Effects) {
        for (owner, parcel) in self.parcels {
            parcel.send(owner, effects);
        }
    }
}

impl Parcel {
    fn put(&mut self, event: Event) -> u16 {
        if let Some(&index) = self.index.get(&event.position) {
            return index;
        }
        let index = u16::try_from(self.events.len()).expect("checked before a target is added");
        self.bytes = self.bytes.saturating_add(event.weight_bytes());
        self.index.insert(event.position, index);
        self.events.push(event);
        index
    }

    fn send(mut self, owner: Owner, effects: &mut Effects) {
        if self.targets.is_empty() {
            return;
        }
        if !self.events.is_sorted_by_key(|event| event.position) {
            self.sort();
        }
        effects.mesh(owner, MeshBody::Deliver { events: self.events, targets: self.targets });
    }

    /// Brings the events into the order of positions: accounts with different events were answered in one turn.
    fn sort(&mut self) {
        let mut place = vec![0_u16; self.events.len()];
        for (new, &old) in (0..).zip(self.index.values()) {
            place[usize::from(old)] = new;
        }
        self.events.sort_unstable_by_key(|event| event.position);
        for target in &mut self.targets {
            for index in &mut target.events {
                *index = place[usize::from(*index)];
            }
        }
    }
}
