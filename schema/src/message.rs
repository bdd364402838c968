//! A message, wherever it appears.
//!
//! Owns its fields. Text and lists are shared: one message is in a history, an event and several frames at once.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::emoji::Emoji;
use crate::id::{ChannelId, ClientMsgId, Seq, UserId};
use crate::media::Attachment;
use crate::time::UnixMs;

/// The kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[derive(utoipa::ToSchema)]
pub enum MessageKind {
    /// Text that a user wrote.
    #[default]
    Text,
    /// Pictures, videos or other files, with or without a text.
    Media,
}

impl MessageKind {
    /// This kind of what has no media, and of what has some, [`MessageKind::Media`].
    ///
    /// FlatBuffers of messages say `text` of both, and readers derive it: an older one refuses a number that it does not
    /// know, and shows the text of what it takes for one.
    #[must_use]
    pub fn with<T>(self, media: &[T]) -> Self {
        if media.is_empty() { self } else { Self::Media }
    }
}

/// One message of a channel's history. Cloning shares its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Message {
    /// The channel that it was sent to.
    pub channel_id: ChannelId,
    /// Its place there (I2).
    pub seq: Seq,
    /// 0 as sent; each edit adds one.
    #[serde(default)]
    pub revision: u32,
    /// The user who sent it.
    pub from: UserId,
    /// When its home accepted it; never decreases within a channel.
    pub sent_ms: UnixMs,
    /// The sender's name for it.
    pub client_msg_id: ClientMsgId,
    /// `media` if it has any, else `text`: once it is deleted, too.
    #[serde(default)]
    pub kind: MessageKind,
    /// Its text, up to 100,000 characters; empty once it is deleted, and where media say all.
    pub body: Arc<str>,
    /// The message of the same channel that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// Members whom it names.
    #[serde(default = "no_mentions", skip_serializing_if = "<[UserId]>::is_empty")]
    pub mentions: Arc<[UserId]>,
    /// When it was last edited; none as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_ms: Option<UnixMs>,
    /// Whether it was deleted: its seq stays, its text is gone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deleted: bool,
    /// Each emoji with its count, in the order in which they first came.
    #[serde(default = "no_reactions", skip_serializing_if = "<[Tally]>::is_empty")]
    pub reactions: Arc<[Tally]>,
    /// What it carries, in the order of its sender; at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Attachment>,
}

/// One emoji of a message with its count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tally {
    /// The emoji, fully qualified.
    pub emoji: Emoji,
    /// Users who put it there, the reader among them.
    pub count: u32,
    /// Whether the reader is one of them. Told by `history` alone: a push is the same for all who get it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mine: bool,
}

/// Nobody reacted.
#[must_use]
pub fn no_reactions() -> Arc<[Tally]> {
    Arc::from([])
}

pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}

pub(crate) fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// No one is mentioned.
#[must_use]
pub fn no_mentions() -> Arc<[UserId]> {
    Arc::from([])
}
