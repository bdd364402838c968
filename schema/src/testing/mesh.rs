//! What shards say to each other, any of it.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{
    channel_ids, channel_kinds, client_msg_ids, cursors, device_ids, member_changes, mentions, messages, numbers,
    positions, refusals, roles, seqs, session_ids, shared_texts, snapshot_channels, stamps, user_ids, wall_times,
};
use crate::event::{Event, EventBody};
use crate::mesh::{MeshBody, MeshFrame, More, SnapshotPlace, Target};
use crate::message::MessageKind;
use crate::op::{ChannelOp, CreateOp, OpReply, SendOp};
use crate::view::{Epoch, Incarnation, Owner, ShardIndex};

/// Frames with any body.
pub fn mesh_frames() -> impl Strategy<Value = MeshFrame> {
    (numbers(), any::<u16>(), numbers(), bodies()).prop_map(|(incarnation, shard, epoch, body)| MeshFrame {
        from: Owner { incarnation: Incarnation(incarnation), shard: ShardIndex(shard) },
        epoch: Epoch(epoch),
        body,
    })
}

fn bodies() -> impl Strategy<Value = MeshBody> {
    prop_oneof![
        (numbers(), channel_ids(), channel_ops()).prop_map(|(ticket, channel, op)| MeshBody::Apply {
            ticket,
            channel,
            op
        }),
        (numbers(), results(op_replies())).prop_map(|(ticket, reply)| MeshBody::Applied { ticket, reply }),
        (stamps(), vec(events(), 0..4)).prop_map(|(stamp, events)| MeshBody::Hint { stamp, events }),
        (session_ids(), user_ids(), device_ids(), option::of(cursors()))
            .prop_map(|(session, user, device, cursor)| MeshBody::Register { session, user, device, cursor }),
        (session_ids(), results(cursors())).prop_map(|(session, start)| MeshBody::Registered { session, start }),
        (session_ids(), user_ids()).prop_map(|(session, user)| MeshBody::Unregister { session, user }),
        mores().prop_map(MeshBody::More),
        deliveries(),
        (session_ids(), positions(), vec(snapshot_channels(), 0..4), any::<bool>(), positions()).prop_map(
            |(session, after, channels, more, through)| MeshBody::Snapshot { session, after, channels, more, through }
        ),
        session_ids().prop_map(|session| MeshBody::Replaced { session }),
    ]
}

fn results<T: std::fmt::Debug>(ok: impl Strategy<Value = T>) -> impl Strategy<Value = Result<T, crate::op::Refusal>> {
    prop_oneof![3 => ok.prop_map(Ok), 1 => refusals().prop_map(Err)]
}

fn mores() -> impl Strategy<Value = More> {
    let place = (positions(), channel_ids()).prop_map(|(through, last)| SnapshotPlace { through, last });
    (session_ids(), user_ids(), positions(), any::<u32>(), option::of(place)).prop_map(
        |(session, user, after, credit_bytes, snapshot)| More { session, user, after, credit_bytes, snapshot },
    )
}

fn deliveries() -> impl Strategy<Value = MeshBody> {
    vec(events(), 0..4).prop_flat_map(|events| {
        let count = u16::try_from(events.len()).expect("at most 3");
        let indices = proptest::sample::subsequence((0..count).collect::<Vec<_>>(), 0..=events.len());
        let target = (session_ids(), positions(), positions(), indices)
            .prop_map(|(session, after, through, events)| Target { session, after, through, events });
        (Just(events), vec(target, 0..4)).prop_map(|(events, targets)| MeshBody::Deliver { events, targets })
    })
}

/// Events with any content.
pub fn events() -> impl Strategy<Value = Event> {
    let body = prop_oneof![
        messages().prop_map(EventBody::Message),
        (user_ids(), member_changes(), roles()).prop_map(|(user, change, role)| EventBody::Membership {
            user,
            change,
            role
        }),
        (user_ids(), seqs()).prop_map(|(user, read_seq)| EventBody::Read { user, read_seq }),
    ];
    (positions(), channel_ids(), body).prop_map(|(position, channel, body)| Event { position, channel, body })
}

/// Operations of every kind.
pub fn channel_ops() -> impl Strategy<Value = ChannelOp> {
    prop_oneof![
        (user_ids(), client_msg_ids(), shared_texts(), option::of(seqs()), mentions()).prop_map(
            |(from, client_msg_id, body, reply_to, mentions)| {
                ChannelOp::Send(SendOp { from, client_msg_id, kind: MessageKind::Text, body, reply_to, mentions })
            }
        ),
        (user_ids(), seqs()).prop_map(|(user, read_seq)| ChannelOp::Mark { user, read_seq }),
        (channel_kinds(), shared_texts(), user_ids(), vec(user_ids(), 0..4), option::of(shared_texts())).prop_map(
            |(kind, title, creator, members, idempotency_key)| {
                ChannelOp::Create(CreateOp { kind, title, creator, members, idempotency_key })
            }
        ),
        (user_ids(), user_ids(), roles()).prop_map(|(by, user, role)| ChannelOp::AddMember { by, user, role }),
        (user_ids(), user_ids()).prop_map(|(by, user)| ChannelOp::RemoveMember { by, user }),
    ]
}

fn op_replies() -> impl Strategy<Value = OpReply> {
    prop_oneof![
        (seqs(), wall_times(), any::<bool>()).prop_map(|(seq, sent_ms, duplicate)| OpReply::Sent {
            seq,
            sent_ms,
            duplicate
        }),
        (seqs(), numbers()).prop_map(|(read_seq, unread)| OpReply::Marked { read_seq, unread }),
        (channel_ids(), any::<bool>()).prop_map(|(channel, existed)| OpReply::Created { channel, existed }),
        any::<bool>().prop_map(|changed| OpReply::MemberChanged { changed }),
    ]
}
