//! What the store keeps, any of it.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{
    channel_ids, channel_kinds, client_msg_ids, counts, emojis, member_changes, numbers, past_accesses,
    presence_states, roles, seqs, shared_texts, stamps, texts, user_ids, wall_times,
};
use crate::id::Seq;
use crate::limits::{FAMILIES_OF_DEVICE_MAX, MEMBER_RANGES_MAX};
use crate::message::MessageKind;
use crate::record::{
    AnsweredOp, ArrivalEvent, ArrivalRecord, BlockRecord, BodyRecord, ChannelRecord, DedupRecord, DeviceRecord,
    EventRecord, EventRecordBody, FenceRecord, FriendRecord, FriendState, HeadRecord, IdempotencyRecord, MemberRecord,
    MessageRecord, NodeRecord, PresenceRecord, PushRecord, ReadMarkRecord, RefreshRecord, SeqRange, TalliesRecord,
    UserRecord,
};
use crate::view::{Epoch, Incarnation};

/// Channels.
pub fn channel_records() -> impl Strategy<Value = ChannelRecord> {
    (channel_kinds(), texts(), user_ids(), wall_times(), numbers(), any::<u32>(), past_accesses()).prop_map(
        |(kind, title, creator, created_ms, member_epoch, member_count, past)| ChannelRecord {
            kind,
            title,
            creator,
            created_ms,
            member_epoch,
            member_count,
            past,
        },
    )
}

/// Messages: with their text or where it is, and deleted, which leaves no text and names nobody.
pub fn message_records() -> impl Strategy<Value = MessageRecord> {
    let body = prop_oneof![
        shared_texts().prop_map(BodyRecord::Inline),
        any::<[u32; 2]>().prop_map(|[parts, bytes]| BodyRecord::Parts { parts, bytes }),
    ];
    let whose = (any::<u32>(), user_ids(), wall_times(), client_msg_ids());
    let content = (body, option::of(seqs()), vec(user_ids(), 0..4));
    let since = (option::of(wall_times()), proptest::bool::weighted(0.2));
    (whose, content, since).prop_map(|(whose, (body, reply_to, mentions), (edited_ms, deleted))| {
        let (revision, from, sent_ms, client_msg_id) = whose;
        let (body, mentions) = if deleted { (BodyRecord::Inline("".into()), Vec::new()) } else { (body, mentions) };
        MessageRecord {
            revision,
            from,
            sent_ms,
            client_msg_id,
            kind: MessageKind::Text,
            body,
            reply_to,
            mentions,
            edited_ms,
            deleted,
        }
    })
}

/// Tallies of different emojis.
pub fn tallies_records() -> impl Strategy<Value = TalliesRecord> {
    counts().prop_map(|counts| TalliesRecord { counts })
}

/// Heads.
pub fn head_records() -> impl Strategy<Value = HeadRecord> {
    (seqs(), wall_times()).prop_map(|(seq, sent_ms)| HeadRecord { seq, sent_ms })
}

/// First replies.
pub fn dedup_records() -> impl Strategy<Value = DedupRecord> {
    let ops = prop::sample::select(vec![AnsweredOp::Send, AnsweredOp::Edit, AnsweredOp::Delete, AnsweredOp::React]);
    (ops, seqs(), wall_times(), any::<[u32; 2]>(), any::<u64>()).prop_map(
        |(op, seq, sent_ms, [revision, count], content_hash)| DedupRecord {
            op,
            seq,
            sent_ms,
            revision,
            count,
            content_hash,
        },
    )
}

/// Read marks.
pub fn read_mark_records() -> impl Strategy<Value = ReadMarkRecord> {
    seqs().prop_map(|seq| ReadMarkRecord { seq })
}

/// Events as inbox rows hold them.
pub fn event_records() -> impl Strategy<Value = EventRecord> {
    let body = prop_oneof![
        (seqs(), any::<u32>()).prop_map(|(seq, revision)| EventRecordBody::Message { seq, revision }),
        (user_ids(), member_changes(), roles()).prop_map(|(user, change, role)| EventRecordBody::Membership {
            user,
            change,
            role
        }),
        (user_ids(), seqs()).prop_map(|(user, read_seq)| EventRecordBody::Read { user, read_seq }),
        (seqs(), any::<u32>()).prop_map(|(seq, revision)| EventRecordBody::Edited { seq, revision }),
        (seqs(), any::<u32>()).prop_map(|(seq, revision)| EventRecordBody::Deleted { seq, revision }),
        (seqs(), emojis(), any::<u32>(), user_ids(), any::<bool>())
            .prop_map(|(seq, emoji, count, user, on)| EventRecordBody::Reaction { seq, emoji, count, user, on }),
    ];
    (channel_ids(), body).prop_map(|(channel, body)| EventRecord { channel, body })
}

/// Arrivals, whose events ascend and name audiences that are there.
pub fn arrival_records() -> impl Strategy<Value = ArrivalRecord> {
    let audiences = vec(vec(user_ids(), 0..4), 1..4);
    let events = vec((any::<u16>(), any::<prop::sample::Index>(), event_records()), 0..4);
    (audiences, events).prop_map(|(audiences, mut events)| {
        events.sort_by_key(|&(ordinal, _, _)| ordinal);
        let event = |(ordinal, audience, event): (u16, prop::sample::Index, EventRecord)| {
            let audience = u16::try_from(audience.index(audiences.len())).expect("at most 3 audiences");
            ArrivalEvent { ordinal, audience, event }
        };
        ArrivalRecord { events: events.into_iter().map(event).collect(), audiences }
    })
}

/// Memberships, whose ranges ascend and of which only the last may be open.
pub fn member_records() -> impl Strategy<Value = MemberRecord> {
    let ends = vec(numbers(), 0..=2 * MEMBER_RANGES_MAX as usize);
    (roles(), any::<bool>(), wall_times(), ends).prop_map(|(role, muted, joined_ms, mut ends)| {
        ends.sort_unstable();
        let range = |ends: &[u64]| SeqRange { after: Seq(ends[0]), through: ends.get(1).copied().map(Seq) };
        MemberRecord { role, muted, joined_ms, ranges: ends.chunks(2).map(range).collect() }
    })
}

/// Accounts.
pub fn user_records() -> impl Strategy<Value = UserRecord> {
    (texts(), texts(), texts(), wall_times()).prop_map(|(username, display_name, password_hash, created_ms)| {
        UserRecord { username, display_name, password_hash, created_ms }
    })
}

/// Refresh tokens.
pub fn refresh_records() -> impl Strategy<Value = RefreshRecord> {
    (user_ids(), any::<u64>(), option::of(texts()), wall_times(), any::<bool>())
        .prop_map(|(user, family, device, expires_ms, used)| RefreshRecord { user, family, device, expires_ms, used })
}

/// Channels that a creation's key made.
pub fn idempotency_records() -> impl Strategy<Value = IdempotencyRecord> {
    (channel_ids(), wall_times(), any::<u64>()).prop_map(|(channel, made_ms, content_hash)| IdempotencyRecord {
        channel,
        made_ms,
        content_hash,
    })
}

/// Fences.
pub fn fence_records() -> impl Strategy<Value = FenceRecord> {
    (any::<u64>(), numbers())
        .prop_map(|(incarnation, epoch)| FenceRecord { incarnation: Incarnation(incarnation), epoch: Epoch(epoch) })
}

/// Nodes, with names and addresses as long as they may be.
pub fn node_records() -> impl Strategy<Value = NodeRecord> {
    let name = proptest::string::string_regex("[ -~]{0,64}").expect("a legal expression");
    let url = proptest::string::string_regex("[ -~]{0,255}").expect("a legal expression");
    (name, any::<u16>(), url, wall_times()).prop_map(|(name, shards, ws_url, since_ms)| NodeRecord {
        name,
        shards,
        ws_url,
        since_ms,
    })
}

/// Friends, as either side sees them.
pub fn friend_records() -> impl Strategy<Value = FriendRecord> {
    let state = prop_oneof![Just(FriendState::Requested), Just(FriendState::Asked), Just(FriendState::Accepted)];
    (state, wall_times()).prop_map(|(state, since_ms)| FriendRecord { state, since_ms })
}

/// Blocks.
pub fn block_records() -> impl Strategy<Value = BlockRecord> {
    wall_times().prop_map(|since_ms| BlockRecord { since_ms })
}

/// Devices, with as many logins as there may be.
pub fn device_records() -> impl Strategy<Value = DeviceRecord> {
    let families = vec(any::<u64>(), 0..=FAMILIES_OF_DEVICE_MAX as usize);
    let client = proptest::string::string_regex("[ -~]{0,64}").expect("a legal expression");
    (wall_times(), wall_times(), client, families, stamps()).prop_map(
        |(connected_ms, last_active_ms, client, families, stamp)| DeviceRecord {
            connected_ms,
            last_active_ms,
            client,
            families,
            stamp,
        },
    )
}

/// How present users are.
pub fn presence_records() -> impl Strategy<Value = PresenceRecord> {
    (presence_states(), wall_times(), wall_times()).prop_map(|(state, last_active_ms, at_ms)| PresenceRecord {
        state,
        last_active_ms,
        at_ms,
    })
}

/// What push items' keys do not say.
pub fn push_records() -> impl Strategy<Value = PushRecord> {
    (user_ids(), wall_times()).prop_map(|(from, sent_ms)| PushRecord { from, sent_ms })
}
