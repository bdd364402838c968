//! The mesh frames' cases.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Golden, check_complete, client};
use crate::code::ErrorCode;
use crate::event::{Event, EventBody, MemberChange, Role};
use crate::generated::rookery::mesh as table;
use crate::id::{ChannelId, Seq, SessionId, UserId};
use crate::mesh::{FeedStart, Kicked, LiveBody, LiveEvent, MeshBody, MeshFrame, More, SnapshotPlace, Target, Telling};
use crate::message::MessageKind;
use crate::op::{ChannelKind, ChannelOp, CreateOp, EditOp, OpReply, PastAccess, ReactOp, Refusal, SendOp};
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
        past: PastAccess::Joined,
    };
    let large = CreateOp { kind: ChannelKind::Large, past: PastAccess::All, ..group.clone() };
    let direct = CreateOp {
        kind: ChannelKind::Direct,
        title: "".into(),
        creator: USER,
        members: vec![OTHER],
        idempotency_key: None,
        past: PastAccess::Joined,
    };
    let (seq, op_id) = (Seq(42), client::client_msg_id());
    let edit = EditOp { by: USER, seq, op_id, base_revision: 1, body: Arc::clone(&message.body) };
    let react = |on| ReactOp { by: USER, seq, op_id, emoji: client::heart(), on };
    vec![
        ("send", ChannelOp::Send(plain)),
        ("send-all-fields", ChannelOp::Send(send)),
        ("mark", ChannelOp::Mark { user: USER, read_seq: Seq(42) }),
        ("create-group", ChannelOp::Create(group)),
        ("create-direct", ChannelOp::Create(direct)),
        ("add-member", ChannelOp::AddMember { by: USER, user: OTHER, role: Role::Admin }),
        ("remove-member", ChannelOp::RemoveMember { by: USER, user: USER }),
        ("create-large", ChannelOp::Create(large)),
        ("edit", ChannelOp::Edit(edit)),
        ("delete", ChannelOp::Delete { by: USER, seq, op_id }),
        ("react", ChannelOp::React(react(true))),
        ("react-off", ChannelOp::React(react(false))),
        ("typing", ChannelOp::Typing { user: USER, on: true }),
        ("set-title", ChannelOp::SetTitle { by: USER, title: "crabs 🦀".into() }),
        ("set-muted", ChannelOp::SetMuted { user: USER, muted: true }),
        ("block", ChannelOp::Block { by: USER, user: OTHER, on: true }),
    ]
}

fn results() -> Vec<(&'static str, Result<OpReply, Refusal>)> {
    vec![
        ("sent", Ok(OpReply::Sent { seq: Seq(42), sent_ms: UnixMs(1_767_268_800_123), duplicate: true })),
        ("marked", Ok(OpReply::Marked { read_seq: Seq(42), unread: 3 })),
        ("created", Ok(OpReply::Created { channel: CHANNEL, existed: true })),
        ("changed", Ok(OpReply::Changed { changed: true })),
        ("revised", Ok(OpReply::Revised { revision: 2 })),
        ("reacted", Ok(OpReply::Reacted { count: 3 })),
        ("told", Ok(OpReply::Told)),
        ("refused", Err(refusal())),
    ]
}

fn refusal() -> Refusal {
    Refusal::new(ErrorCode::Moving, "channel 5 is moving").after_ms(250)
}

fn event_bodies() -> Vec<EventBody> {
    vec![
        EventBody::Message(client::message()),
        EventBody::Membership { user: OTHER, change: MemberChange::Removed, role: Role::Owner },
        EventBody::Read { user: USER, read_seq: Seq(42) },
    ]
}

fn later_event_bodies() -> Vec<EventBody> {
    vec![
        EventBody::Edited(client::edited_message()),
        EventBody::Deleted { seq: Seq(42), revision: 2 },
        EventBody::Reaction { seq: Seq(42), emoji: client::heart(), count: 3, user: OTHER, on: true },
        EventBody::Membership { user: OTHER, change: MemberChange::Role, role: Role::Admin },
        EventBody::Membership { user: USER, change: MemberChange::Title, role: Role::Owner },
        EventBody::Message(client::deleted_message()),
    ]
}

fn events(bodies: Vec<EventBody>) -> Vec<Event> {
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
    let register = |family, client: Option<&str>, cursor| MeshBody::Register {
        session: SESSION,
        user: USER,
        device: device(),
        family,
        client: client.map(str::to_owned),
        cursor,
    };
    let more = More { session: SESSION, user: USER, after: STAMP.at(2), credit_bytes: 65_536, snapshot: None };
    let place = SnapshotPlace { through: Position::end_of(8), last: CHANNEL };
    let target = |session, events: &[u16]| Target {
        session: SessionId(session),
        after: Position::START,
        through: STAMP.at(2),
        events: events.to_vec(),
    };
    let targets = vec![target(1, &[0, 2]), target(2, &[])];
    let snapshot = MeshBody::Snapshot {
        session: SESSION,
        after: Position::START,
        channels: client::snapshot_channels(),
        more: true,
        through: Position::end_of(8),
    };
    bodies.extend(
        [
            ("hint", MeshBody::Hint { stamp: STAMP, events: events(event_bodies()) }),
            ("hint-later", MeshBody::Hint { stamp: STAMP, events: events(later_event_bodies()) }),
            ("register", register(0, None, Some(cursor))),
            ("register-newest", register(0, None, None)),
            ("register-all-fields", register(0x0123_4567_89ab_cdef, Some("example 1.0"), Some(cursor))),
            ("registered", MeshBody::Registered { session: SESSION, start: Ok(cursor) }),
            ("registered-refused", MeshBody::Registered { session: SESSION, start: Err(refusal()) }),
            ("unregister", MeshBody::Unregister { session: SESSION, user: USER }),
            ("more", MeshBody::More(more)),
            ("more-snapshot", MeshBody::More(More { snapshot: Some(place), ..more })),
            ("deliver", MeshBody::Deliver { events: events(event_bodies()), targets }),
            ("snapshot", snapshot),
            ("replaced", MeshBody::Replaced { session: SESSION }),
            ("kick-device", MeshBody::Kick { user: USER, whose: Kicked::Device(device()) }),
            ("kick-family", MeshBody::Kick { user: USER, whose: Kicked::Family(0x0123_4567_89ab_cdef) }),
            ("kicked", MeshBody::Kicked { session: SESSION }),
            ("index", MeshBody::Index { channel: CHANNEL }),
        ]
        .into_iter()
        .chain(presence_bodies())
        .chain(large_channel_bodies())
        .map(|(name, body)| (name.to_owned(), body)),
    );
    bodies
}

fn presence_bodies() -> Vec<(&'static str, MeshBody)> {
    let live = |users: &[UserId], body| LiveEvent { channel: CHANNEL, users: users.to_vec(), body };
    let events = vec![
        live(&[OTHER, UserId(2)], LiveBody::Typing { user: USER, on: true, open_only: true }),
        live(&[OTHER], LiveBody::Read { user: USER, read_seq: Seq(42) }),
        live(&[], LiveBody::Blocked { by: USER, user: OTHER, on: true }),
    ];
    let tell = |what| MeshBody::Tell { sessions: vec![SESSION, SessionId(2)], what };
    let (channel, user, users) = (CHANNEL, USER, vec![UserId(2), OTHER]);
    let watch = |users| MeshBody::Watch { session: SESSION, watcher: USER, number: 7, users };
    vec![
        ("live", MeshBody::Live { events }),
        ("tell-typing", tell(Telling::Typing { channel, user, on: true, open_only: true })),
        ("tell-read", tell(Telling::Read { channel, user, read_seq: Seq(42) })),
        ("tell-head", tell(Telling::Head { channel, head_seq: Seq(1 << 40) })),
        ("tell-presence", tell(Telling::Presence { entries: client::presence() })),
        ("active", MeshBody::Active { session: SESSION, user }),
        ("watch", watch(users.clone())),
        ("watch-none", watch(Vec::new())),
        ("watched", MeshBody::Watched { session: SESSION, number: 7, entries: client::presence() }),
        ("presence-ask", MeshBody::PresenceAsk { ticket: 9, asker: USER, users, fellows: true }),
        ("presence-answer", MeshBody::PresenceAnswer { ticket: 9, entries: Ok(client::presence()) }),
        ("presence-answer-refused", MeshBody::PresenceAnswer { ticket: 9, entries: Err(refusal()) }),
    ]
}

fn large_channel_bodies() -> Vec<(&'static str, MeshBody)> {
    let (session, user, channel) = (SESSION, USER, CHANNEL);
    let start = FeedStart { head_seq: Seq(1 << 40), open: 5_000 };
    let bodies = event_bodies().into_iter().chain(later_event_bodies()).collect();
    vec![
        ("subscribe", MeshBody::Subscribe { session, user, channel }),
        ("subscribed", MeshBody::Subscribed { session, channel, start: Ok(start) }),
        ("subscribed-refused", MeshBody::Subscribed { session, channel, start: Err(refusal()) }),
        ("unsubscribe", MeshBody::Unsubscribe { session, channel }),
        ("feed", MeshBody::Feed(crate::mesh::Feed { channel, events: bodies })),
        ("interest", MeshBody::Interest { channels: vec![CHANNEL, ChannelId(5)] }),
        ("heads", MeshBody::Heads { heads: vec![(CHANNEL, Seq(1 << 40)), (ChannelId(5), Seq(0))] }),
    ]
}

#[test]
fn golden_mesh_frames() {
    let mut golden = Golden::new("mesh");
    let (mut seen, mut ops, mut results) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut events, mut lives, mut tellings) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
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
        seen.insert(table.body_type());
        if let Some(apply) = table.body_as_apply() {
            ops.insert(apply.op_type());
        }
        if let Some(applied) = table.body_as_applied() {
            results.insert(applied.result_type());
        }
        if let Some(hint) = table.body_as_hint() {
            events.extend(hint.events().into_iter().flatten().map(|event| event.body_type()));
        }
        if let Some(live) = table.body_as_live() {
            lives.extend(live.events().into_iter().flatten().map(|event| event.body_type()));
        }
        if let Some(tell) = table.body_as_tell() {
            tellings.insert(tell.what_type());
        }
    }
    golden.finish();
    check_complete("bodies", table::MeshBody::ENUM_VALUES, &seen);
    check_complete("operations", table::ChannelOp::ENUM_VALUES, &ops);
    check_complete("results", table::OpResult::ENUM_VALUES, &results);
    check_complete("events", table::EventBody::ENUM_VALUES, &events);
    check_complete("live events", table::LiveBody::ENUM_VALUES, &lives);
    check_complete("tellings", table::Telling::ENUM_VALUES, &tellings);
}
