//! Tables that clients and shards share: a message and its attachments, a snapshot's channels, presence.

use super::flat_tables;
use crate::command::SnapshotChannel;
use crate::generated::rookery as fb;
use crate::media::Attachment;
use crate::message::{Message, Tally};
use crate::presence::PresenceEntry;

flat_tables! {
    Message as Message but its_kind_is_of_its_media {
        reactions, channel_id, seq, revision, from, sent_ms, client_msg_id, kind as [beside media], body, reply_to, mentions,
        edited_ms, deleted, media
    }
    Tally as Tally omitted if empty { emoji, count, mine }
    Attachment as Attachment omitted if empty {
        media_id, kind, content_type, name, bytes, width, height, blurhash, poster
    }
    PresenceEntry as PresenceEntry { user_id, state, last_active_ms }
    SnapshotChannel as SnapshotChannel { channel_id, kind, head_seq, read_seq, unread }
}
