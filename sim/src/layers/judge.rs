//! Judgement of a run at its end: the checkers of clients' evidence, and more.
//!
//! I7: no transaction of an epoch comes after one that ended it, and nothing arrives at a home of a life after that
//! life's end. I6 where inboxes and arrivals meet: all that is in an inbox arrived at one home, which was told of it or
//! has left it when it went, and nobody was told of anything else. I9 is judged where its evidence is.

use std::collections::{BTreeMap, BTreeSet};

use chat::keys;
use kv::memory::MemoryEngine;
use schema::record::{ArrivalRecord, RecordError};
use schema::{Owner, Position, Stamp, UserId};

use crate::checks::{self, Check, Log};
use crate::outcome::{Violation, violated};

use super::hooks;
use super::notices;
use super::posts;
use super::world::World;

/// A row of arrivals.
type Arrival = ((Owner, Stamp), ArrivalRecord);

/// All of it; the first that does not hold. The store is looked at after a last loss of power.
pub(super) fn all(world: &World) -> Check {
    world.store.power_loss();
    let facts = world.facts.borrow();
    let engine = checks::reopen(&world.store);
    let log = checks::without_sessions(&engine, &world.rooms, &world.users, &facts)?;
    let left = arrivals_left(&engine)?;
    fenced(world)?;
    nothing_after_the_end(world, &left)?;
    arrived(world, &log, &left)?;
    notices::check(world, &engine, &log)?;
    hooks::check(world, &log)?;
    posts::check(world, &engine)
}

/// Rows of arrivals that no home has cleared.
fn arrivals_left(engine: &MemoryEngine) -> Result<Vec<Arrival>, Violation> {
    let arrival = |row: &kv::Row| Ok((keys::arrival_place(&row.key)?, ArrivalRecord::decode(&row.value)?));
    let rows = checks::all_rows(engine, keys::arrivals())?;
    rows.iter().map(arrival).collect::<Result<_, RecordError>>().map_err(checks::unreadable)
}

/// I7, by what was told.
fn fenced(world: &World) -> Check {
    let views = world.views.borrow();
    for (epoch, stamp) in world.commits.borrow().iter().copied() {
        if let Some((by, version)) = views.ended(epoch, stamp.version) {
            violated!("I7", "{stamp:?} committed under {epoch:?}, which {by:?} had ended at {version} or before");
        }
    }
    Ok(())
}

/// I7, by what arrived.
fn nothing_after_the_end(world: &World, left: &[Arrival]) -> Check {
    let (views, homes, adopted) = (world.views.borrow(), world.homes.borrow(), world.adopted.borrow());
    let told = homes.iter().flat_map(|(home, kept)| kept.told().iter().map(|(stamp, _)| (*home, *stamp)));
    let places = told.chain(left.iter().map(|(place, _)| *place)).chain(adopted.keys().copied());
    for (home, stamp) in places {
        if let Some(version) = views.life_ended(home.incarnation).filter(|version| stamp.version > *version) {
            violated!("I7", "{stamp:?} arrived at {home}, whose life was over at {version} or before");
        }
    }
    Ok(())
}

/// I6 of arrivals.
fn arrived(world: &World, log: &Log, left: &[Arrival]) -> Check {
    let (views, homes, adopted) = (world.views.borrow(), world.homes.borrow(), world.adopted.borrow());
    let mut told: BTreeMap<UserId, BTreeSet<Position>> = BTreeMap::new();
    for (home, kept) in &*homes {
        let mut last = Stamp::default();
        for (stamp, record) in kept.told() {
            if *stamp <= last {
                violated!("I6", "{home} was told of {stamp:?} after {last:?}");
            }
            last = *stamp;
            add_positions(&mut told, *stamp, record);
        }
    }
    // A life that lasts reads all that arrives there, and nobody else does anything with it.
    let is_over = |home: &Owner| views.newest().is_none_or(|view| view.member(home.incarnation).is_none());
    let left = left.iter().map(|(place, record)| (place, record));
    for ((_, stamp), record) in adopted.iter().chain(left).filter(|((home, _), _)| is_over(home)) {
        add_positions(&mut told, *stamp, record);
    }
    for (user, (_, rows)) in &log.inboxes {
        let in_inbox: BTreeSet<Position> = rows.iter().map(|row| row.position).collect();
        let told = told.remove(user).unwrap_or_default();
        if let Some(position) = told.difference(&in_inbox).next() {
            violated!("I6", "{position} arrived for {user}, whose inbox has nothing there");
        }
        if let Some(position) = in_inbox.difference(&told).next() {
            violated!("I6", "{position} of {user}'s inbox arrived nowhere");
        }
    }
    Ok(())
}

fn add_positions(told: &mut BTreeMap<UserId, BTreeSet<Position>>, stamp: Stamp, record: &ArrivalRecord) {
    for event in &record.events {
        for &user in &record.audiences[usize::from(event.audience)] {
            told.entry(user).or_default().insert(stamp.at(event.ordinal));
        }
    }
}
