//! The store after the end: the log of every channel, every inbox, and what `store check` says (I2, I5, I6).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chat::keys;
use chat::{check, history};
use futures_lite::future::block_on;
use kv::memory::{MemoryEngine, MemoryOptions, MemoryStore};
use kv::{Begin, Engine, RangeRequest, Transaction};
use schema::command::{History, HistoryWindow};
use schema::op::ChannelKind;
use schema::record::{EventRecord, MemberRecord, RecordError, SeqRange};
use schema::{ChannelId, Emoji, Message, Position, Seq, UserId};

use crate::outcome::Violation;
use crate::world::Room;

use super::Check;

/// The store as a new process opens it, without faults.
pub(crate) fn reopen(store: &MemoryStore) -> MemoryEngine {
    MemoryEngine::open(store, MemoryOptions::default())
}

/// What the store holds when all is over.
pub(crate) struct Log {
    pub(super) channels: BTreeMap<ChannelId, Vec<Arc<Message>>>,
    /// What each inbox holds, and up to where it was trimmed.
    pub(crate) inboxes: BTreeMap<UserId, (Position, Vec<Row>)>,
    pub(crate) ranges: BTreeMap<(ChannelId, UserId), Vec<SeqRange>>,
    /// Channels whose members come and go.
    pub(super) groups: Vec<ChannelId>,
    pub(super) reactions: BTreeSet<(ChannelId, Seq, Emoji, UserId)>,
    /// Channels in which each user is or was.
    channels_of: BTreeMap<UserId, BTreeSet<ChannelId>>,
    larges: BTreeSet<ChannelId>,
}

/// One row of an inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) position: Position,
    pub(crate) event: EventRecord,
}

impl Log {
    /// The message at a place, as it is at the end.
    pub(crate) fn message(&self, channel: ChannelId, seq: Seq) -> Option<&Arc<Message>> {
        let place = usize::try_from(seq.0).expect("a run is short");
        self.channels.get(&channel).and_then(|messages| messages.get(place.wrapping_sub(1)))
    }

    /// The last seq of a channel.
    pub(crate) fn head(&self, channel: ChannelId) -> Seq {
        Seq(self.channels.get(&channel).map_or(0, Vec::len) as u64)
    }

    /// Whether two users were ever in one direct channel or group, or are the same.
    pub(super) fn ever_together(&self, one: UserId, other: UserId) -> bool {
        let shared = self.channels_of[&one].intersection(&self.channels_of[&other]);
        one == other || shared.copied().any(|channel| !self.larges.contains(&channel))
    }

    /// Reads all of it.
    pub(super) fn read(engine: &MemoryEngine, rooms: &[Room], users: &[UserId]) -> Result<Self, Violation> {
        let (mut channels, mut ranges, mut groups) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for room in rooms {
            channels.insert(room.id, log(engine, room.members[0], room.id)?);
            match room.kind {
                ChannelKind::Direct | ChannelKind::Feed => {}
                ChannelKind::Group | ChannelKind::Large => groups.push(room.id),
            }
            for &user in users {
                ranges.insert((room.id, user), visible(engine, room.id, user)?);
            }
        }
        let larges = rooms.iter().filter(|room| room.kind == ChannelKind::Large).map(|room| room.id).collect();
        let (mut inboxes, mut channels_of) = (BTreeMap::new(), BTreeMap::new());
        for &user in users {
            let floor = floor(engine, user)?;
            inboxes.insert(user, (floor, rows(engine, user, floor)?));
            channels_of.insert(user, channels_of_user(engine, user)?);
        }
        Ok(Self { channels, inboxes, ranges, groups, reactions: reactions(engine)?, channels_of, larges })
    }
}

/// What cannot be read of the store is lost.
pub(crate) fn unreadable(error: impl std::fmt::Display) -> Violation {
    Violation::new("I3", format!("the store cannot be read: {error}"))
}

/// All rows of a range.
pub(crate) fn all_rows(engine: &MemoryEngine, range: RangeRequest) -> Result<Vec<kv::Row>, Violation> {
    let (mut rows, mut next) = (Vec::new(), Some(range));
    while let Some(range) = next {
        let page = block_on(engine.begin(Begin::Fresh).get_range(&range)).map_err(unreadable)?;
        next = range.after(&page);
        rows.extend(page.rows);
    }
    Ok(rows)
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

fn rows(engine: &MemoryEngine, user: UserId, floor: Position) -> Result<Vec<Row>, Violation> {
    let row = |row: &kv::Row| {
        let (_, position) = keys::inbox_place(&row.key)?;
        Ok(Row { position, event: EventRecord::decode(&row.value)? })
    };
    let rows = all_rows(engine, keys::inbox_after(user, floor))?;
    rows.iter().map(row).collect::<Result<_, RecordError>>().map_err(unreadable)
}

fn channels_of_user(engine: &MemoryEngine, user: UserId) -> Result<BTreeSet<ChannelId>, Violation> {
    let now = all_rows(engine, keys::memberships_after(user, None))?;
    let now = now.iter().map(|row| keys::membership_of(&row.key).map(|of| of.1));
    let left = all_rows(engine, keys::left_newest(user))?;
    let left = left.iter().map(|row| keys::left_of(&row.key).map(|of| of.1));
    now.chain(left).collect::<Result<_, _>>().map_err(unreadable)
}

fn reactions(engine: &MemoryEngine) -> Result<BTreeSet<(ChannelId, Seq, Emoji, UserId)>, Violation> {
    let rows = all_rows(engine, keys::reactions_to_all())?;
    rows.iter().map(|row| keys::reaction_of(&row.key)).collect::<Result<_, _>>().map_err(unreadable)
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
        Err(check::CheckError::Violated { invariant, found }) => {
            Err(Violation::new(invariant, format!("store check: {found}")))
        }
        Err(error) => Err(unreadable(error)),
    }
}
