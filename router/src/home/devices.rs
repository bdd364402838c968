//! Registration of sessions at their accounts' home, and its end.
//!
//! Owns the way of both: the store notes that a device connected, other shards are told which of their sessions it
//! takes the place of. Which session that is [`users`](super::users) knows.

use schema::mesh::{Kicked, MeshBody};
use schema::page::SessionStart;
use schema::{Cursor, DeviceId, Position, UserId};

use crate::counters::Counter;
use crate::effects::Effects;
use crate::store::{Answer, OpenInbox};

use super::{Home, Name};

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
    /// A session wants to follow its account's inbox from here on.
    pub(crate) fn register(&mut self, name: Name, login: Login, cursor: Option<Cursor>, effects: &mut Effects) {
        let Login { device, family, client } = login;
        let place = self.place().unwrap_or(Position::START);
        let (earlier, room) = self.users.register(name, device.clone(), family, place);
        self.reads.forget(earlier);
        if let Err(refusal) = room {
            effects.count(Counter::Sessions);
            return effects.mesh(name.owner, MeshBody::Registered { session: name.session, start: Err(refusal) });
        }
        effects.ask(OpenInbox { user: name.user, device, family, client, cursor }, name);
    }

    /// The store knows where the session starts, and when its device connected.
    pub(crate) fn opened(&mut self, answer: Answer<OpenInbox>, effects: &mut Effects) {
        let Answer { waiter: name, reply } = answer;
        let Name { user, owner, session } = name;
        let SessionStart { cursor, stamp } = match reply {
            Ok(start) => start,
            Err(refusal) => {
                self.unregister(name, effects);
                return effects.mesh(owner, MeshBody::Registered { session, start: Err(refusal) });
            }
        };
        let Some(older) = self.users.noted(name, stamp) else { return };
        self.presence.came(effects.now, user);
        self.large.want(user);
        self.large.start(effects);
        effects.mesh(owner, MeshBody::Registered { session, start: Ok(cursor) });
        for (owner, session, reading) in older {
            self.reads.forget(Some(reading));
            effects.mesh(owner, MeshBody::Replaced { session });
        }
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
    /// refuses.
    pub(crate) fn kick(&self, user: UserId, whose: &Kicked, effects: &mut Effects) {
        for (owner, session) in self.users.sessions_of(user, whose) {
            effects.mesh(owner, MeshBody::Kicked { session });
        }
    }
}
