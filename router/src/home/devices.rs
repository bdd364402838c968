//! Sessions of an account: one a device, the newest, and 16 devices at once.
//!
//! Owns who replaces whom and who is turned away. Of two sessions of a device the later is the one whose connect the
//! store has noted later: their shards' words come in any order.

use std::collections::BTreeSet;

use schema::limits::DEVICES_OF_USER_MAX;
use schema::mesh::{Kicked, MeshBody};
use schema::page::SessionStart;
use schema::{Cursor, DeviceId, ErrorCode, Now, Position, Refusal, UserId};

use crate::counters::Counter;
use crate::effects::Effects;
use crate::store::{Answer, OpenInbox};

use super::user::{Follower, User};
use super::{Home, Name};

/// Sessions of one account, those that are being opened too: each device's, and as many again in the moment in which
/// they connect anew.
const SESSIONS_OF_USER_MAX: usize = 2 * DEVICES_OF_USER_MAX as usize;
/// When to connect again if there are more.
const RETRY_MS: u32 = 1_000;

/// The credentials with which a session registers.
pub(crate) struct Login {
    /// The device, of which one session lives.
    pub(crate) device: DeviceId,
    /// The login that its token is of.
    pub(crate) family: u64,
    /// What the client calls itself.
    pub(crate) client: Option<String>,
}

impl Home {
    /// A session wants to follow its account's inbox from here on.
    pub(crate) fn register(&mut self, name: Name, login: Login, cursor: Option<Cursor>, effects: &mut Effects) {
        let Login { device, family, client } = login;
        let place = self.place().unwrap_or(Position::START);
        let user = self.users.entry(name.user).or_insert_with(|| User::new(place));
        if let Some(itself) = user.take(name) {
            self.reads.forget(itself.reading);
        }
        if let Err(refusal) = has_room(user, &device) {
            effects.count(Counter::Sessions);
            return effects.mesh(name.owner, MeshBody::Registered { session: name.session, start: Err(refusal) });
        }
        user.follow(Follower::new(name, device.clone(), family));
        effects.ask(OpenInbox { user: name.user, device, family, client, cursor }, name);
    }

    /// The store knows where the session starts, and when its device connected.
    pub(crate) fn opened(&mut self, now: Now, answer: Answer<OpenInbox>, effects: &mut Effects) {
        let Answer { waiter: name, reply } = answer;
        let Name { owner, session, .. } = name;
        let SessionStart { cursor, stamp } = match reply {
            Ok(start) => start,
            Err(refusal) => {
                self.unregister(now, name);
                return effects.mesh(owner, MeshBody::Registered { session, start: Err(refusal) });
            }
        };
        let Some(user) = self.users.get_mut(&name.user) else { return };
        let Some(follower) = user.follower_mut(name) else { return };
        follower.stamp = follower.stamp.max(Some(stamp));
        let device = follower.device.clone();
        self.presence.came(now, name.user);
        self.large.want(name.user);
        self.large.start(effects);
        let older = user.replaced(&device);
        effects.mesh(owner, MeshBody::Registered { session, start: Ok(cursor) });
        for follower in older {
            self.reads.forget(follower.reading);
            effects.mesh(follower.owner, MeshBody::Replaced { session: follower.session });
        }
        self.presence.save(now, effects);
        self.tell_presence(effects);
    }

    /// A session is gone.
    pub(crate) fn unregister(&mut self, now: Now, name: Name) {
        let Some(user) = self.users.get_mut(&name.user) else { return };
        if let Some(follower) = user.take(name) {
            self.reads.forget(follower.reading);
        }
        if user.followers.iter().all(|follower| follower.stamp.is_none()) {
            self.presence.went(now, name.user);
        }
        if user.followers.is_empty() {
            self.recent_bytes -= u64::from(user.recent_bytes());
            self.users.remove(&name.user);
            self.large.forget(name.user);
        }
    }

    /// A device or a login counts no longer. What it is opening at this moment ends too; what comes later the store
    /// refuses.
    pub(crate) fn kick(&self, user: UserId, whose: &Kicked, effects: &mut Effects) {
        for follower in self.users.get(&user).into_iter().flat_map(|user| &user.followers) {
            let ends = match whose {
                Kicked::Device(device) => follower.device == *device,
                Kicked::Family(family) => follower.family == *family,
            };
            if ends {
                effects.mesh(follower.owner, MeshBody::Kicked { session: follower.session });
            }
        }
    }
}

/// Whether one more session of this device may be there.
fn has_room(user: &User, device: &DeviceId) -> Result<(), Refusal> {
    let others: BTreeSet<&DeviceId> = user.followers.iter().map(|follower| &follower.device).collect();
    if others.len() >= DEVICES_OF_USER_MAX as usize && !others.contains(device) {
        let message = format!("the account has {DEVICES_OF_USER_MAX} devices connected, the limit");
        return Err(Refusal::new(ErrorCode::LimitExceeded, message));
    }
    if user.followers.len() >= SESSIONS_OF_USER_MAX {
        let message = format!("the account opens {SESSIONS_OF_USER_MAX} sessions at once, connect again later");
        return Err(Refusal::new(ErrorCode::Overloaded, message).after_ms(RETRY_MS));
    }
    Ok(())
}
