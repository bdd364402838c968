//! Presence watch of a session, and its questions about others' presence.
//!
//! Owns the watch list, what the client was told of each user on it, and the batches of changes: each user once, as it
//! is when the batch leaves, at most one batch in 250 ms and none while the session is slow (I11). A change that was
//! lost on the way is found when the list is given a new number, once a minute (I8).

use std::collections::{BTreeMap, BTreeSet};

use schema::command::PresenceGet;
use schema::limits::{PRESENCE_BATCH_MS, PRESENCE_USERS_MAX, RENEW_MS, WATCHED_MAX};
use schema::mesh::MeshBody;
use schema::{ErrorCode, Instant, Owner, PresenceEntry, PresenceState, Push, Refusal, Reply, ServerFrame, UserId};

use crate::delivery::encode;
use crate::effects::Effects;
use crate::gather::{Purpose, Wanted};

use super::{Session, ShardContext, Stage};

/// How long the homes' word on a new list is waited for.
const ANSWER_MS: u64 = 10_000;
/// How often everything is asked anew.
const AFRESH_MS: u64 = 60_000;
/// How often the session says that somebody uses its device, in seconds.
const ACTIVE_S: u32 = 60;

/// A watch list. Some 16 bytes for each user.
#[derive(Debug)]
pub(super) struct Watching {
    number: u32,
    /// What the client was told of each user last; none before it was.
    told: BTreeMap<UserId, Option<PresenceState>>,
    /// What it is to be told next.
    changed: BTreeMap<UserId, PresenceEntry>,
    pushed_at: Instant,
    renew_at: Instant,
    afresh_at: Instant,
    request: Option<Request>,
}

/// A `presence_watch` that is not answered yet.
#[derive(Debug)]
struct Request {
    id: u32,
    /// In the order asked for.
    users: Vec<UserId>,
    missing: BTreeSet<Owner>,
    found: BTreeMap<UserId, PresenceEntry>,
    by: Instant,
}

impl Watching {
    /// When it next has something to do, given whether there is room to push.
    pub(super) fn due(&self, has_room: bool) -> Instant {
        match &self.request {
            Some(request) => self.renew_at.min(request.by),
            None if has_room && !self.changed.is_empty() => {
                self.renew_at.min(self.pushed_at.plus_ms(PRESENCE_BATCH_MS))
            }
            None => self.renew_at,
        }
    }

    /// Takes a user's presence as it is now: it is told if the client was told something else, or is about to be.
    fn learn(&mut self, entry: PresenceEntry) {
        let Some(told) = self.told.get(&entry.user_id) else { return };
        if *told == Some(entry.state) {
            self.changed.remove(&entry.user_id);
        } else if told.is_some() {
            self.changed.insert(entry.user_id, entry);
        }
    }
}

impl Session {
    /// Watches these users in place of those before.
    pub(super) fn watch(&mut self, id: u32, users: Vec<UserId>, context: &mut ShardContext<'_>) {
        if let Err(refusal) = super::commands::within("user_ids", users.len(), WATCHED_MAX, "users") {
            return self.answer(id, Err(refusal), context);
        }
        let now = context.now.mono;
        let earlier = self.cold().watching.take();
        let (number, pushed_at) =
            earlier.as_ref().map_or((1, Instant::default()), |earlier| (earlier.number + 1, earlier.pushed_at));
        let told: BTreeMap<_, _> = users.iter().map(|&user| (user, None)).collect();
        let left = |user: &UserId| !told.contains_key(user);
        let left: Vec<UserId> = earlier.iter().flat_map(|earlier| earlier.told.keys()).copied().filter(left).collect();
        let distinct: Vec<UserId> = told.keys().copied().collect();
        let homes = context.effects.placement.by_home(&distinct);
        let missing: BTreeSet<Owner> = homes.keys().copied().collect();
        for home in context.effects.placement.by_home(&left).into_keys().filter(|home| !missing.contains(home)) {
            self.say_watch(home, number, Vec::new(), context.effects);
        }
        for (home, users) in homes {
            self.say_watch(home, number, users, context.effects);
        }
        let is_nobody = missing.is_empty();
        let request = Request { id, users, missing, found: BTreeMap::new(), by: now.plus_ms(ANSWER_MS) };
        let overtaken = earlier.and_then(|earlier| earlier.request);
        self.cold().watching = Some(Box::new(Watching {
            number,
            told,
            changed: BTreeMap::new(),
            pushed_at,
            renew_at: now.plus_ms(RENEW_MS),
            afresh_at: now.plus_ms(AFRESH_MS),
            request: (!is_nobody).then_some(request),
        }));
        if let Some(Request { id, .. }) = overtaken {
            let refusal = Refusal::new(ErrorCode::BadRequest, "another presence_watch has taken its place");
            self.answer(id, Err(refusal), context);
        }
        if is_nobody {
            self.answer(id, Ok(Reply::PresenceWatch { entries: Vec::new() }), context);
        }
    }

    /// Tells a home which of its users this session watches.
    fn say_watch(&self, home: Owner, number: u32, users: Vec<UserId>, effects: &mut Effects) {
        if let Stage::Live(live) = &self.stage {
            effects.mesh(home, MeshBody::Watch { session: self.id, watcher: live.user, number, users });
        }
    }

    /// Tells the homes again which of their users this session watches, or that it does so no longer.
    fn say_watch_all(&self, ends: bool, effects: &mut Effects) {
        let Some(watching) = self.cold.as_deref().and_then(|cold| cold.watching.as_deref()) else { return };
        let users: Vec<UserId> = watching.told.keys().copied().collect();
        for (home, users) in effects.placement.by_home(&users) {
            self.say_watch(home, watching.number, if ends { Vec::new() } else { users }, effects);
        }
    }

    /// The session is over.
    pub(crate) fn unwatch(&self, effects: &mut Effects) {
        self.say_watch_all(true, effects);
    }

    /// A home has said who is there, of the list or its part of it.
    pub(crate) fn watched(
        &mut self,
        from: Owner,
        number: u32,
        entries: &[PresenceEntry],
        context: &mut ShardContext<'_>,
    ) {
        let Some(watching) = self.cold.as_deref_mut().and_then(|cold| cold.watching.as_deref_mut()) else { return };
        if watching.number != number {
            return;
        }
        match &mut watching.request {
            Some(request) => {
                request.missing.remove(&from);
                for entry in entries {
                    // It is in the reply, and what changes from here on is pushed.
                    if let Some(told) = watching.told.get_mut(&entry.user_id) {
                        *told = Some(entry.state);
                        watching.changed.remove(&entry.user_id);
                        request.found.insert(entry.user_id, *entry);
                    }
                }
            }
            None => entries.iter().for_each(|&entry| watching.learn(entry)),
        }
        if let Some(Request { id, users, found, .. }) = watching.request.take_if(|request| request.missing.is_empty()) {
            let of = |user: &UserId| found.get(user).copied().unwrap_or(PresenceEntry::unknown(*user));
            let entries = users.iter().map(of).collect();
            self.answer(id, Ok(Reply::PresenceWatch { entries }), context);
        }
        self.push_presence(context);
    }

    /// The presence of users on the list has changed.
    pub(super) fn presence_changed(&mut self, entries: &[PresenceEntry], context: &mut ShardContext<'_>) {
        if let Some(watching) = self.cold.as_deref_mut().and_then(|cold| cold.watching.as_deref_mut()) {
            entries.iter().for_each(|&entry| watching.learn(entry));
        }
        self.push_presence(context);
    }

    /// Pushes what has changed, if there is room and the last push was a while ago. Nothing is before its reply.
    pub(super) fn push_presence(&mut self, context: &mut ShardContext<'_>) {
        let now = context.now.mono;
        let Some(watching) = self.cold.as_deref_mut().and_then(|cold| cold.watching.as_deref_mut()) else { return };
        let is_time = now >= watching.pushed_at.plus_ms(PRESENCE_BATCH_MS) && watching.request.is_none();
        if watching.changed.is_empty() || !is_time || !self.outbound.is_below_target() || self.closed.is_some() {
            return;
        }
        watching.pushed_at = now;
        let entries: Vec<PresenceEntry> = std::mem::take(&mut watching.changed).into_values().collect();
        for entry in &entries {
            watching.told.insert(entry.user_id, Some(entry.state));
        }
        let frame = encode(self.encoding, &ServerFrame::Push(Push::Presence { entries }));
        self.outbound.send(self.conn, frame, now, context.effects, context.outbound);
        self.check_outbound();
    }

    /// A deadline of the list may be due.
    pub(super) fn tick_presence(&mut self, context: &mut ShardContext<'_>) {
        let now = context.now.mono;
        let Some(watching) = self.cold.as_deref_mut().and_then(|cold| cold.watching.as_deref_mut()) else { return };
        let overdue = watching.request.take_if(|request| now >= request.by);
        if overdue.is_some() {
            // What did not come is asked for anew, and told when it does.
            for told in watching.told.values_mut() {
                told.get_or_insert(PresenceState::Offline);
            }
        }
        if now >= watching.renew_at {
            watching.renew_at = now.plus_ms(RENEW_MS);
            if now >= watching.afresh_at && watching.request.is_none() {
                watching.afresh_at = now.plus_ms(AFRESH_MS);
                watching.number += 1;
            }
            self.say_watch_all(false, context.effects);
        }
        if let Some(Request { id, .. }) = overdue {
            let refusal = Refusal::new(ErrorCode::StorageUnavailable, "a home did not answer in time, ask again");
            self.answer(id, Err(refusal), context);
        }
        self.push_presence(context);
    }

    /// Asks who is there, at this moment.
    pub(super) fn presence_get(&mut self, id: u32, get: PresenceGet, context: &mut ShardContext<'_>) {
        if let Some(channel) = get.channel_id {
            return self.members_present(id, channel, get.page, context);
        }
        let users = get.user_ids;
        if let Err(refusal) = super::commands::within("user_ids", users.len(), PRESENCE_USERS_MAX, "users") {
            return self.answer(id, Err(refusal), context);
        }
        self.gather(id, Purpose::Entries, users, false, context);
    }

    /// Asks the homes of these users for their presence.
    pub(super) fn gather(
        &mut self,
        id: u32,
        purpose: Purpose,
        users: Vec<UserId>,
        fellows: bool,
        context: &mut ShardContext<'_>,
    ) {
        let Stage::Live(live) = &self.stage else { return };
        if users.is_empty() {
            return self.answer(id, Ok(purpose.reply(&users, &BTreeMap::new())), context);
        }
        let wanted = Wanted { asker: live.user, users, fellows };
        let asker = (self.conn, id);
        if let Err(refusal) = context.gathers.ask(context.now.mono, asker, purpose, wanted, context.effects) {
            self.answer(id, Err(refusal), context);
        }
    }

    /// What several homes were asked for is there.
    pub(crate) fn gathered(&mut self, id: u32, reply: Result<Reply, Refusal>, context: &mut ShardContext<'_>) {
        self.answer(id, reply, context);
    }

    /// Somebody uses the device. Its home is told now and then.
    pub(super) fn used(&mut self, context: &mut ShardContext<'_>) {
        let Stage::Live(live) = &mut self.stage else { return };
        let now_s = u32::try_from(context.now.mono.0 / 1_000_000_000).expect("a shard lives for less than a century");
        if now_s >= live.said_active_s + ACTIVE_S {
            live.said_active_s = now_s;
            let home = context.effects.placement.home_of_user(live.user);
            context.effects.mesh(home, MeshBody::Active { session: self.id, user: live.user });
        }
    }
}
