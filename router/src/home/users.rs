//! Accounts of this home that have a session, and their sessions.
//!
//! Owns the table and what all recent events weigh together. Upholds that a device has one session, the newest, and an
//! account 16 devices at once: of two sessions of a device the later is the one whose connect the store has noted
//! later, since their shards' words come in any order. It knows no shard and no store: what is to be done comes back as
//! a value.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use schema::limits::DEVICES_OF_USER_MAX;
use schema::mesh::Kicked;
use schema::{DeviceId, ErrorCode, Event, Incarnation, Owner, Position, Refusal, SessionId, Stamp, UserId};

use crate::placement::by_owner;

use super::user::{Ask, Follower, Name, Question, Reading, Served, User};

/// Bytes of recent events of all users of one home.
///
/// A session that keeps up asks again at once, and what it was given is forgotten. What stays is for slow ones, 500 at
/// twice their outbound target; beyond it they read their inbox.
const RECENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Sessions of one account, those that are being opened too: each device's, and as many again in the moment in which
/// they connect anew.
const SESSIONS_OF_USER_MAX: usize = 2 * DEVICES_OF_USER_MAX as usize;
/// When to connect again if there are more.
const RETRY_MS: u32 = 1_000;

/// The accounts, by their ids.
#[derive(Debug, Default)]
pub(super) struct Users {
    users: BTreeMap<UserId, User>,
    /// Bytes that the users' recent events weigh together.
    recent_bytes: u64,
}

/// Remains of a session that is gone.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// The read of the store for it.
    pub(super) reading: Option<Reading>,
    /// Whether its account has no session left that was let in.
    pub(super) is_absent: bool,
    /// Whether its account has no session left.
    pub(super) is_last: bool,
}

impl Users {
    /// Accounts with a session.
    pub(super) fn len(&self) -> usize {
        self.users.len()
    }

    /// Bytes that recent events weigh.
    pub(super) fn recent_bytes(&self) -> u64 {
        self.recent_bytes
    }

    fn follower_mut(&mut self, name: Name) -> Option<&mut Follower> {
        self.users.get_mut(&name.user)?.follower_mut(name)
    }

    /// Takes a session on whose account's arrivals are known from `place` on, in place of itself if it is here. Returns
    /// what was read for that, and a refusal if there is no room.
    pub(super) fn register(
        &mut self,
        name: Name,
        device: DeviceId,
        (family, attempt): (u64, u32),
        place: Position,
    ) -> (Option<Reading>, Result<(), Refusal>) {
        let user = self.users.entry(name.user).or_insert_with(|| User::new(place));
        let earlier = user.take(name).map(|itself| itself.reading);
        let room = has_room(user, &device);
        if room.is_ok() {
            user.follow(Follower::new(name, device, family, attempt));
        }
        (earlier, room)
    }

    /// The store has noted that a session's device connected. Returns the sessions of the device that this one, or a
    /// later one, takes the place of; none if the session is gone.
    pub(super) fn noted(&mut self, name: Name, stamp: Stamp) -> Option<Vec<(Owner, SessionId, Reading)>> {
        let user = self.users.get_mut(&name.user)?;
        let follower = user.follower_mut(name)?;
        follower.stamp = follower.stamp.max(Some(stamp));
        let device = follower.device.clone();
        let older = user.replaced(&device).into_iter();
        Some(older.map(|follower| (follower.owner, follower.session, follower.reading)).collect())
    }

    /// Forgets a session.
    pub(super) fn unregister(&mut self, name: Name) -> Option<Gone> {
        let user = self.users.get_mut(&name.user)?;
        let reading = user.take(name).map(|follower| follower.reading);
        let is_absent = user.followers.iter().all(|follower| follower.stamp.is_none());
        let is_last = user.followers.is_empty();
        if is_last {
            self.recent_bytes -= u64::from(user.recent_bytes());
            self.users.remove(&name.user);
        }
        Some(Gone { reading, is_absent, is_last })
    }

    /// Forgets an account with its sessions. Returns their reads of the store.
    pub(super) fn forget(&mut self, id: UserId) -> Vec<Reading> {
        let Some(user) = self.users.remove(&id) else { return Vec::new() };
        self.recent_bytes -= u64::from(user.recent_bytes());
        user.followers.iter().map(|follower| follower.reading).collect()
    }

    /// The accounts of which this holds.
    pub(super) fn of(&self, is_meant: impl Fn(UserId) -> bool) -> Vec<UserId> {
        self.users.keys().copied().filter(|&user| is_meant(user)).collect()
    }

    /// The sessions that a node holds.
    pub(super) fn of_node(&self, peer: Incarnation) -> Vec<Name> {
        let all = self.users.iter().flat_map(|(&id, user)| user.followers.iter().map(move |one| one.name(id)));
        all.filter(|name| name.owner.incarnation == peer).collect()
    }

    /// Whether an account has a session, be it one that is being opened.
    pub(super) fn contains(&self, user: UserId) -> bool {
        self.users.contains_key(&user)
    }

    /// Whether an account has a session that was let in: one that is being opened may yet be refused.
    pub(super) fn is_here(&self, user: UserId) -> bool {
        self.users.get(&user).is_some_and(|user| user.followers.iter().any(|follower| follower.stamp.is_some()))
    }

    /// Whether a session is here, and this its last word about itself.
    pub(super) fn is_last_word(&mut self, name: Name, attempt: u32) -> bool {
        self.follower_mut(name).is_some_and(|follower| follower.attempt == attempt)
    }

    /// Whether a session was let in.
    pub(super) fn is_let_in(&mut self, name: Name) -> bool {
        self.follower_mut(name).is_some_and(|follower| follower.stamp.is_some())
    }

    /// The sessions of a device or a login.
    pub(super) fn sessions_of(&self, user: UserId, whose: &Kicked) -> impl Iterator<Item = (Owner, SessionId)> {
        let is_theirs = move |follower: &&Follower| match whose {
            Kicked::Device(device) => follower.device == *device,
            Kicked::Family(family) => follower.family == *family,
            Kicked::Account { .. } => true,
        };
        let followers = self.users.get(&user).into_iter().flat_map(|user| &user.followers);
        followers.filter(is_theirs).map(|follower| (follower.owner, follower.session))
    }

    /// The sessions of these users but one, by their shards.
    pub(super) fn sessions(&self, users: &[UserId], but: Option<UserId>) -> BTreeMap<Owner, Vec<SessionId>> {
        let users = users.iter().filter(|&&user| Some(user) != but).filter_map(|user| self.users.get(user));
        by_owner(users.flat_map(|user| &user.followers).map(|follower| (follower.owner, follower.session)))
    }

    /// The names of an account's sessions.
    pub(super) fn names(&self, user: UserId) -> Vec<Name> {
        let followers = self.users.get(&user).into_iter().flat_map(|user| &user.followers);
        followers.map(|follower| follower.name(user)).collect()
    }

    /// The account behind this one, in turn.
    pub(super) fn next_after(&self, user: Option<UserId>) -> Option<UserId> {
        let after = user.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.users.range((after, Bound::Unbounded)).next().or_else(|| self.users.first_key_value());
        next.map(|(&user, _)| user)
    }

    /// Arrivals are known from `place` on only. Returns all accounts.
    pub(super) fn start(&mut self, place: Position) -> BTreeSet<UserId> {
        self.users.values_mut().for_each(|user| user.start(place));
        self.users.keys().copied().collect()
    }

    /// The next event of an account's inbox, with its content if that is here. Returns whether it was kept; none if
    /// the account has no session. What is not kept is read from the inbox by whoever needs it.
    pub(super) fn arrived(&mut self, id: UserId, position: Position, event: Option<&Event>) -> Option<bool> {
        let event = event.filter(|_| self.recent_bytes < RECENT_BYTES_MAX);
        let user = self.users.get_mut(&id)?;
        self.recent_bytes -= u64::from(user.recent_bytes());
        match event {
            Some(event) => user.arrived(event.clone()),
            None => user.unknown_through(position),
        }
        self.recent_bytes += u64::from(user.recent_bytes());
        Some(event.is_some())
    }

    /// A session asks. Returns whether it is here.
    pub(super) fn ask(&mut self, name: Name, ask: Ask) -> bool {
        let Some(user) = self.users.get_mut(&name.user) else { return false };
        let Some(follower) = user.follower_mut(name) else { return false };
        follower.ask = Some(ask);
        self.recent_bytes -= u64::from(user.recent_bytes());
        user.forget_served();
        self.recent_bytes += u64::from(user.recent_bytes());
        true
    }

    /// Answers a session's question if it can be answered from here.
    pub(super) fn serve(&mut self, name: Name, place: Position) -> Served {
        self.users.get_mut(&name.user).map_or(Served::Nothing, |user| user.serve(name, place))
    }

    /// A session waits for the read of this number.
    ///
    /// # Panics
    /// If it is not here.
    pub(super) fn wait_for(&mut self, name: Name, number: u64) {
        self.follower_mut(name).expect("it asked").reading = Reading::Waiting(number);
    }

    /// The read of this number begins for a session that waits for it. Returns its question, and whether none of its
    /// questions has been answered yet.
    ///
    /// # Panics
    /// If it is not here or has no question open.
    pub(super) fn begin_read(&mut self, name: Name, number: u64) -> (Ask, bool) {
        let follower = self.follower_mut(name).expect("I12: who leaves takes its place in the queue along");
        follower.reading = Reading::UnderWay(number);
        let ask = follower.ask.clone().expect("I12: who waits has a question open");
        (ask, follower.first)
    }

    /// A read ended, with an answer to the question or without. Returns whether the session still waited for it:
    /// another of the same name may have come since, whose reads have other numbers.
    pub(super) fn end_read(&mut self, name: Name, number: u64, question: &Question, is_answered: bool) -> bool {
        let follower = self.follower_mut(name);
        let Some(follower) = follower.filter(|follower| follower.reading == Reading::UnderWay(number)) else {
            return false;
        };
        if is_answered {
            follower.reading = Reading::No;
            follower.first = false;
            follower.ask.take_if(|ask| ask.question == *question);
        } else {
            follower.reading = Reading::Waiting(number);
        }
        true
    }
}

/// Whether one more session of this device may be there.
fn has_room(user: &User, device: &DeviceId) -> Result<(), Refusal> {
    let others: BTreeSet<&DeviceId> = user.followers.iter().map(|follower| &follower.device).collect();
    if others.len() >= DEVICES_OF_USER_MAX as usize && !others.contains(device) {
        let message = format!("the account has {DEVICES_OF_USER_MAX} devices connected, the limit");
        return Err(Refusal::new(ErrorCode::LimitExceeded, message));
    }
    if user.followers.len() >= SESSIONS_OF_USER_MAX {
        let message = format!("the account opens {SESSIONS_OF_USER_MAX} sessions at once, connect again later");
        return Err(Refusal::new(ErrorCode::Overloaded, message).after_ms(RETRY_MS));
    }
    Ok(())
}
