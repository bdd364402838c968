//! The home of users: their arrivals, and the sessions that follow them.
//!
//! Owns one [`Follower`](user::Follower) for each session of its users. A session is a cursor: it asks for what comes
//! after, and is answered from what has just arrived if it is at the home's place, and from its inbox otherwise. There
//! is no border between the two (I6): an event is in `recent` if and only if it lies after `recent_from`, and whoever
//! asks from before that place is served from the store. It is the rows of arrivals, in the order of commits, that
//! decide what a session is given; `arrivals` reads them, `reads` the inboxes of those behind, `outbox` gathers the
//! answers. `users` has the sessions, `devices` registers them, `live` brings them notices that are in no inbox,
//! `feed_heads` those that their news feeds have grown,
//! `pushes` has the items for the phones of those without one, `moves` lets go of users whose home is another now.

mod arrivals;
mod devices;
mod feed_heads;
mod large;
mod live;
mod moves;
mod outbox;
mod presence;
mod pushes;
mod reads;
mod user;
mod users;
mod watchers;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use schema::mesh::{MeshBody, More};
use schema::page::Arrival;
use schema::record::PresenceRecord;
use schema::{ErrorCode, Event, Now, Owner, Partition, Position, Refusal, SessionId, Stamp, UserId};

use crate::counters::Counter;
use crate::effects::Effects;
use crate::ownership::moving;
use crate::store::{Answer, ReadArrivals, TrimInbox, Visible, waiters};

use arrivals::Arrivals;
pub(crate) use devices::Login;
use devices::{Noting, Returned};
use feed_heads::FeedHeads;
use large::Large;
use outbox::Outbox;
use presence::Presence;
use reads::{Read, Reads};
pub(crate) use user::Name;
use user::{Ask, Question, Served};
use users::Users;
use watchers::{VisibilityRead, Watchers};

waiters! {
    OpenInbox => Noting;
    ReadInbox => Read;
    Snapshot => Read;
    ReadArrivals => ();
    ClearArrivals => Stamp;
    TrimInbox => ();
    PutPresence => (UserId, PresenceRecord);
    Visible => VisibilityRead;
    LargeOf => UserId;
    FamiliesLive => Returned;
}

#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) arrivals: Arrivals,
    reads: Reads,
    users: Users,
    pub(crate) presence: Presence,
    pub(crate) watchers: Watchers,
    large: Large,
    feed_heads: FeedHeads,
    /// What is before this version may have arrived at earlier homes of users who have come here since: of them
    /// nothing is said but what is read from their inboxes at it or later.
    floor: u64,
    /// The account whose inbox was trimmed last.
    trimmed: Option<UserId>,
}

impl Home {
    pub(crate) fn new(now: Now) -> Self {
        Self {
            arrivals: Arrivals::default(),
            reads: Reads::default(),
            users: Users::default(),
            presence: Presence::new(now),
            watchers: Watchers::default(),
            large: Large::default(),
            feed_heads: FeedHeads::default(),
            floor: 0,
            trimmed: None,
        }
    }

    /// Accounts with a session.
    pub(crate) fn users(&self) -> usize {
        self.users.len()
    }

    /// Bytes of events that are held: from hints, and for sessions that will ask.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.users.recent_bytes() + u64::from(self.arrivals.hint_bytes())
    }

    /// A second has passed: looks at the arrivals without a hint, clears behind itself and repeats what failed.
    pub(crate) fn tick(&mut self, effects: &mut Effects) {
        self.arrivals.look(effects);
        self.arrivals.clear(effects);
        self.reads.retry();
        self.start_reads(effects);
        self.trim_next(effects);
        self.watchers.tick(effects);
        self.large.tick(effects);
        self.tell_feed_heads(effects);
        self.presence.tick(effects);
        self.notify_presence(effects);
    }

    /// Tells and stores what has changed of who is there.
    fn notify_presence(&mut self, effects: &mut Effects) {
        for entry in self.presence.take_changed() {
            self.watchers.notify(entry, effects);
        }
    }

    /// Somebody uses a session's device.
    pub(crate) fn active(&mut self, name: Name, effects: &mut Effects) {
        if self.users.is_let_in(name) {
            self.presence.active(effects.now, name.user);
            self.presence.save(effects);
            self.notify_presence(effects);
        }
    }

    /// The store has said who may be seen by whom.
    pub(crate) fn visible(&mut self, Answer { waiter, reply }: Answer<Visible>, effects: &mut Effects) {
        let is_ours = |user: UserId| effects.placement.owns(Partition::of_user(user));
        let (is_question, are_all_ours) = (waiter.is_question(), waiter.users.iter().all(|&user| is_ours(user)));
        let reply = if is_question && !are_all_ours { Err(moving("a user")) } else { reply };
        let mut shown = |(&user, stored): (&UserId, Option<_>)| {
            let stored = stored.filter(|_| are_all_ours || effects.placement.owns(Partition::of_user(user)));
            stored.map(|stored| self.presence.entry(user, stored, effects))
        };
        let found = reply.map(|found| waiter.users.iter().zip(found).map(&mut shown).collect());
        self.watchers.seen(waiter, found, effects);
    }

    /// Trims one account's inbox, each in its turn: a second for each, so that 80,000 accounts with a session are
    /// through in a day, and a storm of connects reads no inbox from end to end.
    fn trim_next(&mut self, effects: &mut Effects) {
        self.trimmed = self.users.next_after(self.trimmed);
        if let Some(user) = self.trimmed {
            effects.ask(TrimInbox { user }, ());
        }
    }

    /// The store has read arrivals.
    pub(crate) fn arrivals(&mut self, answer: Answer<ReadArrivals>, effects: &mut Effects) {
        let Some(taken) = self.arrivals.take(answer.reply, effects) else { return };
        let mut touched = BTreeSet::new();
        if taken.first {
            // What was in inboxes before this home knew its place comes from there.
            touched = self.users.start(self.start_place());
            for row in taken.rows {
                self.arrivals.missed(&row, |user| !self.users.is_here(user));
            }
        } else {
            for row in taken.rows {
                self.arrived(row, &mut touched, effects);
            }
        }
        let mut outbox = Outbox::default();
        for user in touched {
            self.serve_user(user, &mut outbox, effects);
        }
        outbox.flush(effects);
        self.large.start(effects);
        if taken.again {
            self.arrivals.look(effects);
        }
    }

    /// Hands one transaction's events to the accounts that have a session.
    fn arrived(&mut self, row: Arrival, touched: &mut BTreeSet<UserId>, effects: &mut Effects) {
        self.arrivals.missed(&row, |user| !self.users.is_here(user));
        let contents = row.contents.unwrap_or_default();
        let known: BTreeMap<Position, &Event> = contents.iter().map(|event| (event.position, event)).collect();
        for arrival in &row.record.events {
            let position = row.stamp.at(arrival.ordinal);
            // None of a hint that did not have all of its transaction.
            let event = known.get(&position).copied();
            for &user in row.record.audiences.get(usize::from(arrival.audience)).into_iter().flatten() {
                let Some(is_kept) = self.users.arrived(user, position, event) else { continue };
                self.large.arrived(user, &arrival.event);
                if !is_kept {
                    effects.count(Counter::Recent);
                }
                touched.insert(user);
            }
        }
    }

    /// A session watches users of this home. Of those whom it was shown before it is told, and now and then of all whom
    /// it sees, as far as they are known here.
    pub(crate) fn watch(
        &mut self,
        (owner, session): (Owner, SessionId),
        watcher: UserId,
        (number, users): (u32, Vec<UserId>),
        visible: &[UserId],
        effects: &mut Effects,
    ) {
        let seen = self.watchers.watch((owner, session), watcher, (number, users), visible, effects);
        let entries: Vec<_> = seen.into_iter().filter_map(|user| self.presence.known(user)).collect();
        if !entries.is_empty() {
            effects.mesh(owner, MeshBody::Watched { session, number, entries });
        }
    }

    /// A session asks what comes after its cursor. A later question replaces an earlier one.
    pub(crate) fn more(&mut self, owner: Owner, more: More, effects: &mut Effects) {
        let More { session, user, after, credit_bytes, snapshot } = more;
        let name = Name { user, owner, session };
        let question = Question { after, snapshot: snapshot.map(Box::new) };
        // One event of any size comes to the least of credits.
        let credit_bytes = NonZeroU32::new(credit_bytes).unwrap_or(NonZeroU32::MIN);
        if !self.users.ask(name, Ask { question, credit_bytes }) {
            return self.unknown(name, effects);
        }
        let mut outbox = Outbox::default();
        self.serve(name, &mut outbox, effects);
        outbox.flush(effects);
    }

    /// Refuses a session that is not known here, as its registration was lost or the home is new: it registers again,
    /// from where it is.
    fn unknown(&self, name: Name, effects: &mut Effects) {
        let start = Err(Refusal::new(ErrorCode::Moving, "this home does not know the session"));
        effects.mesh(name.owner, MeshBody::Registered { session: name.session, attempt: 0, start });
    }

    fn serve_user(&mut self, user_id: UserId, outbox: &mut Outbox, effects: &mut Effects) {
        for name in self.users.names(user_id) {
            self.serve(name, outbox, effects);
        }
    }

    /// Answers a session's question if there is something to say.
    fn serve(&mut self, name: Name, outbox: &mut Outbox, effects: &mut Effects) {
        // Until the first read of arrivals nothing is known to be all there is: the question waits for it.
        let Some(place) = self.place() else { return };
        match self.users.serve(name, place) {
            Served::Nothing => {}
            Served::Events { after, events, through } => outbox.put(name, after, events, through, effects),
            Served::FromStore => {
                self.users.wait_for(name, self.reads.enqueue(name));
                self.start_reads(effects);
            }
        }
    }
}

/// What the home of an account with one session takes.
#[cfg(test)]
pub(crate) const BYTES: [(&str, usize); 5] = [
    ("`User` by its id, at its home", size_of::<(UserId, user::User)>()),
    ("`Follower`: the session there", size_of::<user::Follower>()),
    ("the device's name there", 8),
    ("`Person` by its id: how present it is", presence::PERSON_BYTES),
    ("when it is away, while it is not yet", presence::DEADLINE_BYTES),
];
