//! The stored records' cases.

use std::collections::BTreeSet;

use super::{Golden, client};
use crate::event::{MemberChange, Role};
use crate::id::{ChannelId, Seq, UserId};
use crate::message::MessageKind;
use crate::op::{ChannelKind, PastAccess};
use crate::position::Stamp;
use crate::presence::PresenceState;
use crate::record::{
    AnsweredOp, ArrivalEvent, ArrivalRecord, BlockRecord, BodyRecord, ChannelRecord, DedupRecord, DeviceRecord,
    EventRecord, EventRecordBody, FenceRecord, FriendRecord, FriendState, HeadRecord, IdempotencyRecord, MemberRecord,
    MessageRecord, NodeRecord, PresenceRecord, PushRecord, ReadMarkRecord, RefreshRecord, SeqRange, TalliesRecord,
    UserRecord,
};
use crate::time::UnixMs;
use crate::view::{Epoch, Incarnation};

const NOON: UnixMs = UnixMs(1_767_268_800_123);
const CHANNEL: ChannelId = ChannelId(180_143_985_094_819_840);
const USER: UserId = UserId(180_143_985_094_819_841);
const HASH: u64 = 0x0123_4567_89ab_cdef;

fn channel(kind: ChannelKind, title: &str) -> ChannelRecord {
    ChannelRecord {
        kind,
        title: title.into(),
        creator: USER,
        created_ms: NOON,
        member_epoch: 4,
        member_count: 2,
        past: PastAccess::Joined,
    }
}

fn message(body: BodyRecord) -> MessageRecord {
    let message = client::message();
    MessageRecord {
        revision: 2,
        from: USER,
        sent_ms: NOON,
        client_msg_id: message.client_msg_id,
        kind: MessageKind::Text,
        body,
        reply_to: message.reply_to,
        mentions: message.mentions.to_vec(),
        edited_ms: None,
        deleted: false,
    }
}

fn member(role: Role, ranges: &[(u64, Option<u64>)]) -> MemberRecord {
    let range = |&(after, through): &(u64, Option<u64>)| SeqRange { after: Seq(after), through: through.map(Seq) };
    MemberRecord { role, muted: true, joined_ms: NOON, ranges: ranges.iter().map(range).collect() }
}

fn first_reply(op: AnsweredOp) -> DedupRecord {
    DedupRecord { op, seq: Seq(42), sent_ms: NOON, revision: 0, count: 0, content_hash: HASH }
}

fn refresh(device: Option<&str>, used: bool) -> RefreshRecord {
    RefreshRecord { user: USER, family: HASH, device: device.map(str::to_owned), expires_ms: NOON, used }
}

fn events() -> [EventRecord; 3] {
    [
        EventRecordBody::Message { seq: Seq(42), revision: 1 },
        EventRecordBody::Membership { user: USER, change: MemberChange::Left, role: Role::Owner },
        EventRecordBody::Read { user: USER, read_seq: Seq(42) },
    ]
    .map(|body| EventRecord { channel: CHANNEL, body })
}

fn later_events() -> [EventRecord; 5] {
    [
        EventRecordBody::Edited { seq: Seq(42), revision: 1 },
        EventRecordBody::Deleted { seq: Seq(42), revision: 2 },
        EventRecordBody::Reaction { seq: Seq(42), emoji: client::heart(), count: 3, user: USER, on: true },
        EventRecordBody::Membership { user: USER, change: MemberChange::Role, role: Role::Admin },
        EventRecordBody::Membership { user: USER, change: MemberChange::Title, role: Role::Owner },
    ]
    .map(|body| EventRecord { channel: CHANNEL, body })
}

fn arrival() -> ArrivalRecord {
    let [message, membership, read] = events();
    let event = |ordinal, audience, event| ArrivalEvent { ordinal, audience, event };
    ArrivalRecord {
        audiences: vec![vec![USER, UserId(u64::MAX)], vec![USER]],
        events: vec![event(0, 0, message), event(1, 0, membership), event(7, 1, read)],
    }
}

fn later_arrival() -> ArrivalRecord {
    let event = |(ordinal, event)| ArrivalEvent { ordinal, audience: 0, event };
    ArrivalRecord { audiences: vec![vec![USER]], events: (0..).zip(later_events()).map(event).collect() }
}

fn tallies() -> TalliesRecord {
    TalliesRecord { counts: vec![(client::heart(), 3), ("👍🏽".parse().expect("an emoji"), 1)] }
}

#[test]
fn golden_records() {
    let mut golden = Golden::new("records");
    let mut seen = BTreeSet::new();
    macro_rules! cases {
        ($($record:ident { $($name:literal: $value:expr,)* })*) => {$(
            seen.insert(stringify!($record).to_owned());
            $({
                let value: $record = $value;
                let decode = |bytes: &[u8]| $record::decode(bytes).expect("legal");
                golden.check($name, &value, &format!("{value:?}"), $record::encode, decode);
            })*
        )*};
    }
    let [sent, membership, read] = events();
    let [edited, deleted, reaction, role, title] = later_events();
    cases! {
        ChannelRecord {
            "channel-group": channel(ChannelKind::Group, "crabs"),
            "channel-direct": channel(ChannelKind::Direct, ""),
            "channel-large": ChannelRecord { past: PastAccess::All, ..channel(ChannelKind::Large, "all crabs") },
        }
        MessageRecord {
            "message": message(BodyRecord::Inline(client::message().body.clone())),
            "message-parts": message(BodyRecord::Parts { parts: 3, bytes: 150_000 }),
            "message-plain": MessageRecord {
                revision: 0,
                reply_to: None,
                mentions: Vec::new(),
                ..message(BodyRecord::Inline("".into()))
            },
            "message-edited": MessageRecord {
                edited_ms: Some(NOON),
                ..message(BodyRecord::Inline("hello".into()))
            },
            "message-deleted": MessageRecord {
                mentions: Vec::new(),
                deleted: true,
                ..message(BodyRecord::Inline("".into()))
            },
        }
        TalliesRecord { "tallies": tallies(), "tallies-none": TalliesRecord::default(), }
        HeadRecord { "head": HeadRecord { seq: Seq(42), sent_ms: NOON }, }
        DedupRecord {
            "dedup": first_reply(AnsweredOp::Send),
            "dedup-edit": DedupRecord { revision: 1, ..first_reply(AnsweredOp::Edit) },
            "dedup-delete": DedupRecord { revision: 2, ..first_reply(AnsweredOp::Delete) },
            "dedup-react": DedupRecord { count: 2, ..first_reply(AnsweredOp::React) },
        }
        ReadMarkRecord { "read-mark": ReadMarkRecord { seq: Seq(42) }, }
        EventRecord {
            "event-message": sent,
            "event-membership": membership,
            "event-read": read,
            "event-edited": edited,
            "event-deleted": deleted,
            "event-reaction": reaction,
            "event-role": role,
            "event-title": title,
        }
        ArrivalRecord {
            "arrival": arrival(),
            "arrival-later": later_arrival(),
            "arrival-empty": ArrivalRecord::default(),
        }
        MemberRecord {
            "member": member(Role::Owner, &[(0, None)]),
            "member-returned": member(Role::Admin, &[(0, Some(4)), (9, Some(12)), (20, None)]),
            "member-left": member(Role::Member, &[(3, Some(3))]),
        }
        UserRecord {
            "user": UserRecord {
                username: "alice".into(),
                display_name: "Alice 🦀".into(),
                password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".into(),
                created_ms: NOON,
            },
        }
        RefreshRecord { "refresh": refresh(None, false), "refresh-used": refresh(Some("phone-1_A"), true), }
        IdempotencyRecord {
            "idempotency": IdempotencyRecord { channel: CHANNEL, made_ms: NOON, content_hash: HASH },
        }
        FriendRecord {
            "friend-requested": FriendRecord { state: FriendState::Requested, since_ms: NOON },
            "friend-asked": FriendRecord { state: FriendState::Asked, since_ms: NOON },
            "friend": FriendRecord { state: FriendState::Accepted, since_ms: NOON },
        }
        BlockRecord { "block": BlockRecord { since_ms: NOON }, }
        DeviceRecord {
            "device": DeviceRecord {
                connected_ms: NOON,
                last_active_ms: UnixMs(NOON.0 - 1_000),
                client: "crab/1.0".into(),
                families: vec![HASH, 7],
                stamp: Stamp { version: 42, batch: 3 },
            },
            "device-silent": DeviceRecord {
                connected_ms: NOON,
                last_active_ms: NOON,
                client: String::new(),
                families: Vec::new(),
                stamp: Stamp { version: 42, batch: 3 },
            },
        }
        PresenceRecord {
            "presence": PresenceRecord {
                state: PresenceState::Online,
                last_active_ms: UnixMs(NOON.0 - 1_000),
                at_ms: NOON,
            },
            "presence-unknown": PresenceRecord::default(),
        }
        PushRecord { "push": PushRecord { from: USER, sent_ms: NOON }, }
        NodeRecord {
            "node": NodeRecord {
                name: "chat-1".into(),
                shards: 2,
                ws_url: "wss://chat.example.org".into(),
                since_ms: NOON,
            },
            "node-nameless": NodeRecord::default(),
        }
        FenceRecord { "fence": FenceRecord { incarnation: Incarnation(HASH), epoch: Epoch(12) }, }
    }
    golden.finish();

    // What `record` exports and calls a record, since no type lists them all.
    let source = include_str!("../../record/mod.rs");
    let exports = source[source.find("pub use").expect("it exports")..].split("\n\n").next().expect("one paragraph");
    let names = exports.split(|c: char| !c.is_alphanumeric()).filter(|word| word.ends_with("Record"));
    let mut all: BTreeSet<String> = names.map(str::to_owned).collect();
    assert!(all.remove("BodyRecord"), "a part of a message, not a record of its own");
    assert_eq!(seen, all, "records in the cases against all there are");
}
