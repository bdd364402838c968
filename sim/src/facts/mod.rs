//! Facts of what clients did and saw: the evidence that the checkers judge.
//!
//! Owns no judgement. Every fact bears its number in the order of the whole run, which is exact, since a run is one
//! thread.

mod debts;
mod feeds;
mod memberships;
mod operations;
mod presence;
mod revocations;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schema::{ChannelId, ClientMsgId, DeviceId, Event, EventBody, Message, Position, Push, Seq, UserId};

use crate::outcome::Violation;

pub(crate) use debts::{Debt, Debts, Standstill};
pub(crate) use feeds::{Feed, Feeds};
pub(crate) use memberships::{Answer, MemberChange};
pub(crate) use operations::{Done, Operation};
pub(crate) use presence::{Presence, PresenceSeen};
use revocations::{Connection, Revocation};

/// The key of rules 1 and 6: one message that a user wrote, or one operation on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) user: UserId,
    pub(crate) channel: ChannelId,
    pub(crate) id: ClientMsgId,
}

/// A message as its writer knows it.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) body: Arc<str>,
    /// When it was first sent.
    pub(crate) first: u64,
    pub(crate) first_ms: u64,
    /// How often it was sent.
    pub(crate) attempts: u32,
    /// The connection on which it was first sent.
    pub(crate) conn: (DeviceId, u32),
}

/// The reply to a send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ack {
    pub(crate) key: Key,
    pub(crate) seq: Seq,
    /// When it came.
    pub(crate) at: u64,
    pub(crate) duplicate: bool,
}

/// A message that a client saw, in a push or in a page of history, as it was then.
#[derive(Debug, Clone)]
pub(crate) struct Sighting {
    pub(crate) by: DeviceId,
    pub(crate) user: UserId,
    pub(crate) message: Arc<Message>,
    /// When.
    pub(crate) at: u64,
    /// If it came by the inbox: when the connection began on which it came.
    pub(crate) pushed_since: Option<u64>,
}

/// What a device was pushed since its base, which is what it holds: a device that forgets goes back in both.
#[derive(Debug, Clone)]
pub(crate) struct Pushed {
    pub(crate) user: UserId,
    /// Where it began: its first cursor, or that of its last snapshot.
    pub(crate) base: Position,
    pub(crate) events: Vec<Event>,
}

/// How a device stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) is_live: bool,
    /// Whether it reads what comes.
    pub(crate) listens: bool,
    pub(crate) unsent: usize,
    pub(crate) unanswered: usize,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    next: u64,
    pub(crate) written: BTreeMap<Key, Written>,
    pub(crate) acks: Vec<Ack>,
    /// Sends that were refused for good.
    pub(crate) refused: BTreeMap<Key, u16>,
    /// What was done to messages.
    pub(crate) operations: BTreeMap<Key, Operation>,
    pub(crate) feeds: Feeds,
    /// Who was added to groups and removed from them, in the order in which that was asked for.
    pub(crate) memberships: Vec<MemberChange>,
    pub(crate) revocations: Vec<Revocation>,
    pub(crate) connections: Vec<Connection>,
    /// Which of these a device has now.
    present: BTreeMap<DeviceId, usize>,
    /// Lives of nodes that go on.
    lives: BTreeSet<u64>,
    pub(crate) presence: Presence,
    pub(crate) sightings: Vec<Sighting>,
    pub(crate) pushed: BTreeMap<DeviceId, Pushed>,
    pub(crate) standing: BTreeMap<DeviceId, Standing>,
    pub(crate) debts: Debts,
    /// What a client itself saw to be wrong.
    pub(crate) complaints: Vec<Violation>,
    pub(crate) connects: u64,
    pub(crate) snapshots: u64,
}

impl Facts {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A message leaves for the node.
    pub(crate) fn sent(&mut self, key: Key, body: &Arc<str>, conn: (DeviceId, u32), now_ms: u64) {
        let first = self.number();
        let written = Written { body: Arc::clone(body), first, first_ms: now_ms, attempts: 0, conn };
        self.written.entry(key).or_insert(written).attempts += 1;
    }

    pub(crate) fn acknowledged(&mut self, key: Key, seq: Seq, duplicate: bool) {
        let at = self.number();
        self.acks.push(Ack { key, seq, at, duplicate });
    }

    /// The device starts at the newest, and holds nothing.
    pub(crate) fn started(&mut self, device: &DeviceId, user: UserId, base: Position) {
        self.pushed.insert(device.clone(), Pushed { user, base, events: Vec::new() });
    }

    /// An event of the inbox came.
    pub(crate) fn pushed(&mut self, device: &DeviceId, position: Position, push: &Push) {
        if let Some((channel, body)) = push.to_event() {
            self.event_came(device, Event { position, channel, body });
        }
    }

    /// The same, as the store told it.
    pub(crate) fn event_came(&mut self, device: &DeviceId, event: Event) {
        let pushed = self.pushed.get_mut(device).expect("a device is pushed after it started");
        let user = pushed.user;
        let message = match &event.body {
            EventBody::Message(message) | EventBody::Edited(message) => Some(Arc::clone(message)),
            EventBody::Deleted { .. }
            | EventBody::Reaction { .. }
            | EventBody::Membership { .. }
            | EventBody::Read { .. } => None,
        };
        pushed.events.push(event);
        if let Some(message) = message {
            self.saw(device, user, message);
            let since = self.connected_since(device);
            self.sightings.last_mut().expect("it was just seen").pushed_since = since;
        }
    }

    /// A client was shown a message.
    pub(crate) fn saw(&mut self, by: &DeviceId, user: UserId, message: Arc<Message>) {
        let at = self.number();
        self.sightings.push(Sighting { by: by.clone(), user, message, at, pushed_since: None });
    }

    /// The device forgets the last `count` events that it holds. Its cursor is then this one.
    pub(crate) fn forgot(&mut self, device: &DeviceId, count: usize) -> Position {
        let pushed = self.pushed.get_mut(device).expect("a device forgets after it started");
        pushed.events.truncate(pushed.events.len().saturating_sub(count));
        pushed.events.last().map_or(pushed.base, |event| event.position)
    }

    pub(crate) fn complain(&mut self, invariant: &str, finding: String) {
        self.complaints.push(Violation::new(invariant, finding));
    }
}
