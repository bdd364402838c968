//! One account with sessions, at its home: its recent events and who follows them.
//!
//! Owns the rule of I6 on this side: `recent` holds every event after `recent_from` and up to the home's place, in
//! order.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use schema::limits::{OUTBOUND_BYTES_TARGET, RECENT_EVENTS_MAX};
use schema::mesh::SnapshotPlace;
use schema::{DeviceId, Event, Owner, Position, SessionId, Stamp, UserId};

/// A session as its home knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    /// The account.
    pub(crate) user: UserId,
    /// The shard that holds the connection.
    pub(crate) owner: Owner,
    /// The session there.
    pub(crate) session: SessionId,
}

/// A session's question: for the events after a place, or for the next page of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) after: Position,
    /// Boxed because hardly any session is ever in one.
    pub(super) snapshot: Option<Box<SnapshotPlace>>,
}

/// A session's open question.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) question: Question,
    pub(super) credit_bytes: NonZeroU32,
}

/// Whether the store is read for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// It is not.
    No,
    /// It will be: the read of this number waits for room, or for the next second.
    Waiting(u64),
    /// By the read of this number.
    UnderWay(u64),
}

/// One session that follows the inbox.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) owner: Owner,
    pub(super) session: SessionId,
    pub(super) device: DeviceId,
    /// The login that opened it.
    pub(super) family: u64,
    /// The transaction that noted that its device connected, once there is one.
    pub(super) stamp: Option<Stamp>,
    pub(super) ask: Option<Ask>,
    pub(super) reading: Reading,
    /// No question has been answered yet.
    pub(super) first: bool,
    /// The session's number for its last word about itself.
    pub(super) attempt: u32,
}

impl Follower {
    pub(super) fn new(name: Name, device: DeviceId, family: u64, attempt: u32) -> Self {
        let Name { owner, session, .. } = name;
        let (stamp, ask, reading, first) = (None, None, Reading::No, true);
        Self { owner, session, device, family, stamp, ask, reading, first, attempt }
    }

    pub(super) fn is(&self, name: Name) -> bool {
        self.owner == name.owner && self.session == name.session
    }

    pub(super) fn name(&self, user: UserId) -> Name {
        Name { user, owner: self.owner, session: self.session }
    }
}

/// The outcome of a question at this moment.
pub(super) enum Served {
    /// Nothing has come, or an answer is under way.
    Nothing,
    /// These, from what has just arrived.
    Events { after: Position, events: Vec<Event>, through: Position },
    /// The asked place is before what is here.
    FromStore,
}

#[derive(Debug)]
pub(super) struct User {
    pub(super) followers: Vec<Follower>,
    recent: VecDeque<Event>,
    recent_bytes: u32,
    recent_from: Position,
}

impl User {
    /// An account whose arrivals are known from `place` on.
    pub(super) fn new(place: Position) -> Self {
        Self { followers: Vec::new(), recent: VecDeque::new(), recent_bytes: 0, recent_from: place }
    }

    /// Arrivals are known from `place` on only: what lies before it is in the inbox.
    pub(super) fn start(&mut self, place: Position) {
        self.recent.clear();
        self.recent_bytes = 0;
        self.recent_from = place;
    }

    /// Bytes that the recent events weigh.
    pub(super) fn recent_bytes(&self) -> u32 {
        self.recent_bytes
    }

    /// One more session. Accounts have one device here most of the time, and a vector that grows by itself holds four.
    pub(super) fn follow(&mut self, follower: Follower) {
        self.followers.reserve_exact(1);
        self.followers.push(follower);
    }

    pub(super) fn follower_mut(&mut self, name: Name) -> Option<&mut Follower> {
        self.followers.iter_mut().find(|follower| follower.is(name))
    }

    /// Takes a session out.
    pub(super) fn take(&mut self, name: Name) -> Option<Follower> {
        let at = self.followers.iter().position(|follower| follower.is(name))?;
        Some(self.followers.swap_remove(at))
    }

    /// Takes out the sessions of this device that another has taken the place of.
    pub(super) fn replaced(&mut self, device: &DeviceId) -> Vec<Follower> {
        let of_device = |follower: &Follower| follower.device == *device;
        let newest = self.followers.iter().filter(|follower| of_device(follower)).filter_map(|one| one.stamp).max();
        let is_older =
            |follower: &mut Follower| of_device(follower) && follower.stamp.is_some_and(|stamp| Some(stamp) < newest);
        self.followers.extract_if(.., is_older).collect()
    }

    fn newest(&self) -> Position {
        self.recent.back().map_or(self.recent_from, |event| event.position)
    }

    /// The next event of the inbox. Beyond its bounds the oldest is left to the store.
    pub(super) fn arrived(&mut self, event: Event) {
        if event.position <= self.recent_from {
            return;
        }
        if event.position <= self.newest() {
            let is_here = self.recent.binary_search_by_key(&event.position, |event| event.position).is_ok();
            if !is_here {
                // Rows out of order: what is here is not all, so it is left to the store (I6).
                self.unknown_through(event.position);
            }
            return;
        }
        self.recent_bytes += event.weight_bytes();
        self.recent.push_back(event);
        while self.recent.len() > RECENT_EVENTS_MAX as usize || self.over_bytes() {
            self.forget_oldest();
        }
    }

    /// Twice what a session may have queued: beyond that it is slow, and reads its inbox. One event always stays.
    fn over_bytes(&self) -> bool {
        self.recent_bytes > OUTBOUND_BYTES_TARGET * 2 && self.recent.len() > 1
    }

    /// Something arrived whose content is not here.
    pub(super) fn unknown_through(&mut self, position: Position) {
        self.start(self.newest().max(position));
    }

    /// Forgets what every session has asked beyond.
    pub(super) fn forget_served(&mut self) {
        let past = |follower: &Follower| follower.ask.as_ref().map(|ask| ask.question.after);
        let all_past = self.followers.iter().map(past).min().flatten();
        while let (Some(past), Some(oldest)) = (all_past, self.recent.front()) {
            if oldest.position > past {
                break;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(event) = self.recent.pop_front() {
            self.recent_bytes -= event.weight_bytes();
            self.recent_from = event.position;
        }
    }

    /// Answers a session's question if it can be answered from here. One that is not let in yet waits.
    pub(super) fn serve(&mut self, name: Name, place: Position) -> Served {
        let is_meant = |follower: &&mut Follower| follower.is(name) && follower.stamp.is_some();
        let Some(follower) = self.followers.iter_mut().find(is_meant) else { return Served::Nothing };
        let Some(ask) = follower.ask.as_ref().filter(|_| follower.reading == Reading::No) else {
            return Served::Nothing;
        };
        let after = ask.question.after;
        if ask.question.snapshot.is_some() || after < self.recent_from {
            return Served::FromStore;
        }
        let mut events = Vec::new();
        let mut bytes = 0_u32;
        let mut all = true;
        let newer = self.recent.partition_point(|event| event.position <= after);
        for event in self.recent.range(newer..) {
            bytes = bytes.saturating_add(event.weight_bytes());
            if !events.is_empty() && bytes > ask.credit_bytes.get() {
                all = false;
                break;
            }
            events.push(event.clone());
        }
        let Some(last) = events.last() else { return Served::Nothing };
        let through = if all { place.max(last.position) } else { last.position };
        follower.ask = None;
        follower.first = false;
        Served::Events { after, events, through }
    }
}

#[cfg(test)]
mod tests {
    use schema::{Incarnation, ShardIndex};

    use super::*;

    #[test]
    fn an_account_with_one_session_takes_the_room_of_one() {
        let owner = Owner { incarnation: Incarnation(1), shard: ShardIndex(0) };
        let mut user = User::new(Position::START);
        for session in 1..=3 {
            let name = Name { user: UserId(1), owner, session: SessionId(session) };
            user.follow(Follower::new(name, "phone".parse().expect("a device"), 0, 1));
            assert_eq!(user.followers.capacity(), user.followers.len());
        }
    }
}
