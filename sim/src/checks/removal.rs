//! I10, by the clients' own order: who was removed from a channel sees nothing that was first sent after the removal
//! was acknowledged, until it may have been added again.

use std::collections::BTreeMap;

use schema::op::PastAccess;
use schema::{ChannelId, UserId};

use crate::facts::{Answer, Facts, Key, MemberChange};
use crate::outcome::violated;
use crate::world::Room;

use super::Check;

/// A send this long after a removal was acknowledged still races with it: hints and pushes are under way.
const RACE_MS: u64 = 1_000;

/// From when to when a user was certainly out of a channel.
struct Absence {
    channel: ChannelId,
    user: UserId,
    since: Answer,
    /// When somebody asked to have it back.
    until: Option<u64>,
}

fn absences(facts: &Facts) -> Vec<Absence> {
    let changes = &facts.memberships;
    let mut of: BTreeMap<(ChannelId, UserId), Vec<&MemberChange>> = BTreeMap::new();
    for change in changes {
        of.entry((change.channel, change.user)).or_default().push(change);
    }
    let absence = |change: &MemberChange| {
        let since = change.answer.filter(|_| !change.adds)?;
        let mut additions = of[&(change.channel, change.user)].iter().filter(|other| other.adds);
        // An addition that was under way at the same time may have come after the removal.
        let is_contested =
            additions.clone().any(|other| other.asked < since.at && other.over.is_none_or(|over| over > change.asked));
        let until = additions.find(|other| other.asked > since.at).map(|other| other.asked);
        (!is_contested).then_some(Absence { channel: change.channel, user: change.user, since, until })
    };
    changes.iter().filter_map(absence).collect()
}

/// When each message was first acknowledged.
fn acknowledged(facts: &Facts) -> BTreeMap<Key, u64> {
    let mut first = BTreeMap::new();
    for ack in &facts.acks {
        first.entry(ack.key).or_insert(ack.at);
    }
    first
}

pub(super) fn check(rooms: &[Room], facts: &Facts) -> Check {
    let reads_all: Vec<ChannelId> =
        rooms.iter().filter(|room| room.past == PastAccess::All).map(|room| room.id).collect();
    let acknowledged = acknowledged(facts);
    let mut seen: BTreeMap<(ChannelId, UserId), Vec<_>> = BTreeMap::new();
    for sighting in &facts.sightings {
        seen.entry((sighting.message.channel_id, sighting.user)).or_default().push(sighting);
    }
    for Absence { channel, user, since, until } in absences(facts) {
        for sighting in seen.get(&(channel, user)).into_iter().flatten() {
            let message = &sighting.message;
            let key = Key { user: message.from, channel, id: message.client_msg_id };
            let Some(written) = facts.written.get(&key) else { continue };
            let is_within = until.is_none_or(|until| {
                // Where members read all of the past, one who is back reads what was sent meanwhile. Elsewhere only
                // what was not acknowledged before it was asked back may be later than its return.
                if reads_all.contains(&channel) {
                    sighting.at < until
                } else {
                    acknowledged.get(&key).is_some_and(|at| *at < until)
                }
            });
            if written.first > since.at && is_within {
                let (seq, by, at_ms) = (message.seq, &sighting.by, since.at_ms);
                violated!("I10", "{by} saw {seq} of channel {channel}, sent after {user} was out of it at {at_ms} ms");
            }
        }
    }
    Ok(())
}

/// Removals that raced with sends: at the acknowledgement others' sends to the channel were unanswered, or followed at
/// once.
pub(crate) fn races(facts: &Facts) -> usize {
    let acknowledged = acknowledged(facts);
    let removals = absences(facts).into_iter().filter(|absence| absence.since.changed);
    let races = removals.filter(|Absence { channel, user, since, .. }| {
        facts.written.iter().any(|(key, written)| {
            let is_under_way = written.first < since.at && acknowledged.get(key).is_none_or(|at| *at > since.at);
            let follows = written.first > since.at && written.first_ms <= since.at_ms + RACE_MS;
            key.channel == *channel && key.user != *user && (is_under_way || follows)
        })
    });
    races.count()
}
