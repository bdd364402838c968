//! Judgement of a run at its end: the checkers of clients' evidence, and two more.
//!
//! I7: no transaction of an epoch comes after one that ended it. I6 where inboxes and arrivals meet: the homes of the
//! last view were told of everything that is in their users' inboxes since, and nobody was told of anything else.

use std::collections::{BTreeMap, BTreeSet};

use chat::keys;
use kv::memory::MemoryEngine;
use schema::record::{ArrivalRecord, RecordError};
use schema::{Epoch, Position, Stamp, UserId};

use crate::checks::{self, Check, Log};
use crate::outcome::{Violation, violated};

use super::world::World;

/// All of it; the first that does not hold. The store is looked at after a last loss of power.
pub(super) fn all(world: &World) -> Check {
    world.store.power_loss();
    let facts = world.facts.borrow();
    let engine = checks::reopen(&world.store);
    let log = checks::without_sessions(&engine, &world.rooms, &world.users, &facts)?;
    let left = arrivals_left(&engine)?;
    fenced(world)?;
    arrived(world, &log, &left)
}

/// Rows of arrivals that no home has cleared.
fn arrivals_left(engine: &MemoryEngine) -> Result<Vec<(Stamp, ArrivalRecord)>, Violation> {
    let arrival = |row: &kv::Row| {
        let (_home, stamp) = keys::arrival_place(&row.key)?;
        Ok((stamp, ArrivalRecord::decode(&row.value)?))
    };
    let rows = checks::all_rows(engine, keys::arrivals())?;
    rows.iter().map(arrival).collect::<Result<_, RecordError>>().map_err(checks::unreadable)
}

/// I7, by what was told.
fn fenced(world: &World) -> Check {
    let (commits, epochs) = (world.commits.borrow(), world.epochs.borrow());
    for (epoch, stamp) in commits.iter().copied() {
        let later = epochs.range(Epoch(epoch.0 + 1)..).find(|(_, version)| stamp.version > **version);
        if let Some((ended_by, version)) = later {
            violated!("I7", "{stamp:?} committed under {epoch:?}, which {ended_by:?} had ended at {version} or before");
        }
    }
    Ok(())
}

/// I6 of arrivals.
fn arrived(world: &World, log: &Log, left: &[(Stamp, ArrivalRecord)]) -> Check {
    let mut told: BTreeMap<UserId, BTreeSet<Position>> = BTreeMap::new();
    let arrived = world.arrived.borrow();
    for (home, arrived) in &*arrived {
        let mut last = Stamp::default();
        for (stamp, record) in &arrived.rows {
            if *stamp <= last {
                violated!("I6", "{home} was told of {stamp:?} after {last:?}");
            }
            last = *stamp;
            add_positions(&mut told, *stamp, record);
        }
    }
    let in_inboxes: BTreeMap<UserId, BTreeSet<Position>> =
        log.inboxes.iter().map(|(user, (_, rows))| (*user, rows.iter().map(|row| row.position).collect())).collect();
    let mut lies = told.clone();
    left.iter().for_each(|(stamp, record)| add_positions(&mut lies, *stamp, record));
    for (user, positions) in &lies {
        if let Some(position) = positions.difference(&in_inboxes[user]).next() {
            violated!("I6", "{position} arrived for {user}, whose inbox has nothing there");
        }
    }
    // A view always stands before anybody is told anything.
    let since = world.epochs.borrow().values().copied().max().unwrap_or_default();
    for (user, positions) in &in_inboxes {
        let arrived = told.get(user);
        let unread = positions.iter().find(|position| {
            position.stamp.version > since && !arrived.is_some_and(|arrived| arrived.contains(position))
        });
        if let Some(position) = unread {
            violated!("I6", "{position} of {user}'s inbox arrived nowhere, since {since}");
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
