//! Live notices to users of this home: handed to the shards that hold their sessions, and kept nowhere.
//!
//! Owns the choice of users: nobody is notified of what it did itself, and nobody whose home is another. A block goes on
//! to that home: until somebody's list is judged anew it would see who has hidden. So do hints of news feeds, which a
//! node's fan-out gives to any of its shards.

use schema::mesh::{LiveBody, LiveEvent, MeshBody, Telling};
use schema::{Partition, UserId};

use crate::counters::Counter;
use crate::effects::Effects;

use super::Home;

impl Home {
    /// An event of a channel that is pushed live.
    pub(crate) fn live(&mut self, LiveEvent { channel, users, body }: LiveEvent, effects: &mut Effects) {
        let is_ours = |user: &UserId| effects.placement.owns(Partition::of_user(*user));
        let (users, others): (Vec<UserId>, Vec<UserId>) = users.into_iter().partition(is_ours);
        if !others.is_empty() {
            effects.count(Counter::NotOurs);
            if let LiveBody::Blocked { .. } | LiveBody::FeedHead { .. } = body {
                for (home, users) in effects.placement.by_home(others) {
                    let body = body.clone();
                    effects.mesh(home, MeshBody::Live { events: vec![LiveEvent { channel, users, body }] });
                }
            }
        }
        if users.is_empty() {
            return;
        }
        match body {
            LiveBody::Typing { user, on, open_only } => {
                self.notify(&users, Some(user), &Telling::Typing { channel, user, on, open_only }, effects);
            }
            LiveBody::Read { user, read_seq } => {
                self.notify(&users, Some(user), &Telling::Read { channel, user, read_seq }, effects);
            }
            LiveBody::Published { event, data, open_only } => {
                self.notify(&users, None, &Telling::Published { channel, event, data, open_only }, effects);
            }
            LiveBody::FeedHead { count } => self.feeds_grew(&users, count, effects),
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
