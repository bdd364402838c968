//! The mesh frames' cases.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Golden, check_complete, client};
use crate::code::ErrorCode;
use crate::event::{Event, EventBody, MemberChange, Role};
use crate::generated::rookery::mesh as table;
use crate::id::{ChannelId, Seq, SessionId, UserId};
use crate::mesh::{MeshBody, MeshFrame, More, SnapshotPlace, Target};
use crate::message::MessageKind;
use crate::op::{ChannelKind, ChannelOp, CreateOp, OpReply, Refusal, SendOp};
use crate::position::{Cursor, Position, Stamp};
use crate::time::UnixMs;
use crate::view::{Epoch, Incarnation, Owner, ShardIndex};

const STAMP: Stamp = Stamp { version: 1 << 40, batch: 3 };
const CHANNEL: ChannelId = ChannelId(180_143_985_094_819_840);
const USER: UserId = UserId(180_143_985_094_819_841);
const OTHER: UserId = UserId(u64::MAX);
const SESSION: SessionId = SessionId(0xdead_beef);

fn ops() -> Vec<(&'static str, ChannelOp)> {
    let message = client::message();
    let send = SendOp {
        from: USER,
        client_msg_id: client::client_msg_id(),
        kind: MessageKind::Text,
        body: Arc::clone(&message.body),
        reply_to: message.reply_to,
        mentions: Arc::clone(&message.mentions),
    };
    let plain = SendOp { body: "hello".into(), reply_to: None, mentions: Arc::from([]), ..send.clone() };
    let group = CreateOp {
        kind: ChannelKind::Group,
        title: "crabs".into(),
        creator: USER,
        members: vec![UserId(2), OTHER],
        idempotency_key: Some("a key".into()),
    };
    let direct = CreateOp {
        kind: ChannelKind::Direct,
        title: "".into(),
        creator: USER,
        members: vec![OTHER],
        idempotency_key: None,
    };
    vec![
        ("send", ChannelOp::Send(plain)),
        ("send-all-fields", ChannelOp::Send(send)),
        ("mark", ChannelOp::Mark { user: USER, read_seq: Seq(42) }),
        ("create-group", ChannelOp::Create(group)),
        ("create-direct", ChannelOp::Create(direct)),
        ("add-member", ChannelOp::AddMember { by: USER, user: OTHER, role: Role::Admin }),
        ("remove-member", ChannelOp::RemoveMember { by: USER, user: USER }),
    ]
}

fn results() -> Vec<(&'static str, Result<OpReply, Refusal>)> {
    vec![
        ("sent", Ok(OpReply::Sent { seq: Seq(42), sent_ms: UnixMs(1_767_268_800_123), duplicate: true })),
        ("marked", Ok(OpReply::Marked { read_seq: Seq(42), unread: 3 })),
        ("created", Ok(OpReply::Created { channel: CHANNEL, existed: true })),
        ("member-changed", Ok(OpReply::MemberChanged { changed: true })),
        ("refused", Err(refusal())),
    ]
}

fn refusal() -> Refusal {
    Refusal::new(ErrorCode::Moving, "channel 5 is moving").after_ms(250)
}

fn events() -> Vec<Event> {
    let bodies = [
        EventBody::Message(client::message()),
        EventBody::Membership { user: OTHER, change: MemberChange::Removed, role: Role::Owner },
        EventBody::Read { user: USER, read_seq: Seq(42) },
    ];
    let event = |(ordinal, body)| Event { position: STAMP.at(ordinal), channel: CHANNEL, body };
    (0..).zip(bodies).map(event).collect()
}

fn bodies() -> Vec<(String, MeshBody)> {
    let mut bodies: Vec<(String, MeshBody)> = Vec::new();
    for (name, op) in ops() {
        bodies.push((format!("apply-{name}"), MeshBody::Apply { ticket: 9, channel: CHANNEL, op }));
    }
    for (name, reply) in results() {
        bodies.push((format!("applied-{name}"), MeshBody::Applied { ticket: 9, reply }));
    }
    let cursor = Cursor { generation: 7, position: STAMP.at(u16::MAX) };
    let device = || "phone-1_A".parse().expect("legal");
    let more = More { session: SESSION, user: USER, after: STAMP.at(2), credit_bytes: 65_536, snapshot: None };
    let place = SnapshotPlace { through: Position::end_of(8), last: CHANNEL };
    let target = |session, events: &[u16]| Target {
        session: SessionId(session),
        after: Position::START,
        through: STAMP.at(2),
        events: events.to_vec(),
    };
    let snapshot = MeshBody::Snapshot {
        session: SESSION,
        after: Position::START,
        channels: client::snapshot_channels(),
        more: true,
        through: Position::end_of(8),
    };
    bodies.extend(
        [
            ("hint", MeshBody::Hint { stamp: STAMP, events: events() }),
            ("register", MeshBody::Register { session: SESSION, user: USER, device: device(), cursor: Some(cursor) }),
            ("register-newest", MeshBody::Register { session: SESSION, user: USER, device: device(), cursor: None }),
            ("registered", MeshBody::Registered { session: SESSION, start: Ok(cursor) }),
            ("registered-refused", MeshBody::Registered { session: SESSION, start: Err(refusal()) }),
            ("unregister", MeshBody::Unregister { session: SESSION, user: USER }),
            ("more", MeshBody::More(more)),
            ("more-snapshot", MeshBody::More(More { snapshot: Some(place), ..more })),
            ("deliver", MeshBody::Deliver { events: events(), targets: vec![target(1, &[0, 2]), target(2, &[])] }),
            ("snapshot", snapshot),
            ("replaced", MeshBody::Replaced { session: SESSION }),
        ]
        .map(|(name, body)| (name.to_owned(), body)),
    );
    bodies
}

#[test]
fn golden_mesh_frames() {
    let mut golden = Golden::new("mesh");
    let (mut seen, mut ops, mut results, mut events) = Default::default();
    for (name, body) in bodies() {
        let from = Owner { incarnation: Incarnation(0x0123_4567_89ab_cdef), shard: ShardIndex(5) };
        let frame = MeshFrame { from, epoch: Epoch(12), body };
        let encode = |frame: &MeshFrame| {
            let mut bytes = Vec::new();
            frame.encode(&mut bytes);
            bytes
        };
        let decode = |bytes: &[u8]| MeshFrame::decode(bytes).expect("legal");
        golden.check(&name, &frame, &format!("{frame:?}"), encode, decode);
        let bytes = encode(&frame);
        let table = flatbuffers::root::<table::MeshFrame<'_>>(&bytes).expect("verified");
        BTreeSet::insert(&mut seen, table.body_type());
        if let Some(apply) = table.body_as_apply() {
            BTreeSet::insert(&mut ops, apply.op_type());
        }
        if let Some(applied) = table.body_as_applied() {
            BTreeSet::insert(&mut results, applied.result_type());
        }
        if let Some(hint) = table.body_as_hint() {
            events = hint.events().into_iter().flatten().map(|event| event.body_type()).collect();
        }
    }
    golden.finish();
    check_complete("bodies", table::MeshBody::ENUM_VALUES, &seen);
    check_complete("operations", table::ChannelOp::ENUM_VALUES, &ops);
    check_complete("results", table::OpResult::ENUM_VALUES, &results);
    check_complete("events", table::EventBody::ENUM_VALUES, &events);
}
