//! The store after the end: the log of every channel, every inbox, and what `store check` says (I2, I5, I6).

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_lite::future::block_on;
use schema::command::{History, HistoryWindow};
use schema::op::ChannelKind;
use schema::record::{MemberRecord, SeqRange};
use schema::{ChannelId, Event, Message, Position, Seq, UserId};
use storage::layers::inbox::{InboxLimits, InboxPage};
use storage::layers::{check, history, inbox};
use storage::memory::{MemoryEngine, MemoryOptions};
use storage::{Begin, Engine, Transaction, keys};

use crate::world::{Violation, World};

use super::{Check, violated};

/// The store as a new process opens it, without faults.
pub(super) fn reopen(world: &World) -> MemoryEngine {
    MemoryEngine::open(&world.store, MemoryOptions::default())
}

/// What the store holds when all is over.
pub(super) struct Log {
    pub(super) channels: BTreeMap<ChannelId, Vec<Arc<Message>>>,
    /// What each inbox holds, and up to where it was trimmed.
    pub(super) inboxes: BTreeMap<UserId, (Position, Vec<Event>)>,
    pub(super) ranges: BTreeMap<(ChannelId, UserId), Vec<SeqRange>>,
    pub(super) groups: Vec<ChannelId>,
}

impl Log {
    /// Reads all of it.
    pub(super) fn read(world: &World, engine: &MemoryEngine) -> Result<Self, Violation> {
        let (mut channels, mut ranges, mut groups) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for room in world.rooms.borrow().iter() {
            channels.insert(room.id, log(engine, room.members[0], room.id)?);
            if room.kind == ChannelKind::Group {
                groups.push(room.id);
            }
            for &user in &world.users {
                ranges.insert((room.id, user), visible(engine, room.id, user)?);
            }
        }
        let mut inboxes = BTreeMap::new();
        for &user in &world.users {
            let floor = floor(engine, user)?;
            inboxes.insert(user, (floor, events(engine, user, floor)?));
        }
        Ok(Self { channels, inboxes, ranges, groups })
    }
}

fn unreadable(error: impl std::fmt::Display) -> Violation {
    Violation::new("I3", format!("the store cannot be read: {error}"))
}

/// A channel's messages as one who was always in it sees them.
fn log(engine: &MemoryEngine, user: UserId, channel_id: ChannelId) -> Result<Vec<Arc<Message>>, Violation> {
    let mut messages: Vec<Arc<Message>> = Vec::new();
    loop {
        let after = messages.last().map_or(Seq::ZERO, |message| message.seq);
        let request = History { channel_id, window: HistoryWindow::After(after), limit: 200 };
        let page = block_on(history::page(engine, user, &request)).map_err(unreadable)?;
        messages.extend(page.messages);
        if !page.more {
            return Ok(messages);
        }
    }
}

/// The row is a format byte and a position.
fn floor(engine: &MemoryEngine, user: UserId) -> Result<Position, Violation> {
    let row = block_on(engine.begin(Begin::Fresh).get(&keys::inbox_floor(user))).map_err(unreadable)?;
    let Some(row) = row else { return Ok(Position::START) };
    let place = row.get(1..).and_then(|place| place.try_into().ok());
    place.map(Position::from_bytes).ok_or_else(|| unreadable(format!("the floor of user {user} is {row:02x?}")))
}

fn events(engine: &MemoryEngine, user: UserId, floor: Position) -> Result<Vec<Event>, Violation> {
    let limits = InboxLimits { rows: 200, bytes: u32::MAX, at_connect: false };
    let (mut all, mut after) = (Vec::new(), floor);
    loop {
        match block_on(inbox::read(engine, user, after, 0, limits)).map_err(unreadable)? {
            InboxPage::Events { events, through, exhausted } => {
                all.extend(events);
                after = through;
                if exhausted {
                    return Ok(all);
                }
            }
            InboxPage::Behind => {
                return Err(Violation::new("I6", format!("the inbox of user {user} says it ends after {after}")));
            }
        }
    }
}

/// The ranges of one who is or was a member.
fn visible(engine: &MemoryEngine, channel: ChannelId, user: UserId) -> Result<Vec<SeqRange>, Violation> {
    let tx = engine.begin(Begin::Fresh);
    for key in [keys::membership(user, channel), keys::former(channel, user)] {
        if let Some(row) = block_on(tx.get(&key)).map_err(unreadable)? {
            return MemberRecord::decode(&row).map(|record| record.ranges).map_err(unreadable);
        }
    }
    Ok(Vec::new())
}

/// What an operator's `store check` would find.
pub(super) fn check(engine: &MemoryEngine) -> Check {
    match block_on(check::run(engine, |_| {})) {
        Ok(_) => Ok(()),
        Err(check::CheckError::Violated { invariant, found }) => violated(invariant, format!("store check: {found}")),
        Err(error) => Err(unreadable(error)),
    }
}
