//! Arrivals for the users of this home, read from the store in the order of commits.
//!
//! Owns the place up to which arrivals were read and the content that hints brought ahead of it. A hint says that
//! arrivals have grown; none needs to come, since they are looked at each second anyway. At most one read is under way,
//! and a hint that comes meanwhile leads to one more at most (I11).

use std::collections::{BTreeMap, BTreeSet};

use schema::limits::HINT_BYTES_MAX;
use schema::page::{Arrival, ArrivalsPage};
use schema::{Event, Refusal, Stamp, UserId};

use crate::counters::Counter;
use crate::effects::Effects;
use crate::store::{Answer, ClearArrivals, ReadArrivals};

use super::pushes::Pushes;

/// Transactions with content from hints that one home holds: beyond it content is read from the store.
const HINTS_MAX: usize = 16_384;

#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    /// Everything that arrived up to here has been handed on; none before the first read.
    place: Option<Stamp>,
    /// The last row that was read, which is what there is to clear.
    last_row: Stamp,
    cleared: Stamp,
    clearing: bool,
    reading: bool,
    pushes: Pushes,
    /// The newest version that a hint spoke of.
    wanted: u64,
    hints: BTreeMap<Stamp, Vec<Event>>,
    hint_bytes: u32,
}

/// The result of one read.
pub(super) struct Taken {
    /// Transactions in the order of commits, with their content if it is known.
    pub(super) rows: Vec<Arrival>,
    /// It was the first: what arrived before it is only in inboxes.
    pub(super) first: bool,
    /// There is more to be read at once.
    pub(super) again: bool,
}

impl Arrivals {
    /// The place up to which arrivals were handed on, once that is known.
    pub(super) fn place(&self) -> Option<Stamp> {
        self.place
    }

    /// Bytes of content that wait for their rows.
    pub(super) fn hint_bytes(&self) -> u32 {
        self.hint_bytes
    }

    /// A transaction brought something to users here.
    pub(crate) fn hint(&mut self, stamp: Stamp, events: Vec<Event>, effects: &mut Effects) {
        if self.place.is_some_and(|place| stamp <= place) {
            return;
        }
        self.wanted = self.wanted.max(stamp.version);
        let bytes = weight_bytes(&events);
        let fits = self.hint_bytes.saturating_add(bytes) <= HINT_BYTES_MAX && self.hints.len() < HINTS_MAX;
        if !fits {
            effects.count(Counter::Hints);
        } else if !self.hints.contains_key(&stamp) {
            self.hint_bytes += bytes;
            self.hints.insert(stamp, events);
        }
        self.look(effects);
    }

    /// Reads on, unless a read is under way.
    pub(super) fn look(&mut self, effects: &mut Effects) {
        if self.reading || self.pushes.is_full() {
            return;
        }
        self.reading = true;
        // The first read has the content of all that it brings: hints are of what came just now.
        let have = if self.place.is_some() { self.hints.keys().copied().collect() } else { BTreeSet::new() };
        let after = self.place.unwrap_or_default();
        let at_least = self.wanted.max(after.version);
        effects.ask(ReadArrivals { after, at_least, have }, ());
    }

    /// The store has read on, or could not: then the next hint or second tries again, and nothing is lost meanwhile.
    pub(super) fn take(&mut self, page: Result<ArrivalsPage, Refusal>, effects: &mut Effects) -> Option<Taken> {
        self.reading = false;
        let ArrivalsPage { mut rows, through, more, epoch } = page.ok()?;
        if epoch > effects.placement.view().epoch {
            // Under that view other homes may have been brought what this one would say is not there (I6).
            effects.outdated(epoch);
            return None;
        }
        let before = self.place.unwrap_or_default();
        if through < before {
            return None;
        }
        for row in &mut rows {
            self.last_row = self.last_row.max(row.stamp);
            let hinted = self.hints.remove(&row.stamp);
            self.hint_bytes -= hinted.as_deref().map_or(0, weight_bytes);
            row.contents = row.contents.take().or(hinted);
        }
        while let Some(oldest) = self.hints.first_entry().filter(|oldest| *oldest.key() <= through) {
            self.hint_bytes -= weight_bytes(&oldest.remove());
        }
        let first = self.place.replace(through).is_none();
        // A store that gets no further is left alone until the next second.
        let again = through > before && (more || self.wanted > through.version);
        Some(Taken { rows, first, again })
    }

    /// One transaction was handed on to those who are here; the others' phones are to be told.
    pub(super) fn missed(&mut self, row: &Arrival, is_absent: impl Fn(UserId) -> bool) {
        self.pushes.arrived(row, is_absent);
    }

    /// Push items that were stored.
    pub(crate) fn pushes_written(&self) -> u64 {
        self.pushes.written()
    }

    /// Has the store forget what was read, and keep what phones are to be told of it.
    pub(super) fn clear(&mut self, effects: &mut Effects) {
        if !self.clearing && self.cleared < self.last_row {
            self.clearing = true;
            let (through, pushes) = self.pushes.begin(self.last_row);
            effects.ask(ClearArrivals { through, pushes }, through);
        }
    }

    /// The store has forgotten arrivals, or could not; then the next second tries again.
    pub(crate) fn cleared(&mut self, answer: Answer<ClearArrivals>, effects: &mut Effects) {
        let Answer { waiter: through, reply } = answer;
        self.clearing = false;
        if reply.is_err() {
            return;
        }
        self.cleared = through;
        let was_full = self.pushes.is_full();
        if self.pushes.stored() {
            self.clear(effects);
        }
        if was_full {
            self.look(effects);
        }
    }
}

fn weight_bytes(events: &[Event]) -> u32 {
    events.iter().map(Event::weight_bytes).fold(0, u32::saturating_add)
}
