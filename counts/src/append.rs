//! Direct messages through the appender, over the engine in memory: what a batch takes beside a disk.

use std::sync::Arc;

use chat::appender::Appender;
use chat::{keys, view};
use futures_lite::future::block_on;
use kv::memory::MemoryEngine;
use kv::{Begin, Engine as _, Transaction as _};
use schema::message::no_mentions;
use schema::op::{ChannelKind, CreateOp, PastAccess, SendOp};
use schema::record::UserRecord;
use schema::{ChannelId, ChannelOp, ClientMsgId, Incarnation, MessageKind, Owner, ShardIndex, UnixMs, UserId, View};

/// Messages of a batch, each to a channel of its own.
pub(crate) const BATCH: u32 = 100;
const WALL: UnixMs = UnixMs(1_767_225_600_000);
const BODY: &str =
    "a text of some hundred bytes, as people write them to each other: one sentence, and then another one";

pub(crate) fn run(rounds: u32) {
    let engine = MemoryEngine::ephemeral();
    let owner = Owner { incarnation: Incarnation(1), shard: ShardIndex(0) };
    let view = Arc::new(block_on(view::claim(&engine, owner.incarnation, 1)).expect("nobody else is there"));
    let mut appender = Appender::new(owner);
    make_users(&engine);
    for channel in 0..BATCH {
        let op = ChannelOp::Create(CreateOp {
            kind: ChannelKind::Direct,
            title: "".into(),
            creator: member(channel, 0),
            members: vec![member(channel, 1)],
            idempotency_key: None,
            past: PastAccess::Joined,
        });
        appender.push(channel.into(), view.epoch, ChannelId(channel.into()), op);
    }
    carry_out(&engine, &mut appender, &view);
    for round in 0..rounds {
        for channel in 0..BATCH {
            let number = u64::from(round) * u64::from(BATCH) + u64::from(channel);
            let op = ChannelOp::Send(SendOp {
                from: member(channel, round % 2),
                client_msg_id: ClientMsgId::new(WALL, number.into()),
                kind: MessageKind::Text,
                body: BODY.into(),
                reply_to: None,
                mentions: no_mentions(),
                ruling: None,
                audience: None,
                media: Vec::new(),
            });
            appender.push(number, view.epoch, ChannelId(channel.into()), op);
        }
        carry_out(&engine, &mut appender, &view);
    }
}

fn carry_out(engine: &MemoryEngine, appender: &mut Appender, view: &Arc<View>) {
    while let Some(batch) = appender.next_batch(view, WALL) {
        let finished = appender.finished(block_on(batch.run(engine.clone())));
        assert!(finished.replies.iter().all(|(_, reply)| reply.is_ok()), "all are carried out");
    }
}

fn member(channel: u32, which: u32) -> UserId {
    UserId(u64::from(channel) * 2 + u64::from(which))
}

fn make_users(engine: &MemoryEngine) {
    let mut tx = engine.begin(Begin::Fresh);
    for channel in 0..BATCH {
        for user in [member(channel, 0), member(channel, 1)] {
            let record = UserRecord { username: format!("user{}", user.0), created_ms: WALL, ..UserRecord::default() };
            tx.set(&keys::user(user), &record.encode());
        }
    }
    block_on(tx.commit()).expect("the engine forgets everything with the process, and fails in nothing");
}
