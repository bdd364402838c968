//! Live notices to users of this home: handed to the shards that hold their sessions, and kept nowhere.
//!
//! Owns the choice of users: nobody is notified of what it did itself.

use schema::UserId;
use schema::mesh::{LiveBody, LiveEvent, MeshBody, Telling};

use crate::effects::Effects;

use super::Home;

impl Home {
    /// An event of a channel that is pushed live.
    pub(crate) fn live(&mut self, LiveEvent { channel, users, body }: LiveEvent, effects: &mut Effects) {
        match body {
            LiveBody::Typing { user, on, open_only } => {
                self.notify(&users, Some(user), &Telling::Typing { channel, user, on, open_only }, effects);
            }
            LiveBody::Read { user, read_seq } => {
                self.notify(&users, Some(user), &Telling::Read { channel, user, read_seq }, effects);
            }
            LiveBody::Blocked { by, user, on } => self.watchers.blocked(by, user, on, effects),
        }
    }

    /// Notifies the sessions of these users, but those of who did it.
    pub(super) fn notify(&self, users: &[UserId], but: Option<UserId>, what: &Telling, effects: &mut Effects) {
        for (owner, sessions) in self.users.sessions(users, but) {
            effects.mesh(owner, MeshBody::Tell { sessions, what: what.clone() });
        }
    }
}
