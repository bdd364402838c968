//! Events of an inbox.
//!
//! Owns the event with its content, as homes and sessions hand it on. How it is stored is in `record`, how clients
//! see it in `command::Push`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::emoji::Emoji;
use crate::id::{ChannelId, Seq, UserId};
use crate::media::Attachment;
use crate::message::Message;
use crate::position::Position;

/// A member's role: what it may do in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[derive(utoipa::ToSchema)]
pub enum Role {
    /// Reads, sends, leaves.
    Member,
    /// Adds and removes members too, changes the title, and deletes others' messages.
    Admin,
    /// The channel's creator.
    Owner,
}

/// The kind of change of a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[derive(utoipa::ToSchema)]
pub enum MemberChange {
    /// The channel was made, by this user.
    Created,
    /// The user was added.
    Added,
    /// The user was removed by another.
    Removed,
    /// The user left.
    Left,
    /// The user has another role.
    Role,
    /// The user gave the channel another title, which `GET /v1/channels/{id}` tells.
    Title,
}

/// One event, equal for every account whose inbox it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in those inboxes.
    pub position: Position,
    /// The channel it is about.
    pub channel: ChannelId,
    /// The kind of event with its content.
    pub body: EventBody,
}

/// The kind of an event, with the content that a client is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventBody {
    /// A message was sent.
    Message(Arc<Message>),
    /// A message has another text: as it is now.
    Edited(Arc<Message>),
    /// A message was deleted.
    Deleted {
        /// The deleted message.
        seq: Seq,
        /// The revision after it.
        revision: u32,
    },
    /// Somebody put an emoji to a message, or took it away.
    Reaction {
        /// The message that bears the emoji.
        seq: Seq,
        /// The emoji, fully qualified.
        emoji: Emoji,
        /// How many have put it there, after this.
        count: u32,
        /// The user who reacted.
        user: UserId,
        /// Whether it was put there.
        on: bool,
    },
    /// A membership changed.
    Membership {
        /// The user whose membership changed.
        user: UserId,
        /// The kind of change.
        change: MemberChange,
        /// The role after it.
        role: Role,
    },
    /// The account read up to here, on one of its devices.
    Read {
        /// The account whose inbox it is.
        user: UserId,
        /// The mark after it.
        read_seq: Seq,
    },
}

impl Event {
    /// See [`EventBody::weight_bytes`].
    #[must_use]
    pub fn weight_bytes(&self) -> u32 {
        self.body.weight_bytes()
    }
}

impl EventBody {
    /// Bytes that an event with this body occupies where it waits: its text, its reactions, its media and what surrounds
    /// them, about.
    #[must_use]
    pub fn weight_bytes(&self) -> u32 {
        /// Fields, ids and bookkeeping around a text, encoded or not.
        const AROUND_BYTES: u32 = 256;
        /// One tally with its emoji.
        const TALLY_BYTES: usize = 64;
        match self {
            Self::Message(message) | Self::Edited(message) => {
                let text = message.body.len() + message.mentions.len() * 8 + message.reactions.len() * TALLY_BYTES;
                let media: usize = message.media.iter().map(Attachment::weight_bytes).sum();
                AROUND_BYTES.saturating_add(u32::try_from(text + media).unwrap_or(u32::MAX))
            }
            Self::Deleted { .. } | Self::Reaction { .. } | Self::Membership { .. } | Self::Read { .. } => AROUND_BYTES,
        }
    }
}
