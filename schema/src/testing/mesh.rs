//! What shards say to each other, any of it.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{
    channel_ids, channel_kinds, client_msg_ids, cursors, device_ids, emojis, member_changes, mentions, messages,
    numbers, past_accesses, positions, presence_entries, refusals, roles, seqs, session_ids, shared_texts,
    snapshot_channels, stamps, texts, user_ids, wall_times,
};
use crate::event::{Event, EventBody};
use crate::mesh::{FeedStart, Kicked, LiveBody, LiveEvent, MeshBody, MeshFrame, More, SnapshotPlace, Target, Telling};
use crate::message::MessageKind;
use crate::op::{ChannelOp, CreateOp, EditOp, OpReply, ReactOp, SendOp};
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
        (session_ids(), user_ids(), device_ids(), any::<u64>(), option::of(texts()), option::of(cursors())).prop_map(
            |(session, user, device, family, client, cursor)| MeshBody::Register {
                session,
                user,
                device,
                family,
                client,
                cursor
            }
        ),
        (session_ids(), results(cursors())).prop_map(|(session, start)| MeshBody::Registered { session, start }),
        (session_ids(), user_ids()).prop_map(|(session, user)| MeshBody::Unregister { session, user }),
        mores().prop_map(MeshBody::More),
        deliveries(),
        (session_ids(), positions(), vec(snapshot_channels(), 0..4), any::<bool>(), positions()).prop_map(
            |(session, after, channels, more, through)| MeshBody::Snapshot { session, after, channels, more, through }
        ),
        session_ids().prop_map(|session| MeshBody::Replaced { session }),
        (user_ids(), kicks()).prop_map(|(user, whose)| MeshBody::Kick { user, whose }),
        session_ids().prop_map(|session| MeshBody::Kicked { session }),
        channel_ids().prop_map(|channel| MeshBody::Index { channel }),
        presence_bodies(),
        large_channel_bodies(),
    ]
}

fn kicks() -> impl Strategy<Value = Kicked> {
    prop_oneof![device_ids().prop_map(Kicked::Device), any::<u64>().prop_map(Kicked::Family)]
}

fn presence_bodies() -> impl Strategy<Value = MeshBody> {
    prop_oneof![
        vec(live_events(), 0..4).prop_map(|events| MeshBody::Live { events }),
        (vec(session_ids(), 0..4), tellings()).prop_map(|(sessions, what)| MeshBody::Tell { sessions, what }),
        (session_ids(), user_ids()).prop_map(|(session, user)| MeshBody::Active { session, user }),
        (session_ids(), user_ids(), any::<u32>(), vec(user_ids(), 0..4))
            .prop_map(|(session, watcher, number, users)| MeshBody::Watch { session, watcher, number, users }),
        (session_ids(), any::<u32>(), vec(presence_entries(), 0..4))
            .prop_map(|(session, number, entries)| MeshBody::Watched { session, number, entries }),
        (numbers(), user_ids(), vec(user_ids(), 0..4), any::<bool>())
            .prop_map(|(ticket, asker, users, fellows)| MeshBody::PresenceAsk { ticket, asker, users, fellows }),
        (numbers(), results(vec(presence_entries(), 0..4)))
            .prop_map(|(ticket, entries)| MeshBody::PresenceAnswer { ticket, entries }),
    ]
}

fn large_channel_bodies() -> impl Strategy<Value = MeshBody> {
    let start = (seqs(), any::<u32>()).prop_map(|(head_seq, open)| FeedStart { head_seq, open });
    prop_oneof![
        (session_ids(), user_ids(), channel_ids()).prop_map(|(session, user, channel)| MeshBody::Subscribe {
            session,
            user,
            channel
        }),
        (session_ids(), channel_ids(), results(start)).prop_map(|(session, channel, start)| MeshBody::Subscribed {
            session,
            channel,
            start
        }),
        (session_ids(), channel_ids()).prop_map(|(session, channel)| MeshBody::Unsubscribe { session, channel }),
        (channel_ids(), vec(event_bodies(), 0..4))
            .prop_map(|(channel, events)| MeshBody::Feed(crate::mesh::Feed { channel, events })),
        vec(channel_ids(), 0..4).prop_map(|channels| MeshBody::Interest { channels }),
        vec((channel_ids(), seqs()), 0..4).prop_map(|heads| MeshBody::Heads { heads }),
    ]
}

fn live_events() -> impl Strategy<Value = LiveEvent> {
    let body = prop_oneof![
        (user_ids(), any::<bool>(), any::<bool>()).prop_map(|(user, on, open_only)| LiveBody::Typing {
            user,
            on,
            open_only
        }),
        (user_ids(), seqs()).prop_map(|(user, read_seq)| LiveBody::Read { user, read_seq }),
        (user_ids(), user_ids(), any::<bool>()).prop_map(|(by, user, on)| LiveBody::Blocked { by, user, on }),
    ];
    (channel_ids(), vec(user_ids(), 0..4), body).prop_map(|(channel, users, body)| LiveEvent { channel, users, body })
}

fn tellings() -> impl Strategy<Value = Telling> {
    prop_oneof![
        (channel_ids(), user_ids(), any::<bool>(), any::<bool>())
            .prop_map(|(channel, user, on, open_only)| Telling::Typing { channel, user, on, open_only }),
        (channel_ids(), user_ids(), seqs()).prop_map(|(channel, user, read_seq)| Telling::Read {
            channel,
            user,
            read_seq
        }),
        (channel_ids(), seqs()).prop_map(|(channel, head_seq)| Telling::Head { channel, head_seq }),
        vec(presence_entries(), 0..4).prop_map(|entries| Telling::Presence { entries }),
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
    (positions(), channel_ids(), event_bodies()).prop_map(|(position, channel, body)| Event { position, channel, body })
}

fn event_bodies() -> impl Strategy<Value = EventBody> {
    prop_oneof![
        messages().prop_map(EventBody::Message),
        messages().prop_map(EventBody::Edited),
        (seqs(), any::<u32>()).prop_map(|(seq, revision)| EventBody::Deleted { seq, revision }),
        (seqs(), emojis(), any::<u32>(), user_ids(), any::<bool>())
            .prop_map(|(seq, emoji, count, user, on)| EventBody::Reaction { seq, emoji, count, user, on }),
        (user_ids(), member_changes(), roles()).prop_map(|(user, change, role)| EventBody::Membership {
            user,
            change,
            role
        }),
        (user_ids(), seqs()).prop_map(|(user, read_seq)| EventBody::Read { user, read_seq }),
    ]
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
        creations().prop_map(ChannelOp::Create),
        (user_ids(), user_ids(), roles()).prop_map(|(by, user, role)| ChannelOp::AddMember { by, user, role }),
        (user_ids(), user_ids()).prop_map(|(by, user)| ChannelOp::RemoveMember { by, user }),
        (user_ids(), seqs(), client_msg_ids(), any::<u32>(), shared_texts()).prop_map(
            |(by, seq, op_id, base_revision, body)| ChannelOp::Edit(EditOp { by, seq, op_id, base_revision, body })
        ),
        (user_ids(), seqs(), client_msg_ids()).prop_map(|(by, seq, op_id)| ChannelOp::Delete { by, seq, op_id }),
        (user_ids(), seqs(), client_msg_ids(), emojis(), any::<bool>())
            .prop_map(|(by, seq, op_id, emoji, on)| ChannelOp::React(ReactOp { by, seq, op_id, emoji, on })),
        (user_ids(), any::<bool>()).prop_map(|(user, on)| ChannelOp::Typing { user, on }),
        (user_ids(), shared_texts()).prop_map(|(by, title)| ChannelOp::SetTitle { by, title }),
        (user_ids(), any::<bool>()).prop_map(|(user, muted)| ChannelOp::SetMuted { user, muted }),
        (user_ids(), user_ids(), any::<bool>()).prop_map(|(by, user, on)| ChannelOp::Block { by, user, on }),
    ]
}

fn creations() -> impl Strategy<Value = CreateOp> {
    let whose = (user_ids(), vec(user_ids(), 0..4), option::of(shared_texts()));
    (channel_kinds(), shared_texts(), whose, past_accesses()).prop_map(|(kind, title, whose, past)| {
        let (creator, members, idempotency_key) = whose;
        CreateOp { kind, title, creator, members, idempotency_key, past }
    })
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
        any::<bool>().prop_map(|changed| OpReply::Changed { changed }),
        any::<u32>().prop_map(|revision| OpReply::Revised { revision }),
        any::<u32>().prop_map(|count| OpReply::Reacted { count }),
        Just(OpReply::Told),
    ]
}
