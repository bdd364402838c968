//! The home of users: what arrived for them, and which sessions want it.
//!
//! Owns the place up to which this shard has read its arrivals, and one [`Follower`] for each session of its users.
//! A session is a cursor: it asks for what comes after, and is answered from what has just arrived if it is at the
//! home's place, and from its inbox otherwise. There is no border between the two (I6): an event is in `recent` if and only if
//! it lies after `recent_from`, and whoever asks from before that place is served from the store.
//!
//! Hints carry content and say that arrivals have grown. None needs to come: arrivals are looked at each second anyway,
//! and it is their rows, in the order of commits, that decide what a session is given.

mod outbox;
mod user;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use schema::limits::{DEVICES_OF_USER_MAX, HINT_BYTES_MAX};
use schema::mesh::{MeshBody, More};
use schema::{Cursor, DeviceId, ErrorCode, Event, Owner, Position, Refusal, SessionId, Stamp, UserId};

use crate::effects::{Effects, Waiting};
use crate::io::{Arrival, ArrivalsPage, InboxPage, SnapshotPage, StoreOp};

use outbox::Outbox;
use user::{Ask, Follower, Name, Served, User};

/// Reads of inboxes that one home has under way. Each holds a page of at most the outbound target of 64 KiB, so 16 MiB.
const READS_MAX: usize = 256;
/// Transactions with content from hints that one home holds: beyond it content is read from the store.
const HINTS_MAX: usize = 16_384;

/// What the home asked the store.
#[derive(Debug)]
pub(crate) enum HomeOp {
    /// Its arrivals.
    Arrivals,
    /// To forget arrivals.
    Clear(Stamp),
    /// Where a session starts.
    Open(Name),
    /// An inbox, for the session that asked from this position.
    Inbox(Name, Position),
    /// An account's channels, for the session that asked from this position.
    Snapshot(Name, Position),
    /// To trim an inbox.
    Trim,
}

#[derive(Debug)]
pub(crate) struct Home {
    /// Everything that arrived up to here has been handed on.
    place: Stamp,
    /// The last arrival row that was read, which is what there is to clear.
    last_row: Stamp,
    cleared: Stamp,
    clearing: bool,
    reading: bool,
    /// The newest version that a hint spoke of.
    wanted: u64,
    hints: BTreeMap<Stamp, Vec<Event>>,
    hint_bytes: u32,
    users: BTreeMap<UserId, User>,
    reads: usize,
    /// Sessions that wait for one of the reads to end.
    reads_queued: VecDeque<Name>,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            place: Stamp::default(),
            last_row: Stamp::default(),
            cleared: Stamp::default(),
            clearing: false,
            reading: false,
            wanted: 0,
            hints: BTreeMap::new(),
            hint_bytes: 0,
            users: BTreeMap::new(),
            reads: 0,
            reads_queued: VecDeque::new(),
        }
    }

    /// Accounts with a session.
    pub(crate) fn users(&self) -> usize {
        self.users.len()
    }

    /// A second has passed: looks at the arrivals without a hint, and clears behind itself.
    pub(crate) fn tick(&mut self, effects: &mut Effects) {
        self.read_arrivals(effects);
        if !self.clearing && self.cleared < self.last_row {
            self.clearing = true;
            let through = self.last_row;
            effects.store(StoreOp::ClearArrivals { through }, Waiting::Home(HomeOp::Clear(through)));
        }
    }

    /// A transaction brought something to users here.
    pub(crate) fn hint(&mut self, stamp: Stamp, events: Vec<Event>, effects: &mut Effects) {
        if stamp <= self.place {
            return;
        }
        self.wanted = self.wanted.max(stamp.version);
        let bytes = events.iter().map(Event::weight_bytes).fold(0, u32::saturating_add);
        let fits = self.hint_bytes.saturating_add(bytes) <= HINT_BYTES_MAX && self.hints.len() < HINTS_MAX;
        if fits && self.hints.insert(stamp, events).is_none() {
            self.hint_bytes += bytes;
        }
        self.read_arrivals(effects);
    }

    fn read_arrivals(&mut self, effects: &mut Effects) {
        if self.reading {
            return;
        }
        self.reading = true;
        let have: BTreeSet<Stamp> = self.hints.keys().copied().collect();
        let store = StoreOp::ReadArrivals { after: self.place, at_least: self.wanted, have };
        effects.store(store, Waiting::Home(HomeOp::Arrivals));
    }

    /// The store has read arrivals.
    pub(crate) fn arrivals(&mut self, page: Result<ArrivalsPage, Refusal>, effects: &mut Effects) {
        self.reading = false;
        // A store that cannot be read now is asked again at the next hint or second; nothing is lost meanwhile.
        let Ok(page) = page else { return };
        assert!(page.through >= self.place, "I6: arrivals went back from {:?} to {:?}", self.place, page.through);
        let mut touched = BTreeSet::new();
        for row in page.rows {
            self.last_row = self.last_row.max(row.stamp);
            self.arrived(row, &mut touched);
        }
        self.place = page.through;
        self.forget_hints();
        let mut outbox = Outbox::default();
        for user in touched {
            self.serve_user(user, &mut outbox, effects);
        }
        outbox.flush(effects);
        if page.more || self.wanted > self.place.version {
            self.read_arrivals(effects);
        }
    }

    /// Hands one transaction's events to the accounts that have a session.
    fn arrived(&mut self, row: Arrival, touched: &mut BTreeSet<UserId>) {
        let from_hint = self.hints.remove(&row.stamp);
        if let Some(events) = &from_hint {
            self.hint_bytes -= events.iter().map(Event::weight_bytes).fold(0, u32::saturating_add);
        }
        let contents = row.contents.or(from_hint).unwrap_or_default();
        let by_ordinal: BTreeMap<u16, &Event> = contents.iter().map(|event| (event.position.ordinal, event)).collect();
        for arrival in &row.record.events {
            let position = row.stamp.at(arrival.ordinal);
            for user_id in row.record.audiences.get(usize::from(arrival.audience)).into_iter().flatten() {
                let Some(user) = self.users.get_mut(user_id) else { continue };
                match by_ordinal.get(&arrival.ordinal) {
                    Some(&event) => user.arrived(event.clone()),
                    // A hint that did not have all of its transaction: whoever needs this reads its inbox.
                    None => user.unknown_through(position),
                }
                touched.insert(*user_id);
            }
        }
    }

    fn forget_hints(&mut self) {
        while let Some(oldest) = self.hints.first_entry() {
            if *oldest.key() > self.place {
                break;
            }
            let events = oldest.remove();
            self.hint_bytes -= events.iter().map(Event::weight_bytes).fold(0, u32::saturating_add);
        }
    }

    /// A session follows its account's inbox from here on. The same device's older session ends.
    pub(crate) fn register(
        &mut self,
        owner: Owner,
        session: SessionId,
        user_id: UserId,
        device: DeviceId,
        cursor: Option<Cursor>,
        effects: &mut Effects,
    ) {
        let place = Position::end_of_stamp(self.place);
        let user = self.users.entry(user_id).or_insert_with(|| User::new(place));
        if let Some(older) = user.take_device(&device) {
            effects.mesh(older.owner, MeshBody::Replaced { session: older.session });
        }
        if user.followers.len() >= DEVICES_OF_USER_MAX as usize {
            let message = format!("the account has {DEVICES_OF_USER_MAX} devices connected, the limit");
            let start = Err(Refusal::new(ErrorCode::LimitExceeded, message));
            effects.mesh(owner, MeshBody::Registered { session, start });
            return;
        }
        user.followers.push(Follower::new(owner, session, device));
        let name = Name { user: user_id, owner, session };
        effects.store(StoreOp::OpenInbox { user: user_id, cursor }, Waiting::Home(HomeOp::Open(name)));
        effects.store(StoreOp::TrimInbox { user: user_id }, Waiting::Home(HomeOp::Trim));
    }

    /// The store knows where the session starts.
    pub(crate) fn opened(&mut self, name: Name, start: Result<Cursor, Refusal>, effects: &mut Effects) {
        if start.is_err() {
            self.unregister(name.owner, name.session, name.user);
        }
        effects.mesh(name.owner, MeshBody::Registered { session: name.session, start });
    }

    /// A session is gone.
    pub(crate) fn unregister(&mut self, owner: Owner, session: SessionId, user: UserId) {
        let name = Name { user, owner, session };
        if let Some(user) = self.users.get_mut(&name.user) {
            user.followers.retain(|follower| !follower.is(name));
            if user.followers.is_empty() {
                self.users.remove(&name.user);
            }
        }
    }

    /// A session asks what comes after its cursor. A later question replaces an earlier one.
    pub(crate) fn more(&mut self, owner: Owner, more: More, effects: &mut Effects) {
        let name = Name { user: more.user, owner, session: more.session };
        let Some(user) = self.users.get_mut(&more.user) else { return };
        let Some(follower) = user.follower_mut(name) else { return };
        follower.ask = Some(Ask { after: more.after, credit_bytes: more.credit_bytes, snapshot: more.snapshot });
        user.forget_served();
        let mut outbox = Outbox::default();
        self.serve(name, &mut outbox, effects);
        outbox.flush(effects);
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
        let Some(user) = self.users.get_mut(&name.user) else { return };
        match user.serve(name, Position::end_of_stamp(self.place)) {
            Served::Nothing => {}
            Served::Events { after, events, through } => outbox.put(name, after, events, through, effects),
            Served::FromStore => {
                user.follower_mut(name).expect("it asked").reading = true;
                self.reads_queued.push_back(name);
                self.start_reads(effects);
            }
        }
    }

    /// Starts what waits, as far as there is room. Each session is in the queue once: it is `reading` from then on.
    fn start_reads(&mut self, effects: &mut Effects) {
        while self.reads < READS_MAX {
            let Some(name) = self.reads_queued.pop_front() else { break };
            let ask = self.users.get_mut(&name.user).and_then(|user| user.follower_mut(name)).and_then(|f| f.ask);
            if let Some(ask) = ask {
                self.reads += 1;
                self.read(name, ask, effects);
            }
        }
    }

    fn read(&mut self, name: Name, ask: Ask, effects: &mut Effects) {
        let Name { user, .. } = name;
        let (store, op) = if ask.snapshot.is_some() {
            (StoreOp::Snapshot { user, place: ask.snapshot }, HomeOp::Snapshot(name, ask.after))
        } else {
            let first = self.users.get(&user).is_some_and(|user| user.is_first(name));
            let at_least = self.place.version;
            let bytes = ask.credit_bytes;
            (StoreOp::ReadInbox { user, after: ask.after, at_least, bytes, first }, HomeOp::Inbox(name, ask.after))
        };
        effects.store(store, Waiting::Home(op));
    }

    /// The store has read an inbox.
    pub(crate) fn inbox(
        &mut self,
        name: Name,
        after: Position,
        page: Result<InboxPage, Refusal>,
        effects: &mut Effects,
    ) {
        match page {
            Ok(InboxPage::Events { events, through }) => {
                self.read_done(name, after, true, effects);
                let mut outbox = Outbox::default();
                outbox.put(name, after, events, through, effects);
                outbox.flush(effects);
            }
            Ok(InboxPage::Behind) => {
                // The same read goes on as a snapshot.
                let store = StoreOp::Snapshot { user: name.user, place: None };
                effects.store(store, Waiting::Home(HomeOp::Snapshot(name, after)));
            }
            // The session asks again by itself.
            Err(_) => self.read_done(name, after, false, effects),
        }
    }

    /// The store has read a page of an account's channels.
    pub(crate) fn snapshot(
        &mut self,
        name: Name,
        after: Position,
        page: Result<SnapshotPage, Refusal>,
        effects: &mut Effects,
    ) {
        self.read_done(name, after, page.is_ok(), effects);
        if let Ok(SnapshotPage { channels, more, through }) = page {
            let body = MeshBody::Snapshot { session: name.session, after, channels, more, through };
            effects.mesh(name.owner, body);
        }
    }

    /// A read ended: the next that waits may start, and the session's question is answered if it still is the same.
    fn read_done(&mut self, name: Name, after: Position, answered: bool, effects: &mut Effects) {
        self.reads -= 1;
        if let Some(follower) = self.users.get_mut(&name.user).and_then(|user| user.follower_mut(name)) {
            follower.reading = false;
            follower.first &= !answered;
            if follower.ask.is_some_and(|ask| ask.after == after) {
                follower.ask = None;
            }
        }
        let mut outbox = Outbox::default();
        self.serve(name, &mut outbox, effects);
        outbox.flush(effects);
        self.start_reads(effects);
    }

    /// The store has forgotten arrivals, or could not; then the next second tries again.
    pub(crate) fn cleared(&mut self, through: Stamp, result: Result<(), Refusal>) {
        self.clearing = false;
        if result.is_ok() {
            self.cleared = through;
        }
    }
}
