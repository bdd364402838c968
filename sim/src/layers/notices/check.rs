//! I9: every item that is due comes to an attempt that succeeds once nothing goes wrong, or to nothing for a reason that is
//! seen in the store; and whoever takes an id once is told of nothing twice.

use std::collections::{BTreeMap, BTreeSet};

use chat::keys;
use chat::notices::cache::STALE_MS;
use chat::notices::given_up;
use chat::notices::settings::MESSAGES;
use futures_lite::future::block_on;
use kv::memory::MemoryEngine;
use kv::{Begin, Engine as _, Transaction as _};
use schema::limits::MEMBER_RANGES_MAX;
use schema::record::{DeliveryRecord, DeliveryState, EventRecordBody, MemberRecord, NoticeEventRecord, ReadMarkRecord};
use schema::{ChannelId, NoticeId, Position, Seq, UserId};

use crate::checks::{Check, Log, all_rows, unreadable};
use crate::outcome::{Violation, violated};
use crate::world::WALL;

use super::super::world::World;
use super::people::expires_soon;
use super::start::APP;
use super::state::{Effect, Evidence, MEDIA, NEWS, Notices, Request, SPEED};

/// Jobs that were given up, at most.
const DEAD_MAX: u32 = 10_000;

/// Ranges that are known of a member.
const RANGES_MAX: usize = MEMBER_RANGES_MAX as usize;

/// All of it, where users are notified.
pub(in super::super) fn check(world: &World, engine: &MemoryEngine, log: &Log) -> Check {
    let Some(notices) = &world.notices else { return Ok(()) };
    let evidence = notices.evidence.borrow();
    once(&evidence)?;
    readable(&evidence, log)?;
    wanted(&evidence)?;
    messages(world, notices, &evidence, engine, log)?;
    evidence.requests.iter().try_for_each(|request| of_application(&evidence, request))?;
    ended(&evidence, engine)?;
    followed(&evidence, engine)
}

/// One id for what a device is told.
fn once(evidence: &Evidence) -> Check {
    let mut known: BTreeMap<(UserId, &str, NoticeId, ChannelId, Seq), u128> = BTreeMap::new();
    for (&id, effect) in &evidence.effects {
        // Of a message the place counts, whatever its notice is called.
        let notice = if effect.channel.0 == 0 { effect.notice } else { NoticeId::default() };
        let place = (effect.user, effect.device.as_str(), notice, effect.channel, effect.seq);
        if let Some(other) = known.insert(place, id) {
            violated!("I9", "{effect:?} was told as {id:x} and as {other:x}");
        }
        // An earlier message is told in the place of one that was deleted, unless it had a notification itself.
        let said = (effect.user, effect.device.as_str(), notice, effect.channel, effect.said);
        if effect.said != effect.seq
            && let Some(other) = known.insert(said, id)
        {
            violated!("I9", "{effect:?} was told as {id:x}, and what it says as {other:x}");
        }
    }
    Ok(())
}

/// Nobody is told of a message that it may never have read (I10).
fn readable(evidence: &Evidence, log: &Log) -> Check {
    for effect in evidence.effects.values().filter(|effect| effect.channel.0 != 0) {
        let ranges = log.ranges.get(&(effect.channel, effect.user)).map(Vec::as_slice).unwrap_or_default();
        if ranges.len() >= RANGES_MAX {
            // The earliest were forgotten.
            continue;
        }
        let shows = |seq: Seq| ranges.iter().any(|range| seq > range.after && range.through.is_none_or(|to| seq <= to));
        if !shows(effect.said) {
            violated!("I9", "{effect:?} was told, and its user may read {ranges:?}");
        }
    }
    Ok(())
}

/// Nobody is told of what was turned off longer ago than anybody goes by what was read.
fn wanted(evidence: &Evidence) -> Check {
    for effect in evidence.effects.values() {
        let off = evidence.off.get(&(effect.user, effect.category())).copied().flatten();
        if let Some(since) = off.filter(|since| effect.asked.since_ms(*since) > STALE_MS) {
            violated!("I9", "{effect:?} was told, and its user wants none of these since {since:?}");
        }
    }
    Ok(())
}

/// Every message that came to an absent user, on each device that was there before it and to the end.
fn messages(world: &World, notices: &Notices, evidence: &Evidence, engine: &MemoryEngine, log: &Log) -> Check {
    for (&user, (_, rows)) in log.inboxes.iter().filter(|(user, _)| notices.is_absent(**user)) {
        if evidence.off.contains_key(&(user, MESSAGES)) {
            continue;
        }
        for row in rows {
            let EventRecordBody::Message { seq, .. } = row.event.body else { continue };
            let channel = row.event.channel;
            let Some(message) = log.message(channel, seq).filter(|message| message.from != user) else { continue };
            if message.deleted || !wants(world, engine, (user, channel, seq))? {
                continue;
            }
            let before_ms = message.sent_ms.since_ms(WALL);
            let owed = evidence
                .devices
                .iter()
                .filter(|((of, _), known)| *of == user && !known.has_ended && known.since_ms <= before_ms);
            for ((_, device), known) in owed {
                let told = |effect: &&Effect| {
                    (effect.user, &effect.device, effect.channel) == (user, device, channel) && effect.said >= seq
                };
                if evidence.effects.values().find(told).is_none() {
                    violated!(
                        "I9",
                        "{user} was never told of {channel} {seq}, or of a later one, at {device}: {known:?}"
                    );
                }
            }
        }
    }
    Ok(())
}

/// Whether a user is to be told of a message to the end: it has not read it, and wants to be told of a channel that it was
/// never taken out of.
fn wants(
    world: &World,
    engine: &MemoryEngine,
    (user, channel, seq): (UserId, ChannelId, Seq),
) -> Result<bool, Violation> {
    let row = |key: Vec<u8>| block_on(engine.begin(Begin::Fresh).get(&key)).map_err(unreadable);
    let Some(member) = row(keys::member(channel, user))? else { return Ok(false) };
    let member = MemberRecord::decode(&member).map_err(unreadable)?;
    let mark =
        row(keys::read(user, channel))?.map(|row| ReadMarkRecord::decode(&row)).transpose().map_err(unreadable)?;
    let facts = world.facts.borrow();
    let mut changes = facts.memberships.iter();
    let was_removed = changes.any(|change| !change.adds && (change.channel, change.user) == (channel, user));
    Ok(!was_removed && !member.muted && mark.is_none_or(|mark| mark.seq < seq))
}

/// What an application asked for.
fn of_application(evidence: &Evidence, request: &Request) -> Check {
    let told = |effect: &&Effect| request.ids.contains(&effect.origin);
    let mut origins: BTreeSet<NoticeId> = evidence.effects.values().filter(told).map(|effect| effect.origin).collect();
    let Some((id, accepted_ms)) = request.accepted else {
        if origins.len() > 1 {
            violated!("I9", "{request:?} was told more than once, as {origins:?}");
        }
        return Ok(());
    };
    origins.insert(id);
    if origins.len() > 1 {
        violated!("I9", "{request:?} was accepted once, and told as {origins:?}");
    }
    let for_others = |effect: &&Effect| effect.origin == id && !request.to.contains(&effect.user);
    if let Some(effect) = evidence.effects.values().find(for_others) {
        violated!("I9", "{effect:?} was told to somebody else than {request:?} says");
    }
    if request.cancelled || expires_soon(&request.record) {
        return Ok(());
    }
    let owed = evidence.devices.iter().filter(|((user, _), known)| {
        // A device that comes while the request is under way may be there in time, or not.
        let came_before = known.since_ms * SPEED <= request.record.created_ms.since_ms(WALL);
        let wants = !evidence.off.contains_key(&(*user, NEWS));
        request.to.contains(user) && wants && !known.has_ended && came_before
    });
    for ((user, device), known) in owed {
        let told = |effect: &&Effect| (effect.user, &effect.device, effect.origin) == (*user, device, id);
        let times = evidence.effects.values().filter(told).count();
        if times != 1 {
            violated!(
                "I9",
                "{request:?}, accepted at {accepted_ms} ms, was told {times} times to {user} at {device}: {known:?}"
            );
        }
    }
    Ok(())
}

/// Jobs have ended, and none was given up but what expires.
fn ended(evidence: &Evidence, engine: &MemoryEngine) -> Check {
    for row in all_rows(engine, keys::deliveries_before(u32::MAX))? {
        let record = DeliveryRecord::decode(&row.value).map_err(unreadable)?;
        if record.state == DeliveryState::Planned {
            let of = keys::delivery_fields(&row.key).map_err(unreadable)?;
            violated!("I9", "{of:?} is to be sent, and no job is left: {record:?}");
        }
    }
    for &medium in MEDIA {
        for dead in block_on(given_up(engine, medium, DEAD_MAX)).map_err(unreadable)? {
            let expires =
                |request: &&Request| request.ids.contains(&dead.record.origin) && expires_soon(&request.record);
            if evidence.requests.iter().find(expires).is_none() {
                violated!("I9", "{dead:?} was given up");
            }
        }
    }
    Ok(())
}

/// Whoever follows the application's events has heard of each acceptance once, and of each job that it was made and what
/// became of it, as the store says.
fn followed(evidence: &Evidence, engine: &MemoryEngine) -> Check {
    type Target = (NoticeId, UserId, u8, String);
    // Of a notice that recurs each time counts.
    let mut known: BTreeMap<(Target, &str), u64> = BTreeMap::new();
    for row in all_rows(engine, keys::deliveries_before(u32::MAX))? {
        let record = DeliveryRecord::decode(&row.value).map_err(unreadable)?;
        if record.origin != NoticeId::default() {
            let (_, _, user, medium, device) = keys::delivery_fields(&row.key).map_err(unreadable)?;
            let target = (record.origin, user, medium as u8, device);
            for state in [DeliveryState::Planned, record.state] {
                *known.entry((target.clone(), state.word())).or_default() += 1;
            }
        }
    }
    for request in &evidence.requests {
        if let Some((id, _)) = request.accepted {
            known.insert(((id, UserId(0), 0, String::new()), DeliveryState::Accepted.word()), 1);
        }
    }
    let mut heard: BTreeMap<(Target, &str), u64> = BTreeMap::new();
    for row in all_rows(engine, keys::notice_events_after(APP, Position::START))? {
        let event = NoticeEventRecord::decode(&row.value).map_err(unreadable)?;
        let is_of_user = event.medium == 0 && event.state != DeliveryState::Accepted;
        // What was accepted and not answered is known to nobody else.
        let is_known =
            evidence.requests.iter().any(|request| request.accepted.is_some_and(|(id, _)| id == event.notice));
        if !is_of_user && (is_known || event.medium != 0) {
            let target = (event.notice, event.user, event.medium, event.device);
            *heard.entry((target, event.state.word())).or_default() += 1;
        }
    }
    if let Some((of, times)) = known.iter().find(|(of, times)| heard.get(of) != Some(times)) {
        violated!("I9", "{of:?} was so {times} times, and heard of {:?} times", heard.get(of));
    }
    if let Some((of, times)) = heard.iter().find(|(of, _)| !known.contains_key(of)) {
        violated!("I9", "{of:?} was heard of {times} times, and never so");
    }
    Ok(())
}
