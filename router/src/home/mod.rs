//! The home of users: their arrivals, and the sessions that follow them.
//!
//! Owns one [`Follower`] for each session of its users. A session is a cursor: it asks for what comes after, and is
//! answered from what has just arrived if it is at the home's place, and from its inbox otherwise. There is no border
//! between the two (I6): an event is in `recent` if and only if it lies after `recent_from`, and whoever asks from
//! before that place is served from the store. It is the rows of arrivals, in the order of commits, that decide what a
//! session is given; `arrivals` reads them, `reads` the inboxes of those behind, `outbox` gathers the answers.
//! `devices` says which sessions there are, `telling` what they are told that is in no inbox, `pushes` what the phones
//! of those without one are.

mod arrivals;
mod devices;
mod large;
mod outbox;
mod presence;
mod pushes;
mod reads;
mod telling;
mod user;
mod watchers;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use schema::mesh::{MeshBody, More};
use schema::page::Arrival;
use schema::record::PresenceRecord;
use schema::{ErrorCode, Event, Now, Owner, Position, Refusal, SessionId, Stamp, UserId};

use crate::counters::Counter;
use crate::effects::Effects;
use crate::store::{Answer, ClearArrivals, PutPresence, ReadArrivals, TrimInbox, Visible, waiters};

use arrivals::Arrivals;
pub(crate) use devices::Login;
use large::Large;
use outbox::Outbox;
use presence::Presence;
use reads::{Read, Reads};
pub(crate) use user::Name;
use user::{Ask, Question, Served, User};
use watchers::{Sight, Watchers};

/// Bytes of recent events of all users of one home.
///
/// A session that keeps up asks again at once, and what it was given is forgotten. What stays is for slow ones, 500 at
/// twice their outbound target; beyond it they read their inbox.
const RECENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

waiters! {
    OpenInbox => Name;
    ReadInbox => Read;
    Snapshot => Read;
    ReadArrivals => ();
    ClearArrivals => Stamp;
    TrimInbox => ();
    PutPresence => (UserId, PresenceRecord);
    Visible => Sight;
    LargeOf => UserId;
}

#[derive(Debug)]
pub(crate) struct Home {
    arrivals: Arrivals,
    reads: Reads,
    users: BTreeMap<UserId, User>,
    presence: Presence,
    watchers: Watchers,
    large: Large,
    /// Bytes that the users' recent events weigh together.
    recent_bytes: u64,
    /// The account whose inbox was trimmed last.
    trimmed: Option<UserId>,
}

impl Home {
    pub(crate) fn new(now: Now) -> Self {
        Self {
            arrivals: Arrivals::default(),
            reads: Reads::default(),
            users: BTreeMap::new(),
            presence: Presence::new(now),
            watchers: Watchers::default(),
            large: Large::default(),
            recent_bytes: 0,
            trimmed: None,
        }
    }

    /// Accounts with a session.
    pub(crate) fn users(&self) -> usize {
        self.users.len()
    }

    /// Bytes of events that are held: from hints, and for sessions that will ask.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.recent_bytes + u64::from(self.arrivals.hint_bytes())
    }

    /// A second has passed: looks at the arrivals without a hint, clears behind itself and repeats what failed.
    pub(crate) fn tick(&mut self, now: Now, effects: &mut Effects) {
        self.arrivals.look(effects);
        self.arrivals.clear(effects);
        self.reads.retry();
        self.start_reads(effects);
        self.trim_next(effects);
        self.watchers.tick(now.mono, effects);
        self.large.tick(now.mono, effects);
        self.presence.tick(now, effects);
        self.tell_presence(effects);
    }

    /// Users whose presence is watched, each as often as it is.
    pub(crate) fn watched(&self) -> usize {
        self.watchers.total()
    }

    /// Tells and stores what has changed of who is there.
    fn tell_presence(&mut self, effects: &mut Effects) {
        for entry in self.presence.take_changed() {
            self.watchers.tell(entry, effects);
        }
    }

    /// Somebody uses a session's device.
    pub(crate) fn active(&mut self, now: Now, name: Name, effects: &mut Effects) {
        let user = self.users.get_mut(&name.user);
        if user.and_then(|user| user.follower_mut(name)).is_some_and(|follower| follower.stamp.is_some()) {
            self.presence.active(now, name.user);
            self.presence.save(now, effects);
            self.tell_presence(effects);
        }
    }

    /// A session watches users of this home.
    pub(crate) fn watch(
        &mut self,
        now: Now,
        place: (Owner, SessionId),
        watcher: UserId,
        list: (u32, Vec<UserId>),
        effects: &mut Effects,
    ) {
        self.watchers.watch(now.mono, place, watcher, list, effects);
    }

    /// A shard wants to know who is there.
    pub(crate) fn presence_asked(
        &mut self,
        asked: (Owner, u64),
        asker: UserId,
        users: Vec<UserId>,
        fellows: bool,
        effects: &mut Effects,
    ) {
        self.watchers.question(asked, asker, users, fellows, effects);
    }

    /// The store has said who may be seen by whom.
    pub(crate) fn visible(&mut self, now: Now, Answer { waiter, reply }: Answer<Visible>, effects: &mut Effects) {
        let shown = |(&user, stored): (&UserId, Option<_>)| {
            stored.map(|stored| self.presence.entry(now, user, stored, effects))
        };
        let found = reply.map(|found| waiter.users.iter().zip(found).map(shown).collect());
        self.watchers.seen(waiter, found, effects);
    }

    /// The store has been told of a user's presence, or could not be.
    pub(crate) fn presence_put(&mut self, now: Now, answer: Answer<PutPresence>, effects: &mut Effects) {
        self.presence.saved(now, answer, effects);
    }

    /// Trims one account's inbox, each in its turn: a second for each, so that 80,000 accounts with a session are
    /// through in a day, and a storm of connects reads no inbox from end to end.
    fn trim_next(&mut self, effects: &mut Effects) {
        let after = self.trimmed.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.users.range((after, Bound::Unbounded)).next().or_else(|| self.users.first_key_value());
        self.trimmed = next.map(|(&user, _)| user);
        if let Some(user) = self.trimmed {
            effects.ask(TrimInbox { user }, ());
        }
    }

    /// A transaction brought something to users here.
    pub(crate) fn hint(&mut self, stamp: Stamp, events: Vec<Event>, effects: &mut Effects) {
        self.arrivals.hint(stamp, events, effects);
    }

    /// The store has read arrivals.
    pub(crate) fn arrivals(&mut self, answer: Answer<ReadArrivals>, effects: &mut Effects) {
        let Some(taken) = self.arrivals.take(answer.reply) else { return };
        let mut touched = BTreeSet::new();
        if taken.first {
            // What was in inboxes before this home knew its place comes from there.
            let place = self.place().expect("a page was taken");
            for (id, user) in &mut self.users {
                user.start(place);
                touched.insert(*id);
            }
            for row in taken.rows {
                self.arrivals.missed(&row, |user| !is_here(&self.users, user));
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
        self.arrivals.missed(&row, |user| !is_here(&self.users, user));
        let contents = row.contents.unwrap_or_default();
        let known: BTreeMap<Position, &Event> = contents.iter().map(|event| (event.position, event)).collect();
        for arrival in &row.record.events {
            let position = row.stamp.at(arrival.ordinal);
            for user_id in row.record.audiences.get(usize::from(arrival.audience)).into_iter().flatten() {
                let Some(user) = self.users.get_mut(user_id) else { continue };
                self.large.arrived(*user_id, &arrival.event);
                let room = self.recent_bytes < RECENT_BYTES_MAX;
                self.recent_bytes -= u64::from(user.recent_bytes());
                match known.get(&position) {
                    Some(&event) if room => user.arrived(event.clone()),
                    // No room, or a hint that did not have all of its transaction: whoever needs this reads its inbox.
                    Some(_) | None => {
                        effects.count(Counter::Recent);
                        user.unknown_through(position);
                    }
                }
                self.recent_bytes += u64::from(user.recent_bytes());
                touched.insert(*user_id);
            }
        }
    }

    /// A session asks what comes after its cursor. A later question replaces an earlier one.
    pub(crate) fn more(&mut self, owner: Owner, more: More, effects: &mut Effects) {
        let More { session, user: user_id, after, credit_bytes, snapshot } = more;
        let name = Name { user: user_id, owner, session };
        let Some(user) = self.users.get_mut(&user_id) else { return self.unknown(name, effects) };
        let Some(follower) = user.follower_mut(name) else { return self.unknown(name, effects) };
        let question = Question { after, snapshot: snapshot.map(Box::new) };
        follower.ask = Some(Ask { question, credit_bytes });
        self.recent_bytes -= u64::from(user.recent_bytes());
        user.forget_served();
        self.recent_bytes += u64::from(user.recent_bytes());
        let mut outbox = Outbox::default();
        self.serve(name, &mut outbox, effects);
        outbox.flush(effects);
    }

    /// What a session told us was lost, or we are new: it registers again, from where it is.
    fn unknown(&self, name: Name, effects: &mut Effects) {
        let start = Err(Refusal::new(ErrorCode::Moving, "this home does not know the session"));
        effects.mesh(name.owner, MeshBody::Registered { session: name.session, start });
    }

    fn serve_user(&mut self, user_id: UserId, outbox: &mut Outbox, effects: &mut Effects) {
        let Some(user) = self.users.get(&user_id) else { return };
        let names: Vec<Name> = user.followers.iter().map(|follower| follower.name(user_id)).collect();
        for name in names {
            self.serve(name, outbox, effects);
        }
    }

    /// Answers a session's question if there is something to say.
    fn serve(&mut self, name: Name, outbox: &mut Outbox, effects: &mut Effects) {
        // Until the first read of arrivals nothing is known to be all there is: the question waits for it.
        let Some(place) = self.place() else { return };
        let Some(user) = self.users.get_mut(&name.user) else { return };
        match user.serve(name, place) {
            Served::Nothing => {}
            Served::Events { after, events, through } => outbox.put(name, after, events, through, effects),
            Served::FromStore => {
                user.follower_mut(name).expect("it asked").reading = self.reads.enqueue(name);
                self.start_reads(effects);
            }
        }
    }

    /// The store has forgotten arrivals, or could not.
    pub(crate) fn cleared(&mut self, answer: Answer<ClearArrivals>, effects: &mut Effects) {
        self.arrivals.cleared(answer, effects);
    }

    /// Push items that were stored for members who were not there.
    pub(crate) fn pushes_written(&self) -> u64 {
        self.arrivals.pushes_written()
    }
}

/// Whether a user has a session that was let in: one that is being opened may yet be refused.
fn is_here(users: &BTreeMap<UserId, User>, user: UserId) -> bool {
    users.get(&user).is_some_and(|user| user.followers.iter().any(|follower| follower.stamp.is_some()))
}
