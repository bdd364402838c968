//! Presence of this home's users, over all of their devices (I8).
//!
//! Owns the states, the grace after the last session, and what of it the store is told. A user is online while somebody
//! used a connected device lately, away while none did, and offline a grace after the last session went: sessions
//! inherit their life from their node, so an end that nobody announced comes as the shard's word or not at all. Who is
//! told is `watchers`' to know.
//!
//! Deadlines are in their order, so a second costs what is due in it. A home takes for true what its predecessor stored
//! of users who have just come to it, for as long as their sessions may need to come back, partition by partition. A
//! session that comes back is nobody's use of a device: who was away stays so.

use std::collections::{BTreeMap, BTreeSet};

use schema::limits::{LEASE_MS, PARTITIONS, PRESENCE_ACTIVE_MS, PRESENCE_AWAY_MS, PRESENCE_GRACE_MS};
use schema::record::PresenceRecord;
use schema::{Instant, Now, Partition, PresenceEntry, PresenceState, UnixMs, UserId};

use crate::counters::Counter;
use crate::effects::Effects;
use crate::store::{Answer, PutPresence};
use crate::timers::NEVER;

/// Users whose presence is being stored at once: at some 10 ms each, 6,400 a second.
const SAVES_MAX: usize = 64;
/// Rows of users who are not here that are set right at once. Further ones are found again with the next question.
const UNSAVED_STALE_MAX: usize = 10_000;

/// Time for which what an earlier home stored is believed: its node may have lived for a lease, and sessions have the
/// grace to come back.
const BELIEVED_MS: u64 = LEASE_MS + PRESENCE_GRACE_MS;

/// One user who is present, or was until just now, in 32 bytes; as many as there are users with a session, or without
/// one for less than the grace, or whose last state is not stored yet.
#[derive(Debug)]
struct Person {
    state: PresenceState,
    /// Whether a session is open.
    is_here: bool,
    active_ms: UnixMs,
    /// The state in the record that the store was given last, and when it says that the user was active.
    stored: Option<PresenceState>,
    stored_active_ms: UnixMs,
    /// It is only taken to be that: a session came back, and nothing is written for it.
    is_assumed: bool,
    /// Or [`NEVER`].
    due: Instant,
}

impl Person {
    fn record(&self, now: Now) -> PresenceRecord {
        PresenceRecord { state: self.state, last_active_ms: self.active_ms, at_ms: now.wall }
    }

    /// Whether the store should be told.
    fn is_unsaved(&self) -> bool {
        self.stored.is_none_or(|stored| {
            stored != self.state || self.active_ms.since_ms(self.stored_active_ms) >= PRESENCE_ACTIVE_MS
        })
    }

    fn has_stored(&mut self, record: PresenceRecord) {
        (self.stored, self.stored_active_ms) = (Some(record.state), record.last_active_ms);
    }
}

#[derive(Debug)]
pub(crate) struct Presence {
    people: BTreeMap<UserId, Person>,
    deadlines: BTreeSet<(Instant, UserId)>,
    /// Users whose state is to be stored.
    unsaved: BTreeSet<UserId>,
    saving: BTreeSet<UserId>,
    /// Changes that are not taken yet.
    changed: Vec<PresenceEntry>,
    /// The instant until which a stored state is believed of a user who is not here, for each partition.
    believed_until: Box<[Instant]>,
}

impl Presence {
    pub(super) fn new(now: Now) -> Self {
        Self {
            people: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            unsaved: BTreeSet::new(),
            saving: BTreeSet::new(),
            changed: Vec::new(),
            believed_until: vec![now.mono.plus_ms(BELIEVED_MS); usize::from(PARTITIONS)].into(),
        }
    }

    /// These partitions have come here just now, with what is stored of their users. Whoever was here of them before is
    /// forgotten, and so is who has gone: their homes know better.
    pub(super) fn moved(&mut self, now: Now, has_moved: impl Fn(Partition) -> bool) {
        let gone = self.people.keys().copied().filter(|&user| has_moved(Partition::of_user(user)));
        for user in gone.collect::<Vec<_>>() {
            self.forget(user);
            self.unsaved.remove(&user);
        }
        for partition in Partition::all().filter(|&partition| has_moved(partition)) {
            self.believed_until[partition.index()] = now.mono.plus_ms(BELIEVED_MS);
        }
    }

    fn believed_until(&self, user: UserId) -> Instant {
        self.believed_until[Partition::of_user(user).index()]
    }

    /// A session of the user is open, and somebody uses its device.
    pub(super) fn came(&mut self, now: Now, user: UserId) {
        let person = self.people.entry(user).or_insert_with(|| Person {
            state: PresenceState::Offline,
            is_here: false,
            active_ms: now.wall,
            stored: None,
            stored_active_ms: UnixMs(0),
            is_assumed: false,
            due: NEVER,
        });
        person.is_here = true;
        self.active(now, user);
    }

    /// A session of the user is open, and was before: its device was last used then. What the store has of the user is
    /// taken to be this, and what its watchers were told too: where it is not, they hear with their next number.
    pub(super) fn came_back(&mut self, now: Now, user: UserId, used_ms: UnixMs) {
        let idle_ms = now.wall.since_ms(used_ms);
        let is_away = idle_ms >= PRESENCE_AWAY_MS;
        let state = if is_away { PresenceState::Away } else { PresenceState::Online };
        let person = self.people.entry(user).or_insert_with(|| Person {
            state,
            is_here: false,
            active_ms: used_ms,
            stored: Some(state),
            stored_active_ms: used_ms,
            is_assumed: true,
            due: NEVER,
        });
        let is_older = std::mem::replace(&mut person.is_here, true) && person.active_ms >= used_ms;
        if is_older {
            // Another of its devices has been used since.
            return;
        }
        person.active_ms = person.active_ms.max(used_ms);
        self.arm(user, if is_away { NEVER } else { now.mono.plus_ms(PRESENCE_AWAY_MS - idle_ms) });
        self.become_state(user, state);
    }

    /// The user's last session is gone.
    pub(super) fn went(&mut self, now: Now, user: UserId) {
        if let Some(person) = self.people.get_mut(&user).filter(|person| person.is_here) {
            person.is_here = false;
            self.arm(user, now.mono.plus_ms(PRESENCE_GRACE_MS));
        }
    }

    /// Somebody uses one of the user's devices.
    pub(super) fn active(&mut self, now: Now, user: UserId) {
        let Some(person) = self.people.get_mut(&user).filter(|person| person.is_here) else { return };
        person.active_ms = now.wall;
        self.arm(user, now.mono.plus_ms(PRESENCE_AWAY_MS));
        self.become_state(user, PresenceState::Online);
    }

    /// The presence of a user, as far as it is known without the store.
    pub(super) fn known(&self, user_id: UserId) -> Option<PresenceEntry> {
        let person = self.people.get(&user_id)?;
        Some(PresenceEntry { user_id, state: person.state, last_active_ms: person.active_ms })
    }

    /// The presence of a user, given what the store says of it.
    pub(super) fn entry(&mut self, user_id: UserId, stored: PresenceRecord, effects: &mut Effects) -> PresenceEntry {
        let now = effects.now;
        let entry = |state| PresenceEntry { user_id, state, last_active_ms: stored.last_active_ms };
        if let Some(person) = self.people.get_mut(&user_id) {
            if std::mem::take(&mut person.is_assumed) {
                person.has_stored(stored);
                if person.is_unsaved() {
                    self.unsaved.insert(user_id);
                }
            }
            let last_active_ms = person.active_ms.max(stored.last_active_ms);
            return PresenceEntry { user_id, state: person.state, last_active_ms };
        }
        if stored.state == PresenceState::Offline {
            return entry(stored.state);
        }
        // Its sessions ended with an earlier home, which could not say so any more.
        let believed_until = self.believed_until(user_id);
        let is_believed = now.mono < believed_until;
        let state = if is_believed { stored.state } else { PresenceState::Offline };
        if is_believed || self.unsaved.len() < UNSAVED_STALE_MAX {
            let (active_ms, stored_active_ms) = (stored.last_active_ms, stored.last_active_ms);
            let (is_here, is_assumed, stored, due) = (false, false, Some(stored.state), NEVER);
            let person = Person { state, is_here, active_ms, stored, stored_active_ms, is_assumed, due };
            self.people.insert(user_id, person);
            if is_believed {
                self.arm(user_id, believed_until);
            } else {
                self.unsaved.insert(user_id);
            }
        } else {
            effects.count(Counter::StalePresence);
        }
        entry(state)
    }

    /// A second has passed: who is due becomes away or offline, and what could not be stored is tried again.
    pub(super) fn tick(&mut self, effects: &mut Effects) {
        while let Some(&(at, user)) = self.deadlines.first().filter(|(at, _)| *at <= effects.now.mono) {
            self.deadlines.remove(&(at, user));
            let person = self.people.get_mut(&user).expect("who has a deadline is known");
            person.due = NEVER;
            let state = if person.is_here { PresenceState::Away } else { PresenceState::Offline };
            self.become_state(user, state);
        }
        self.save(effects);
    }

    fn become_state(&mut self, user: UserId, state: PresenceState) {
        let person = self.people.get_mut(&user).expect("its caller has found it");
        if person.state != state {
            person.state = state;
            self.changed.push(PresenceEntry { user_id: user, state, last_active_ms: person.active_ms });
        }
        if person.is_unsaved() {
            self.unsaved.insert(user);
        } else if person.state == PresenceState::Offline {
            self.forget(user);
        }
    }

    fn arm(&mut self, user: UserId, due: Instant) {
        let person = self.people.get_mut(&user).expect("its caller has found it");
        let earlier = std::mem::replace(&mut person.due, due);
        if earlier != NEVER {
            self.deadlines.remove(&(earlier, user));
        }
        if due != NEVER {
            self.deadlines.insert((due, user));
        }
    }

    fn forget(&mut self, user: UserId) {
        self.arm(user, NEVER);
        self.people.remove(&user);
    }

    /// Takes the changes since the last time.
    pub(super) fn take_changed(&mut self) -> Vec<PresenceEntry> {
        std::mem::take(&mut self.changed)
    }

    /// Stores what is not, as far as there is room; of one user one record at a time.
    pub(super) fn save(&mut self, effects: &mut Effects) {
        let mut later = Vec::new();
        while self.saving.len() < SAVES_MAX {
            let Some(user) = self.unsaved.pop_first() else { break };
            if self.saving.contains(&user) {
                later.push(user);
                continue;
            }
            let Some(person) = self.people.get(&user).filter(|person| person.is_unsaved()) else { continue };
            let record = person.record(effects.now);
            self.saving.insert(user);
            effects.ask(PutPresence { user, record }, (user, record));
        }
        self.unsaved.extend(later);
    }

    /// The store was told of a user, or could not be; then the next second tries again.
    pub(crate) fn saved(&mut self, answer: Answer<PutPresence>, effects: &mut Effects) {
        let Answer { waiter: (user, record), reply } = answer;
        self.saving.remove(&user);
        let Some(person) = self.people.get_mut(&user) else { return };
        if reply.is_err() {
            self.unsaved.insert(user);
            return;
        }
        person.has_stored(record);
        person.is_assumed = false;
        if person.is_unsaved() {
            self.unsaved.insert(user);
        } else if person.state == PresenceState::Offline {
            self.forget(user);
        }
        self.save(effects);
    }
}

#[cfg(test)]
pub(super) const PERSON_BYTES: usize = size_of::<(UserId, Person)>();
#[cfg(test)]
pub(super) const DEADLINE_BYTES: usize = size_of::<(Instant, UserId)>();
