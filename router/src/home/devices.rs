//! Registration of sessions at their accounts' home, and its end.
//!
//! Owns the way of both: the store notes that a device connected, other shards are told which of their sessions it
//! takes the place of. Which session that is [`users`](super::users) knows. A session that comes from another home is
//! noted already, and keeps its place among those of its device: the store only says whether its login counts still, so
//! that none is let in that was to end meanwhile (I10).

use std::num::NonZeroU32;

use schema::mesh::{Kicked, MeshBody, Returning};
use schema::page::SessionStart;
use schema::{Cursor, DeviceId, Epoch, ErrorCode, Instant, Owner, Partition, Refusal, SessionId, UserId};

use crate::counters::Counter;
use crate::effects::Effects;
use crate::ownership::moving;
use crate::store::{Answer, FamiliesLive, OpenInbox};

use super::outbox::Outbox;
use super::user::{Ask, Question, Reading};
use super::{Home, Name};

/// A session whose device's connect is being noted.
#[derive(Debug)]
pub struct Noting {
    name: Name,
    attempt: u32,
    asked_at: Instant,
}

impl Noting {
    /// When the store was asked.
    pub(crate) fn asked_at(&self) -> Instant {
        self.asked_at
    }
}

/// Sessions that have come from another home, and wait for what the store says of their logins.
#[derive(Debug)]
pub struct Returned {
    from: Owner,
    sessions: Vec<Returning>,
}

/// The credentials with which a session registers.
pub(crate) struct Login {
    /// The device, of which one session lives.
    pub(crate) device: DeviceId,
    /// The login that its token is of.
    pub(crate) family: u64,
    /// The client's name for itself.
    pub(crate) client: Option<String>,
}

impl Home {
    /// A session wants to follow its account's inbox from here on. Returns whether the store is asked for that.
    pub(crate) fn register(
        &mut self,
        name: Name,
        login: Login,
        (cursor, attempt): (Option<Cursor>, u32),
        effects: &mut Effects,
    ) -> bool {
        let Login { device, family, client } = login;
        if let Err(refusal) = self.take_on(name, device.clone(), (family, attempt), effects) {
            answer(name, attempt, Err(refusal), effects);
            return false;
        }
        let asked_at = effects.now.mono;
        effects.ask(OpenInbox { user: name.user, device, family, client, cursor }, Noting { name, attempt, asked_at });
        true
    }

    fn take_on(
        &mut self,
        name: Name,
        device: DeviceId,
        login: (u64, u32),
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        let (earlier, room) = self.users.register(name, device, login, self.start_place());
        self.reads.forget(earlier);
        if room.is_err() {
            effects.count(Counter::Sessions);
        }
        room
    }

    /// Sessions of a shard go on following their accounts' inboxes here, as of a view.
    pub(crate) fn register_many(&mut self, from: Owner, epoch: Epoch, sessions: Vec<Returning>, effects: &mut Effects) {
        let mut taken = Vec::with_capacity(sessions.len());
        for one in sessions {
            let name = Name { user: one.user, owner: from, session: one.session };
            let on = if effects.placement.owns_since(Partition::of_user(one.user), epoch) {
                self.take_on(name, one.device.clone(), (one.family, one.attempt), effects)
            } else {
                effects.count(Counter::Moving);
                Err(moving("the account"))
            };
            match on {
                Ok(()) => taken.push(one),
                Err(refusal) => answer(name, one.attempt, Err(refusal), effects),
            }
        }
        if !taken.is_empty() {
            let families = taken.iter().map(|one| (one.user, one.family)).collect();
            effects.ask(FamiliesLive { families }, Returned { from, sessions: taken });
        }
    }

    /// The store has said which logins count still.
    pub(crate) fn returned(&mut self, answered: Answer<FamiliesLive>, effects: &mut Effects) {
        let Answer { waiter: Returned { from, sessions }, reply } = answered;
        let mut outbox = Outbox::default();
        let live = match reply {
            Ok(live) => live.into_iter().map(Ok).collect(),
            Err(refusal) => vec![Err(refusal); sessions.len()],
        };
        for (one, live) in sessions.into_iter().zip(live) {
            let name = Name { user: one.user, owner: from, session: one.session };
            if !self.users.is_last_word(name, one.attempt) {
                continue;
            }
            match live {
                Ok(true) => self.let_back_in(name, one, &mut outbox, effects),
                Ok(false) => {
                    let refusal = Refusal::new(ErrorCode::Unauthenticated, "the login has ended");
                    self.turn_away(name, one.attempt, refusal, effects);
                }
                Err(refusal) => self.turn_away(name, one.attempt, refusal, effects),
            }
        }
        outbox.flush(effects);
        self.large.start(effects);
        self.presence.save(effects);
        self.notify_presence(effects);
    }

    fn turn_away(&mut self, name: Name, attempt: u32, refusal: Refusal, effects: &mut Effects) {
        self.unregister(name, effects);
        answer(name, attempt, Err(refusal), effects);
    }

    fn let_back_in(&mut self, name: Name, one: Returning, outbox: &mut Outbox, effects: &mut Effects) {
        let Returning { user, stamp, cursor, used_ms, credit_bytes, snapshot, attempt, .. } = one;
        let Some(older) = self.users.noted(name, stamp) else { return };
        self.end_older(older, effects);
        if !self.users.is_let_in(name) {
            // A newer session of its device was here before it.
            return;
        }
        self.presence.came_back(effects.now, user, used_ms);
        self.large.want(user);
        answer(name, attempt, Ok(SessionStart { cursor, stamp }), effects);
        if let Some(credit_bytes) = NonZeroU32::new(credit_bytes) {
            let question = Question { after: cursor.position, snapshot: snapshot.map(Box::new) };
            self.users.ask(name, Ask { question, credit_bytes });
        }
        self.serve(name, outbox, effects);
    }

    fn end_older(&mut self, older: Vec<(Owner, SessionId, Reading)>, effects: &mut Effects) {
        for (owner, session, reading) in older {
            self.reads.forget(Some(reading));
            effects.mesh(owner, MeshBody::Replaced { session });
        }
    }

    /// The store knows where the session starts, and when its device connected.
    pub(crate) fn opened(&mut self, answered: Answer<OpenInbox>, effects: &mut Effects) {
        let Answer { waiter: Noting { name, attempt, .. }, reply } = answered;
        if !self.users.is_last_word(name, attempt) {
            // It is gone, or has another word about itself, which is answered when that is noted.
            return;
        }
        let start = match reply {
            Ok(start) => start,
            Err(refusal) => return self.turn_away(name, attempt, refusal, effects),
        };
        let Some(older) = self.users.noted(name, start.stamp) else { return };
        self.presence.came(effects.now, name.user);
        self.large.want(name.user);
        self.large.start(effects);
        answer(name, attempt, Ok(start), effects);
        self.end_older(older, effects);
        self.presence.save(effects);
        self.notify_presence(effects);
    }

    /// A session is gone.
    pub(crate) fn unregister(&mut self, name: Name, effects: &Effects) {
        let Some(gone) = self.users.unregister(name) else { return };
        self.reads.forget(gone.reading);
        if gone.is_absent {
            self.presence.went(effects.now, name.user);
        }
        if gone.is_last {
            self.large.forget(name.user);
        }
    }

    /// A device or a login counts no longer. What it is opening at this moment ends too; what comes later the store
    /// refuses, and so it does what comes back.
    pub(crate) fn kick(&self, (asker, ticket): (Owner, u64), user: UserId, whose: &Kicked, effects: &mut Effects) {
        for (owner, session) in self.users.sessions_of(user, whose) {
            effects.mesh(owner, MeshBody::Kicked { session, erased: *whose == Kicked::Account { erased: true } });
        }
        effects.mesh(asker, MeshBody::KickDone { ticket, refused: None });
    }
}

/// Answers a session's word about itself.
fn answer(name: Name, attempt: u32, start: Result<SessionStart, Refusal>, effects: &mut Effects) {
    effects.mesh(name.owner, MeshBody::Registered { session: name.session, attempt, start });
}
