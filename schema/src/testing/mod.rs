//! Any value of this crate's types, as proptest strategies (feature `testing`).
//!
//! Owns what is legal: ids of the right version, ranges that ascend, indices within their lists. Values are small, so that
//! thousands of cases are quick; limits have tests of their own.

mod command;
mod mesh;
mod record;

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub use command::{pushes, replies, requests, server_frames};
pub use mesh::{channel_ops, events, mesh_frames};
pub use record::{
    arrival_records, channel_records, dedup_records, event_records, fence_records, head_records, idempotency_records,
    member_records, message_records, read_mark_records, refresh_records, user_records,
};

use crate::code::ErrorCode;
use crate::command::SnapshotChannel;
use crate::event::{MemberChange, Role};
use crate::id::{ChannelId, ClientMsgId, DeviceId, Seq, SessionId, UserId};
use crate::message::{Message, MessageKind};
use crate::op::{ChannelKind, Refusal};
use crate::position::{Cursor, Position, Stamp};
use crate::time::UnixMs;

/// Numbers of 64 bits: mostly small, and the ends.
pub fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..1_000_u64, 2 => any::<u64>(), 1 => Just(u64::MAX)]
}

/// Texts of up to 24 characters from all of Unicode, and those that encodings must escape.
pub fn texts() -> impl Strategy<Value = String> {
    let awkward = proptest::sample::select(vec!['"', '\\', '\n', '\0', '\u{7f}', 'é', '\u{2028}', '🦀', '\u{10ffff}']);
    let chars = prop_oneof![3 => proptest::char::range('a', 'z'), 1 => awkward, 1 => any::<char>()];
    vec(chars, 0..24).prop_map(|chars| chars.into_iter().collect())
}

/// Shared texts, as [`texts`].
pub fn shared_texts() -> impl Strategy<Value = Arc<str>> {
    texts().prop_map(Into::into)
}

/// Accounts.
pub fn user_ids() -> impl Strategy<Value = UserId> {
    numbers().prop_map(UserId)
}

/// Channels.
pub fn channel_ids() -> impl Strategy<Value = ChannelId> {
    numbers().prop_map(ChannelId)
}

/// Seqs, 0 too.
pub fn seqs() -> impl Strategy<Value = Seq> {
    numbers().prop_map(Seq)
}

/// Wall times.
pub fn wall_times() -> impl Strategy<Value = UnixMs> {
    numbers().prop_map(UnixMs)
}

/// UUIDs of version 7.
pub fn client_msg_ids() -> impl Strategy<Value = ClientMsgId> {
    (0..1_u64 << 48, any::<u128>()).prop_map(|(wall_ms, entropy)| ClientMsgId::new(UnixMs(wall_ms), entropy))
}

/// Names of devices, up to the longest.
pub fn device_ids() -> impl Strategy<Value = DeviceId> {
    const LEGAL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    vec(proptest::sample::select(LEGAL), 1..=crate::limits::DEVICE_ID_BYTES_MAX as usize).prop_map(|bytes| {
        let name: String = bytes.into_iter().map(char::from).collect();
        name.parse().expect("of legal characters, and of a legal length")
    })
}

/// Names of sessions.
pub fn session_ids() -> impl Strategy<Value = SessionId> {
    numbers().prop_map(SessionId)
}

/// Transactions.
pub fn stamps() -> impl Strategy<Value = Stamp> {
    (numbers(), any::<u16>()).prop_map(|(version, batch)| Stamp { version, batch })
}

/// Places in an inbox.
pub fn positions() -> impl Strategy<Value = Position> {
    (stamps(), any::<u16>()).prop_map(|(stamp, ordinal)| stamp.at(ordinal))
}

/// Cursors of any store.
pub fn cursors() -> impl Strategy<Value = Cursor> {
    (numbers(), positions()).prop_map(|(generation, position)| Cursor { generation, position })
}

/// What a member may do.
pub fn roles() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Member), Just(Role::Admin), Just(Role::Owner)]
}

/// What happened to a member.
pub fn member_changes() -> impl Strategy<Value = MemberChange> {
    prop_oneof![
        Just(MemberChange::Created),
        Just(MemberChange::Added),
        Just(MemberChange::Removed),
        Just(MemberChange::Left)
    ]
}

/// What a channel is.
pub fn channel_kinds() -> impl Strategy<Value = ChannelKind> {
    prop_oneof![Just(ChannelKind::Direct), Just(ChannelKind::Group)]
}

/// Whom a message names.
pub fn mentions() -> impl Strategy<Value = Arc<[UserId]>> {
    vec(user_ids(), 0..4).prop_map(Into::into)
}

/// Messages.
pub fn messages() -> impl Strategy<Value = Arc<Message>> {
    let place = (channel_ids(), seqs(), any::<u32>(), user_ids(), wall_times());
    let content = (client_msg_ids(), shared_texts(), option::of(seqs()), mentions());
    (place, content).prop_map(|(place, content)| {
        let (channel_id, seq, revision, from, sent_ms) = place;
        let (client_msg_id, body, reply_to, mentions) = content;
        let kind = MessageKind::Text;
        Arc::new(Message { channel_id, seq, revision, from, sent_ms, client_msg_id, kind, body, reply_to, mentions })
    })
}

/// Channels of a snapshot.
pub fn snapshot_channels() -> impl Strategy<Value = SnapshotChannel> {
    (channel_ids(), channel_kinds(), seqs(), seqs(), numbers()).prop_map(
        |(channel_id, kind, head_seq, read_seq, unread)| SnapshotChannel {
            channel_id,
            kind,
            head_seq,
            read_seq,
            unread,
        },
    )
}

/// Refusals with any code.
pub fn refusals() -> impl Strategy<Value = Refusal> {
    (proptest::sample::select(ErrorCode::ALL), texts(), any::<u32>())
        .prop_map(|(code, message, retry_after_ms)| Refusal { code, message, retry_after_ms })
}
