//! The store as the run finds it: accounts, direct channels, groups. No faults yet, and everything durable.

use std::sync::Arc;

use chat::appender::Appender;
use chat::{accounts, view};
use futures_lite::future::block_on;
use kv::Generation;
use kv::memory::{MemoryEngine, MemoryOptions, MemoryStore};
use schema::op::{ChannelKind, CreateOp, PastAccess};
use schema::record::UserRecord;
use schema::{ChannelId, ChannelOp, Incarnation, OpReply, Owner, ShardIndex, UserId};

use crate::rng::Rng;

use super::{Room, WALL};

/// The life that made all of it.
const MAKER: Incarnation = Incarnation(1);

/// What is in the store at the start.
pub(crate) struct Start {
    pub(crate) store: MemoryStore,
    pub(crate) users: Vec<UserId>,
    pub(crate) rooms: Vec<Room>,
}

/// How much of it there is.
pub(crate) struct Size {
    pub(crate) users: usize,
    pub(crate) groups: usize,
    pub(crate) larges: usize,
}

/// Makes the users, a direct channel of each two neighbours, and the groups.
pub(crate) fn fill(size: &Size, rng: &mut Rng) -> Start {
    let store = MemoryStore::new(Generation(rng.bits()));
    let engine = MemoryEngine::open(&store, MemoryOptions::default());
    let users: Vec<UserId> = (0..size.users).map(|_| UserId::new(WALL, rng.bits())).collect();
    for (number, &user) in users.iter().enumerate() {
        let record = UserRecord {
            username: format!("user.{number}"),
            display_name: format!("User {number}"),
            created_ms: WALL,
            ..UserRecord::default()
        };
        let made = block_on(accounts::create_user(&engine, user, &record, None)).expect("nothing goes wrong yet");
        assert_eq!(made, accounts::SignUp::Created, "users are distinct");
    }
    let mut rooms = Vec::new();
    for pair in users.windows(2) {
        rooms.push(room(ChannelKind::Direct, pair.to_vec(), rng));
    }
    for _ in 0..size.groups {
        let mut members = users.clone();
        let first = rng.index(members.len());
        members.swap(0, first);
        members.truncate(1 + rng.index(members.len()));
        rooms.push(room(ChannelKind::Group, members, rng));
    }
    for _ in 0..size.larges {
        let mut members = users.clone();
        let first = rng.index(members.len());
        members.swap(0, first);
        members.truncate(1 + rng.index(members.len()));
        let past = if rng.chance(500) { PastAccess::All } else { PastAccess::Joined };
        rooms.push(Room { past, ..room(ChannelKind::Large, members, rng) });
    }
    make(&engine, &rooms);
    // Nodes find nobody whose lease they would have to wait for.
    block_on(view::leave(&engine, MAKER)).expect("nothing goes wrong yet");
    Start { store, users, rooms }
}

fn room(kind: ChannelKind, members: Vec<UserId>, rng: &mut Rng) -> Room {
    Room { id: ChannelId::new(WALL, rng.bits()), kind, past: PastAccess::Joined, members }
}

/// As an earlier life of the node would.
fn make(engine: &MemoryEngine, rooms: &[Room]) {
    let incarnation = MAKER;
    let view = Arc::new(block_on(view::claim(engine, incarnation, 1)).expect("nothing goes wrong yet"));
    let mut appender = Appender::new(Owner { incarnation, shard: ShardIndex(0) });
    for (ticket, room) in (0..).zip(rooms) {
        let (&creator, members) = room.members.split_first().expect("a room has a maker");
        let title = if room.kind == ChannelKind::Direct { "".into() } else { "room".into() };
        let create = CreateOp {
            kind: room.kind,
            title,
            creator,
            members: members.to_vec(),
            idempotency_key: None,
            past: room.past,
        };
        appender.push(ticket, view.epoch, room.id, ChannelOp::Create(create));
    }
    while let Some(batch) = appender.next_batch(&view, WALL) {
        for (_, reply) in appender.finished(block_on(batch.run(engine.clone()))).replies {
            assert!(matches!(reply, Ok(OpReply::Created { existed: false, .. })), "{reply:?}");
        }
    }
}
