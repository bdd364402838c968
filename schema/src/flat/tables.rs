//! Tables that clients and shards share: a message, a snapshot's channels, presence.

use super::flat_tables;
use crate::command::SnapshotChannel;
use crate::generated::rookery as fb;
use crate::message::{Message, Tally};
use crate::presence::PresenceEntry;

flat_tables! {
    Message as Message {
        reactions, channel_id, seq, revision, from, sent_ms, client_msg_id, kind, body, reply_to, mentions, edited_ms, deleted
    }
    Tally as Tally omitted if empty { emoji, count, mine }
    PresenceEntry as PresenceEntry { user_id, state, last_active_ms }
    SnapshotChannel as SnapshotChannel { channel_id, kind, head_seq, read_seq, unread }
}
