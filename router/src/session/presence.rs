//! Presence of others for a session: its watch list, and its questions.
//!
//! Owns the way of both to the homes and of the answers to the socket; the list is [`watching`](super::watching)'s. A
//! batch waits while the session is slow (I11).

use std::collections::BTreeSet;

use schema::command::PresenceGet;
use schema::limits::{PRESENCE_USERS_MAX, WATCHED_MAX};
use schema::mesh::MeshBody;
use schema::{ErrorCode, Owner, PresenceEntry, Push, Refusal, Reply, UserId};

use crate::disruption::Disruption;
use crate::effects::Effects;
use crate::gather::{Purpose, Wanted};

use super::commands::within;
use super::watching::{Due, Watching};
use super::{Session, ShardContext};

impl Session {
    fn watching_mut(&mut self) -> Option<&mut Watching> {
        self.cold.as_deref_mut()?.watching.as_deref_mut()
    }

    /// Watches these users in place of those before.
    pub(super) fn watch(&mut self, id: u32, users: Vec<UserId>, context: &mut ShardContext<'_>) {
        if let Err(refusal) = within("user_ids", users.len(), WATCHED_MAX, "users") {
            return self.answer(id, Err(refusal), context);
        }
        let distinct: BTreeSet<UserId> = users.iter().copied().collect();
        let homes = context.effects.placement.by_home(distinct);
        let earlier = self.cold().watching.take();
        let missing = homes.keys().copied().collect();
        let watching = Watching::new(context.effects.now.mono, earlier.as_deref(), (self.id, id), users, missing);
        let number = watching.number();
        let left = earlier.iter().flat_map(|earlier| earlier.users()).filter(|&user| !watching.contains(user));
        for home in context.effects.placement.by_home(left).into_keys().filter(|home| !homes.contains_key(home)) {
            self.say_watch(home, number, Vec::new(), Vec::new(), context.effects);
        }
        for (home, users) in homes {
            self.say_watch(home, number, users, Vec::new(), context.effects);
        }
        self.cold().watching = Some(Box::new(watching));
        if let Some(id) = earlier.and_then(|earlier| earlier.request()) {
            let refusal = Refusal::new(ErrorCode::BadRequest, "another presence_watch has taken its place");
            self.answer(id, Err(refusal), context);
        }
        self.answer_watch(context);
    }

    /// Tells a home which of its users this session watches, and whom of them it was shown.
    fn say_watch(&self, home: Owner, number: u32, users: Vec<UserId>, visible: Vec<UserId>, effects: &mut Effects) {
        if let Some(watcher) = self.stage.user() {
            effects.mesh(home, MeshBody::Watch { session: self.id, watcher, number, users, visible });
        }
    }

    /// Homes of watched users are others now, or may not have heard: they are told the list, and who need not be judged
    /// anew. A list that they have not all answered begins again.
    pub(super) fn watch_disrupted(&mut self, disruption: Disruption, effects: &mut Effects) {
        let Some(watching) = self.watching_mut() else { return };
        let is_concerned = |user: &UserId| disruption.concerns_user(&effects.placement, *user);
        if !watching.users().any(|user| is_concerned(&user)) {
            return;
        }
        if disruption.forgets() {
            watching.moved(|user| disruption.concerns_user(&effects.placement, user));
        } else {
            // What a home judged may have been lost on the way.
            watching.doubt();
        }
        let restarts = watching.restart(&effects.placement);
        let number = watching.number();
        let homes = effects.placement.by_home(watching.users());
        let said = homes.into_iter().filter(|(_, users)| restarts || users.iter().any(is_concerned));
        let said: Vec<_> = said
            .map(|(home, users)| {
                let visible = if restarts { Vec::new() } else { watching.visible(&users) };
                (home, users, visible)
            })
            .collect();
        for (home, users, visible) in said {
            self.say_watch(home, number, users, visible, effects);
        }
    }

    /// Tells the homes again which of their users this session watches, or that it does so no longer.
    pub(super) fn say_watch_all(&self, ends: bool, effects: &mut Effects) {
        let Some(watching) = self.cold.as_deref().and_then(|cold| cold.watching.as_deref()) else { return };
        for (home, users) in effects.placement.by_home(watching.users()) {
            self.say_watch(home, watching.number(), if ends { Vec::new() } else { users }, Vec::new(), effects);
        }
    }

    /// A membership of this account or of its fellows has changed: others may be visible now, or no longer.
    pub(super) fn doubt_visibility(&mut self) {
        if let Some(watching) = self.watching_mut() {
            watching.doubt();
        }
    }

    /// A home has said who is there, of the list or its part of it.
    pub(crate) fn watched(
        &mut self,
        from: Owner,
        number: u32,
        entries: &[PresenceEntry],
        context: &mut ShardContext<'_>,
    ) {
        if self.watching_mut().is_some_and(|watching| watching.answered(from, number, entries)) {
            self.answer_watch(context);
            self.push_presence(context);
        }
    }

    /// Answers the `presence_watch` once every home has.
    fn answer_watch(&mut self, context: &mut ShardContext<'_>) {
        if let Some((id, entries)) = self.watching_mut().and_then(Watching::take_reply) {
            self.answer(id, Ok(Reply::PresenceWatch { entries }), context);
        }
    }

    /// The presence of users on the list has changed, as their home says or the home before it.
    pub(super) fn presence_changed(&mut self, entries: &[PresenceEntry], context: &mut ShardContext<'_>) {
        if let Some(watching) = self.watching_mut() {
            watching.learn(entries);
        }
        self.push_presence(context);
    }

    /// Pushes a batch of changes, if one is due and there is room.
    pub(super) fn push_presence(&mut self, context: &mut ShardContext<'_>) {
        if !self.outbound.is_below_target() || self.closed.is_some() {
            return;
        }
        if let Some(entries) = self.watching_mut().and_then(|watching| watching.take_batch(context.effects.now.mono)) {
            self.push(Push::Presence { entries }, context);
        }
    }

    /// A deadline of the list may be due.
    pub(super) fn tick_presence(&mut self, context: &mut ShardContext<'_>) {
        let Some(watching) = self.watching_mut() else { return };
        let Due { overdue, renews } = watching.tick(context.effects.now.mono);
        if renews {
            self.say_watch_all(false, context.effects);
        }
        if let Some(id) = overdue {
            let refusal = Refusal::new(ErrorCode::StorageUnavailable, "a home did not answer in time, ask again");
            self.answer(id, Err(refusal), context);
        }
        self.push_presence(context);
    }

    /// Asks who is there, at this moment.
    pub(super) fn presence_get(&mut self, id: u32, user: UserId, get: PresenceGet, context: &mut ShardContext<'_>) {
        if let Some(channel) = get.channel_id {
            return self.members_present(id, user, (channel, get.page), context);
        }
        let users = get.user_ids;
        match within("user_ids", users.len(), PRESENCE_USERS_MAX, "users") {
            Ok(()) => self.gather(id, Purpose::Entries, users, false, context),
            Err(refusal) => self.answer(id, Err(refusal), context),
        }
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
        let Some(asker) = self.stage.user() else { return };
        if users.is_empty() {
            return self.answer(id, Ok(purpose.reply(Vec::new())), context);
        }
        let wanted = Wanted { asker, users, fellows };
        if let Err(refusal) = context.gathers.ask((self.conn, id), purpose, wanted, context.effects) {
            self.answer(id, Err(refusal), context);
        }
    }

    /// Somebody uses the device. Its home is told now and then.
    pub(super) fn used(&mut self, context: &mut ShardContext<'_>) {
        if let Some(user) = self.stage.used(context.effects.now.mono) {
            let home = context.effects.placement.home_of_user(user);
            context.effects.mesh(home, MeshBody::Active { session: self.id, user });
        }
    }
}
