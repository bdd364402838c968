//! The effects of a batch: what its transaction writes, and what is told once it has committed.
//!
//! Owns the rows of inboxes and arrivals. Upholds I6: an event's ordinal is its place among the events of its
//! transaction, so its position is equal for all members, and an inbox follows the order of commits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use schema::mesh::LiveEvent;
use schema::record::{ArrivalEvent, ArrivalRecord, EventRecord, EventRecordBody, ReadMarkRecord};
use schema::{ChannelId, Event, EventBody, Message, OpReply, Owner, Refusal, Seq, Stamp, UserId, View};

use crate::{content, hooks, keys, packed};
use kv::transaction::{Atomic, RangeRequest, Transaction};

/// Something that happened, and whom it is told.
#[derive(Debug)]
pub(super) struct Happened {
    pub(super) event: EventRecord,
    /// The content, where the event names a message.
    pub(super) message: Option<Arc<Message>>,
    pub(super) audience: Arc<[UserId]>,
}

/// Something that a hook is to be told.
#[derive(Debug)]
pub(super) struct Hooked {
    pub(super) hook: u64,
    pub(super) partition: u16,
    pub(super) value: Bytes,
}

/// What one transaction does.
#[derive(Debug)]
pub(super) struct Effects {
    pub(super) writes: BTreeMap<Vec<u8>, Option<Bytes>>,
    /// Cleared after the writes: nothing is written there any more.
    pub(super) cleared: Vec<RangeRequest>,
    pub(super) marks: BTreeMap<(UserId, ChannelId), Seq>,
    pub(super) joined: BTreeMap<UserId, i64>,
    /// What is counted of posts, by key.
    pub(super) counted: BTreeMap<Vec<u8>, i64>,
    /// In the order of their ordinals.
    pub(super) happened: Vec<Happened>,
    /// The arrivals by home shard.
    pub(super) arrivals: BTreeMap<Owner, ArrivalRecord>,
    /// What is told live once this has committed, also if there is nothing to commit.
    pub(super) live: Vec<(Owner, Vec<LiveEvent>)>,
    /// What happened in large channels.
    pub(super) feeds: Vec<(ChannelId, Vec<EventBody>)>,
    /// What hooks are to be told of it, in order.
    pub(super) hooked: Vec<Hooked>,
    /// One for each operation that was decided, in their order.
    pub(super) replies: Vec<(u64, Result<OpReply, Refusal>)>,
    pub(super) members_changed: Vec<ChannelId>,
}

impl Effects {
    /// Whether there is nothing to commit: every operation was refused, repeated, without effect or told live alone.
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.marks.is_empty() && self.joined.is_empty() && self.happened.is_empty()
    }

    /// Writes all of it but the batch row.
    pub(super) fn write<T: Transaction>(&self, tx: &mut T) {
        for (key, value) in &self.writes {
            match value {
                Some(value) => tx.set(key, value),
                None => tx.clear(key),
            }
        }
        for range in &self.cleared {
            tx.clear_range(&range.begin, &range.end);
        }
        for (&(user, channel), &seq) in &self.marks {
            tx.atomic(Atomic::Max, &keys::read(user, channel), &ReadMarkRecord { seq }.encode());
        }
        for (&user, &change) in &self.joined {
            tx.atomic(Atomic::Add, &keys::joined(user), &packed::counter_change(change));
        }
        for (key, &change) in &self.counted {
            tx.atomic(Atomic::Add, key, &packed::counter_change(change));
        }
        for (ordinal, happened) in self.numbered() {
            let value = happened.event.encode();
            for &user in &*happened.audience {
                tx.set_versionstamped_key(&keys::inbox_prefix(user), &ordinal.to_be_bytes(), &value);
            }
        }
        for (&home, arrival) in &self.arrivals {
            tx.set_versionstamped_key(&keys::arrival_prefix(home), &[], &arrival.encode());
        }
        let mut lanes = BTreeSet::new();
        for (ordinal, &Hooked { hook, partition, ref value }) in (0..=u16::MAX).zip(&self.hooked) {
            hooks::put(tx, (hook, partition), ordinal, value);
            if lanes.insert((hook, partition)) {
                hooks::mark(tx, (hook, partition));
            }
        }
    }

    /// What each home shard concerned is told, once it has committed at `stamp`.
    pub(super) fn hints(&self, stamp: Stamp) -> Vec<(Owner, Stamp, Vec<Event>)> {
        let events: Vec<Event> = self
            .numbered()
            .map(|(ordinal, happened)| Event {
                position: stamp.at(ordinal),
                channel: happened.event.channel,
                body: happened.content(),
            })
            .collect();
        let told = |(&home, arrival): (&Owner, &ArrivalRecord)| {
            let ordinals = arrival.events.iter().map(|event| usize::from(event.ordinal));
            (home, stamp, ordinals.map(|ordinal| events[ordinal].clone()).collect())
        };
        self.arrivals.iter().map(told).collect()
    }

    fn numbered(&self) -> impl Iterator<Item = (u16, &Happened)> {
        (0..=u16::MAX).zip(&self.happened)
    }
}

/// What one home shard hears of a transaction.
#[derive(Debug, Default)]
struct HomeDraft {
    record: ArrivalRecord,
    audiences: BTreeMap<Vec<UserId>, u16>,
}

impl HomeDraft {
    /// The number of a list of users, which is new or was there.
    fn audience(&mut self, users: Vec<UserId>) -> u16 {
        let next = u16::try_from(self.record.audiences.len()).expect("at most one for each of 8,000 rows");
        *self.audiences.entry(users).or_insert_with_key(|users| {
            self.record.audiences.push(users.clone());
            next
        })
    }
}

/// The arrivals by home shard. Audiences are listed once, since most of a batch's events share one.
pub(super) fn arrivals(happened: &[Happened], view: &View) -> BTreeMap<Owner, ArrivalRecord> {
    let mut homes: BTreeMap<Owner, HomeDraft> = BTreeMap::new();
    let mut split: BTreeMap<&[UserId], Vec<(Owner, u16)>> = BTreeMap::new();
    for (ordinal, happened) in (0..=u16::MAX).zip(happened) {
        let parts = split.entry(&happened.audience).or_insert_with(|| {
            let mut by_home: BTreeMap<Owner, Vec<UserId>> = BTreeMap::new();
            for &user in &*happened.audience {
                by_home.entry(view.home_of_user(user)).or_default().push(user);
            }
            by_home.into_iter().map(|(home, users)| (home, homes.entry(home).or_default().audience(users))).collect()
        });
        for &(home, audience) in parts.iter() {
            let record = &mut homes.get_mut(&home).expect("made with its audience").record;
            record.events.push(ArrivalEvent { ordinal, audience, event: happened.event.clone() });
        }
    }
    homes.into_iter().map(|(home, draft)| (home, draft.record)).collect()
}

impl Happened {
    fn content(&self) -> EventBody {
        content(&self.event.body, self.message.as_ref())
    }
}

/// What an event tells, with the message that it names.
///
/// # Panics
/// If it names one, and there is none.
pub(super) fn content(event: &EventRecordBody, message: Option<&Arc<Message>>) -> EventBody {
    content::event_body(event.clone(), |_seq, _revision| message.cloned()).expect("put in by the operation")
}
