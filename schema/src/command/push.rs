//! Pushes to clients.
//!
//! Owns every push's fields, and how an event of an inbox or a feed becomes one and back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::emoji::Emoji;
use crate::event::{EventBody, MemberChange, Role};
use crate::id::{ChannelId, Seq, UserId};
use crate::message::Message;
use crate::op::ChannelKind;
use crate::presence::PresenceEntry;
use crate::time::UnixMs;

/// A push: what a session is told without a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Push {
    /// A message was sent to one of its channels.
    Message {
        /// As sent, or as it is now if it was edited since.
        message: Arc<Message>,
        /// The place after it. None in a large channel that is open, whose seq is the place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// A message has another text.
    Edited {
        /// As it is now.
        message: Arc<Message>,
        /// As of a message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// A message was deleted.
    Deleted {
        /// The channel that it happened in.
        channel_id: ChannelId,
        /// The deleted message.
        seq: Seq,
        /// The revision after it.
        revision: u32,
        /// As of a message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// An emoji was put to a message, or taken away.
    Reaction {
        /// The channel that it happened in.
        channel_id: ChannelId,
        /// The message that bears the emoji.
        seq: Seq,
        /// The emoji, fully qualified.
        emoji: Emoji,
        /// How many have put it there, after this.
        count: u32,
        /// The user who reacted.
        user_id: UserId,
        /// Whether it was put there.
        on: bool,
        /// As of a message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// A membership changed.
    Membership {
        /// The channel that it happened in.
        channel_id: ChannelId,
        /// The user who is concerned.
        user_id: UserId,
        /// The kind of change.
        change: MemberChange,
        /// The role after it.
        role: Role,
        /// As of a message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// A mark moved: the account's own, with a cursor, or that of another member of a direct channel or small group,
    /// live alone.
    Read {
        /// The channel that it happened in.
        channel_id: ChannelId,
        /// The user who is concerned.
        user_id: UserId,
        /// The mark after it.
        read_seq: Seq,
        /// The place after it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// The cursor was too old: what the channels are now.
    Snapshot {
        /// A page of the account's channels.
        channels: Vec<SnapshotChannel>,
        /// Whether further pages follow.
        more: bool,
        /// On the last page alone: the place from which to go on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// The token's time is nearly over.
    TokenExpiring {
        /// When the token counts no longer.
        expires_ms: UnixMs,
    },
    /// The node will stop: connect again after a random wait of up to `jitter_ms`.
    Drain {
        /// When it closes what is left.
        deadline_ms: UnixMs,
        /// The longest wait before connecting again, from which clients draw.
        jitter_ms: u32,
        /// Where to, if elsewhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// A large channel that is not open has grown.
    Head {
        /// The channel.
        channel_id: ChannelId,
        /// The newest seq of the channel.
        head_seq: Seq,
    },
    /// The presence of users who are watched has changed.
    Presence {
        /// Each user once, as it is now.
        entries: Vec<PresenceEntry>,
    },
    /// A member is writing, or has stopped.
    Typing {
        /// The channel that it happened in.
        channel_id: ChannelId,
        /// The member who is writing.
        user_id: UserId,
        /// Whether it is writing.
        on: bool,
    },
    /// The server's application says something of a channel, which is kept nowhere.
    Published {
        /// The channel that it is about.
        channel_id: ChannelId,
        /// What happened, in the application's words.
        event: Arc<str>,
        /// What it says of that: a text.
        data: Arc<str>,
    },
    /// Posts came into the account's news feed, at most every 5 s. Kept nowhere: a hint to read the feed again.
    FeedHead {
        /// How many, since the last push of this kind.
        count: u32,
    },
}

/// One channel of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SnapshotChannel {
    /// The channel.
    pub channel_id: ChannelId,
    /// Direct, group or large.
    pub kind: ChannelKind,
    /// The newest seq of the channel.
    pub head_seq: Seq,
    /// Up to where the account has read.
    pub read_seq: Seq,
    /// Messages after the mark.
    pub unread: u64,
}

impl Push {
    /// An event as sessions see it, with the cursor after it; one of a large channel's feed has none.
    #[must_use]
    pub fn of_event(channel_id: ChannelId, body: &EventBody, cursor: Option<String>) -> Self {
        match body {
            EventBody::Message(message) => Self::Message { message: Arc::clone(message), cursor },
            EventBody::Edited(message) => Self::Edited { message: Arc::clone(message), cursor },
            &EventBody::Deleted { seq, revision } => Self::Deleted { channel_id, seq, revision, cursor },
            EventBody::Reaction { seq, emoji, count, user, on } => Self::Reaction {
                channel_id,
                seq: *seq,
                emoji: emoji.clone(),
                count: *count,
                user_id: *user,
                on: *on,
                cursor,
            },
            &EventBody::Membership { user, change, role } => {
                Self::Membership { channel_id, user_id: user, change, role, cursor }
            }
            &EventBody::Read { user, read_seq } => Self::Read { channel_id, user_id: user, read_seq, cursor },
        }
    }

    /// The place after it, if it has one: where a client that holds it goes on.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        match self {
            Self::Message { cursor, .. }
            | Self::Edited { cursor, .. }
            | Self::Deleted { cursor, .. }
            | Self::Reaction { cursor, .. }
            | Self::Membership { cursor, .. }
            | Self::Read { cursor, .. }
            | Self::Snapshot { cursor, .. } => cursor.as_deref(),
            Self::TokenExpiring { .. }
            | Self::Drain { .. }
            | Self::Head { .. }
            | Self::Presence { .. }
            | Self::Typing { .. }
            | Self::Published { .. }
            | Self::FeedHead { .. } => None,
        }
    }

    /// The event that it tells, if it tells one: the reverse of [`Self::of_event`].
    #[must_use]
    pub fn to_event(&self) -> Option<(ChannelId, EventBody)> {
        match self {
            Self::Message { message, .. } => Some((message.channel_id, EventBody::Message(Arc::clone(message)))),
            Self::Edited { message, .. } => Some((message.channel_id, EventBody::Edited(Arc::clone(message)))),
            &Self::Deleted { channel_id, seq, revision, .. } => {
                Some((channel_id, EventBody::Deleted { seq, revision }))
            }
            Self::Reaction { channel_id, seq, emoji, count, user_id, on, .. } => {
                let (seq, count, user, on) = (*seq, *count, *user_id, *on);
                Some((*channel_id, EventBody::Reaction { seq, emoji: emoji.clone(), count, user, on }))
            }
            &Self::Membership { channel_id, user_id, change, role, .. } => {
                Some((channel_id, EventBody::Membership { user: user_id, change, role }))
            }
            &Self::Read { channel_id, user_id, read_seq, .. } => {
                Some((channel_id, EventBody::Read { user: user_id, read_seq }))
            }
            Self::Snapshot { .. }
            | Self::TokenExpiring { .. }
            | Self::Drain { .. }
            | Self::Head { .. }
            | Self::Presence { .. }
            | Self::Typing { .. }
            | Self::Published { .. }
            | Self::FeedHead { .. } => None,
        }
    }
}
