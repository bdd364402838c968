//! I8: once nothing goes wrong, whoever may see a user is told what it is: present while a device is connected, and
//! offline a grace after the last one went, not before and at most a lease and a moment later. Who comes back in time
//! was never away, and strangers are told nothing.

use std::collections::{BTreeMap, BTreeSet};

use schema::limits::{LEASE_MS, PRESENCE_GRACE_MS};
use schema::op::ChannelKind;
use schema::{ChannelId, DeviceId, PresenceEntry, PresenceState, UserId};

use crate::facts::{Facts, PresenceSeen};
use crate::outcome::violated;
use crate::world::World;

use super::Check;
use super::store::Log;

/// What a batch of pushes, the tick of a home and the network may take beside.
const MOMENT_MS: u64 = 5_000;

pub(super) fn check(world: &World, log: &Log, facts: &Facts) -> Check {
    let Some(leaving_ms) = facts.presence.leaving_ms else { return Ok(()) };
    let friends = always_together(world, facts);
    let mut before: BTreeMap<(&DeviceId, UserId), &PresenceSeen> = BTreeMap::new();
    let mut gone: BTreeSet<(&DeviceId, UserId)> = BTreeSet::new();
    for told in &facts.presence.seen {
        let about = told.entry.user_id;
        if !log.ever_together(told.to, about) && told.entry != PresenceEntry::unknown(about) {
            violated!("I8", "{} was told {:?} of a stranger", told.by, told.entry);
        }
        if told.to != about && !friends.contains(&(told.to, about)) {
            continue;
        }
        if told.at_ms < leaving_ms {
            before.insert((&told.by, about), told);
        }
        if told.is_change && told.entry.state == PresenceState::Offline {
            check_offline(told, facts)?;
            gone.insert((&told.by, about));
        }
    }
    for ((by, about), told) in before {
        if told.entry.state == PresenceState::Offline {
            violated!("I8", "all is quiet, {about} is connected, and {by} was last told {told:?}");
        }
        let may_hear = !facts.presence.left_ms.contains_key(&told.to);
        if facts.presence.left_ms.contains_key(&about) && may_hear && !gone.contains(&(by, about)) {
            let left_ms = facts.presence.left_ms[&about];
            violated!("I8", "{about} left at {left_ms} ms, and {by} was not told");
        }
    }
    Ok(())
}

/// Somebody is told that a user went offline.
fn check_offline(told: &PresenceSeen, facts: &Facts) -> Check {
    let (by, about, at_ms) = (&told.by, told.entry.user_id, told.at_ms);
    let Some(left_ms) = facts.presence.left_ms.get(&about) else {
        violated!("I8", "{by} was told at {at_ms} ms that {about} is offline, which did not leave");
    };
    let due_ms = left_ms + PRESENCE_GRACE_MS;
    if !(due_ms..=due_ms + LEASE_MS + MOMENT_MS).contains(&at_ms) {
        violated!("I8", "{about} left at {left_ms} ms, and {by} was told at {at_ms} ms that it is offline");
    }
    Ok(())
}

/// Who shared a channel with whom from the beginning to the end.
fn always_together(world: &World, facts: &Facts) -> BTreeSet<(UserId, UserId)> {
    let changed: BTreeSet<(ChannelId, UserId)> =
        facts.memberships.iter().map(|change| (change.channel, change.user)).collect();
    let mut fellows = BTreeSet::new();
    for room in world.rooms.borrow().iter().filter(|room| room.kind != ChannelKind::Large) {
        let stays = |user: &&UserId| !changed.contains(&(room.id, **user));
        for &one in room.members.iter().filter(stays) {
            fellows.extend(room.members.iter().filter(stays).filter(|other| **other != one).map(|other| (one, *other)));
        }
    }
    fellows
}
