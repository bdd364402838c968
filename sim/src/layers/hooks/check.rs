//! What must hold of webhooks at the end (I14): each was told all that it wants and nothing else, a lane's events in the
//! order of their commits.
//!
//! What happened is known by inboxes, where all that concerns direct channels and groups is, and by the logs of large
//! channels. Marks of what was read are left out: of several in one transaction inboxes have the last alone.

use std::collections::{BTreeMap, BTreeSet};

use chat::hooks::Hook;
use schema::hook::{HookKind, channel_kind_bit};
use schema::op::ChannelKind;
use schema::record::{EventRecord, EventRecordBody};
use schema::{ChannelId, Position, Stamp};

use crate::checks::{Check, Log};
use crate::outcome::violated;

use super::super::world::World;
use super::state::{Hooks, Taken};

/// What happened at one transaction, how often.
type Happened = BTreeMap<(Stamp, Vec<u8>), u64>;

/// All of it; the first that does not hold.
pub(in super::super) fn check(world: &World, log: &Log) -> Check {
    let Some(hooks) = &world.hooks else { return Ok(()) };
    let taken = hooks.taken.borrow();
    let nothing = Taken::default();
    for hook in &hooks.hooks {
        let taken = taken.get(&hook.id).unwrap_or(&nothing);
        in_order(hook, taken)?;
        whole(world, hooks, log, (hook, taken))?;
    }
    Ok(())
}

fn in_order(hook: &Hook, taken: &Taken) -> Check {
    let mut last: BTreeMap<u16, Position> = BTreeMap::new();
    for (lane, position, _) in &taken.events {
        if let Some(before) = last.insert(*lane, *position).filter(|before| before >= position) {
            violated!("I14", "hook {} was told of {position} in lane {lane} after {before}", hook.id);
        }
    }
    Ok(())
}

fn whole(world: &World, hooks: &Hooks, log: &Log, (hook, taken): (&Hook, &Taken)) -> Check {
    let kinds: BTreeMap<ChannelId, ChannelKind> = world.rooms.iter().map(|room| (room.id, room.kind)).collect();
    let wants_of = |kind: HookKind, channel: ChannelId| {
        hook.record.events & kind.bit() != 0
            && (hook.record.kinds == 0 || hook.record.kinds & channel_kind_bit(kinds[&channel]) != 0)
            && (hook.record.channels.is_empty() || hook.record.channels.contains(&channel))
    };
    let wants = |event: &EventRecord| wants_of(HookKind::of_event(&event.body), event.channel);
    let wants_messages_of = |channel| wants_of(HookKind::MessageSent, channel);
    let is_mark = |event: &EventRecord| matches!(event.body, EventRecordBody::Read { .. });
    let is_large = |event: &EventRecord| kinds[&event.channel] == ChannelKind::Large;

    let mut told = Happened::new();
    let mut messages: BTreeMap<ChannelId, Vec<u64>> = BTreeMap::new();
    // Feeds are in no inbox.
    let of_rooms = taken.events.iter().filter(|(_, _, event)| kinds.contains_key(&event.channel));
    for (_, position, event) in of_rooms {
        if !wants(event) {
            violated!("I14", "hook {} was told of {event:?} at {position}, which it does not want", hook.id);
        }
        if let EventRecordBody::Message { seq, .. } = event.body {
            messages.entry(event.channel).or_default().push(seq.0);
        }
        if !is_mark(event) && !is_large(event) {
            *told.entry((position.stamp, event.encode())).or_default() += 1;
        }
    }
    let mut happened = Happened::new();
    let mut seen = BTreeSet::new();
    for row in log.inboxes.values().flat_map(|(_, rows)| rows) {
        let is_new = row.position.stamp.version > hooks.since && seen.insert(row.position);
        if is_new && wants(&row.event) && !is_mark(&row.event) && !is_large(&row.event) {
            *happened.entry((row.position.stamp, row.event.encode())).or_default() += 1;
        }
    }
    let names = |(stamp, event): &(Stamp, Vec<u8>)| format!("{:?} at {stamp:?}", EventRecord::decode(event));
    if let Some((lost, _)) = happened.iter().find(|(event, times)| told.get(event) < Some(times)) {
        violated!("I14", "hook {} was not told of {}", hook.id, names(lost));
    }
    if let Some((invented, _)) = told.iter().find(|(event, times)| happened.get(event) < Some(times)) {
        violated!("I14", "hook {} was told of {}, which is in no inbox", hook.id, names(invented));
    }
    // Large channels' messages are in no inbox.
    for (&channel, &before) in &hooks.heads {
        let told = messages.remove(&channel).unwrap_or_default();
        let all = (before.0 + 1..=log.head(channel).0).filter(|_| wants_messages_of(channel));
        if !told.iter().copied().eq(all) {
            let head = log.head(channel);
            violated!(
                "I14",
                "hook {} was told of #{told:?} of channel {channel}, which went from {before} to {head}",
                hook.id
            );
        }
    }
    Ok(())
}
