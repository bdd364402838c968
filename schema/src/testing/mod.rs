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
    arrival_records, block_records, channel_records, dedup_records, device_records, event_records, fence_records,
    friend_records, head_records, idempotency_records, member_records, message_records, node_records, presence_records,
    push_records, read_mark_records, refresh_records, tallies_records, user_records,
};

use crate::code::ErrorCode;
use crate::command::SnapshotChannel;
use crate::emoji::Emoji;
use crate::event::{MemberChange, Role};
use crate::id::{ChannelId, ClientMsgId, DeviceId, Seq, SessionId, UserId};
use crate::message::{Message, MessageKind, Tally, no_mentions};
use crate::op::{ChannelKind, PastAccess, Refusal};
use crate::place::MessagePlace;
use crate::position::{Cursor, Position, Stamp};
use crate::presence::{PresenceEntry, PresenceState};
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

/// Places in lists of messages.
pub fn message_places() -> impl Strategy<Value = MessagePlace> {
    (wall_times(), channel_ids(), seqs()).prop_map(|(sent_ms, channel_id, seq)| MessagePlace {
        sent_ms,
        channel_id,
        seq,
    })
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
        Just(MemberChange::Left),
        Just(MemberChange::Role),
        Just(MemberChange::Title),
    ]
}

/// What a channel is.
pub fn channel_kinds() -> impl Strategy<Value = ChannelKind> {
    prop_oneof![Just(ChannelKind::Direct), Just(ChannelKind::Group), Just(ChannelKind::Large)]
}

/// What new members may read.
pub fn past_accesses() -> impl Strategy<Value = PastAccess> {
    prop_oneof![Just(PastAccess::Joined), Just(PastAccess::All)]
}

/// How present a user is.
pub fn presence_states() -> impl Strategy<Value = PresenceState> {
    prop_oneof![Just(PresenceState::Offline), Just(PresenceState::Away), Just(PresenceState::Online)]
}

/// What is said of one user's presence.
pub fn presence_entries() -> impl Strategy<Value = PresenceEntry> {
    (user_ids(), presence_states(), wall_times()).prop_map(|(user_id, state, last_active_ms)| PresenceEntry {
        user_id,
        state,
        last_active_ms,
    })
}

/// Emojis of every form: of one character, with a variation selector, a skin tone, joiners, a flag, a keycap, and the
/// longest.
const EMOJIS: &[&str] = &[
    "👍",
    "🦀",
    "\u{2764}\u{fe0f}",
    "👍🏽",
    "👨\u{200d}👩\u{200d}👧",
    "🇰🇷",
    "1\u{fe0f}\u{20e3}",
    "🧑🏻\u{200d}\u{2764}\u{fe0f}\u{200d}💋\u{200d}🧑🏼",
];

fn emoji(text: &str) -> Emoji {
    text.parse().expect("each of the list is one emoji")
}

/// Emojis.
pub fn emojis() -> impl Strategy<Value = Emoji> {
    proptest::sample::select(EMOJIS).prop_map(emoji)
}

/// How many put each of up to 3 different emojis to a message, at least one each, in any order.
fn counts() -> impl Strategy<Value = Vec<(Emoji, u32)>> {
    let different = proptest::sample::subsequence(EMOJIS, 0..=3).prop_shuffle();
    (different, any::<[u32; 3]>()).prop_map(|(emojis, counts)| {
        let count = |(text, count): (&str, u32)| (emoji(text), count.max(1));
        emojis.into_iter().zip(counts).map(count).collect()
    })
}

fn reactions() -> impl Strategy<Value = Arc<[Tally]>> {
    (counts(), any::<[bool; 3]>()).prop_map(|(counts, mine)| {
        counts.into_iter().zip(mine).map(|((emoji, count), mine)| Tally { emoji, count, mine }).collect()
    })
}

/// Whom a message names.
pub fn mentions() -> impl Strategy<Value = Arc<[UserId]>> {
    vec(user_ids(), 0..4).prop_map(Into::into)
}

/// Messages: as sent, edited, and deleted, which leaves no text and names nobody.
pub fn messages() -> impl Strategy<Value = Arc<Message>> {
    let place = (channel_ids(), seqs(), any::<u32>(), user_ids(), wall_times());
    let content = (client_msg_ids(), shared_texts(), option::of(seqs()), mentions());
    let since = (option::of(wall_times()), proptest::bool::weighted(0.2), reactions());
    (place, content, since).prop_map(|(place, content, since)| {
        let (channel_id, seq, revision, from, sent_ms) = place;
        let (client_msg_id, body, reply_to, mentions) = content;
        let (edited_ms, deleted, reactions) = since;
        let message = Message {
            channel_id,
            seq,
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
            reactions,
        };
        Arc::new(if deleted { Message { body: "".into(), mentions: no_mentions(), ..message } } else { message })
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
