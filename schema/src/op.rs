//! Operations on a channel, which its home carries out in order, and their replies.
//!
//! Owns both. They come from a session or from the HTTP API, travel to the channel's home, and are committed by the
//! append transaction. Every operation is idempotent (I5).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::code::ErrorCode;
use crate::emoji::Emoji;
use crate::event::Role;
use crate::id::{ChannelId, ClientMsgId, MediaId, Seq, UserId};
use crate::limits::ATTACHMENT_BYTES_MAX;
use crate::message::MessageKind;
use crate::time::UnixMs;

/// The kind of a channel. It never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[derive(utoipa::ToSchema)]
pub enum ChannelKind {
    /// Two users, always the same channel for the same two.
    Direct,
    /// Up to 500 members, each message in each one's inbox.
    Group,
    /// Any number of members. Its messages are in no inbox: sessions that have it open follow its log.
    Large,
    /// One user's posts and the replies to them, for those who may see them: nobody is a member of it, and no inbox tells
    /// of it.
    Feed,
}

/// For whom a post is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[derive(utoipa::ToSchema)]
pub enum Audience {
    /// The author's friends.
    Friends,
    /// Anybody, as long as the author's account is public; whoever follows the author has it in the feed.
    Public,
}

/// The access of new members to what was sent before they joined. It never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[derive(utoipa::ToSchema)]
pub enum PastAccess {
    /// Nothing of it.
    #[default]
    Joined,
    /// Everything. For large channels alone.
    All,
}

/// One operation on a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelOp {
    /// A user sends a message.
    Send(SendOp),
    /// A user read up to a seq. Clamped to the head; never goes back.
    Mark {
        /// The member who acts.
        user: UserId,
        /// The newest message that the user has read.
        read_seq: Seq,
    },
    /// The channel is made.
    Create(CreateOp),
    /// A member adds a user, or changes a member's role. Adding a member again with the same role changes nothing.
    AddMember {
        /// The user who acts.
        by: UserId,
        /// The user who is added.
        user: UserId,
        /// The role after it.
        role: Role,
    },
    /// A member removes a user, or, if both are the same, leaves. Removing who is no member changes nothing.
    RemoveMember {
        /// The user who acts.
        by: UserId,
        /// The user who is removed.
        user: UserId,
    },
    /// The author changes a message's text.
    Edit(EditOp),
    /// The author, or an admin, takes a message's text away. Its seq stays.
    Delete {
        /// The user who acts.
        by: UserId,
        /// The message to be changed.
        seq: Seq,
        /// The client's name for it, as a `client_msg_id` is one.
        op_id: ClientMsgId,
    },
    /// A member puts an emoji to a message, or takes it away.
    React(ReactOp),
    /// A member is writing, or has stopped. Told live, kept nowhere.
    Typing {
        /// The member who acts.
        user: UserId,
        /// Whether it is writing.
        on: bool,
    },
    /// An application's backend tells those who are there something. Told live, kept nowhere.
    Publish {
        /// The application's own account, or a member.
        by: UserId,
        /// What happened, in the application's words: 1 to 64 of `[A-Za-z0-9._-]`.
        event: Arc<str>,
        /// What it says of that, at most 4 KiB.
        data: Arc<str>,
    },
    /// An owner or admin gives a group or large channel another title.
    SetTitle {
        /// The user who acts.
        by: UserId,
        /// The new title, of at most 128 characters.
        title: Arc<str>,
    },
    /// A member wants notifications, or none.
    SetMuted {
        /// The member who acts.
        user: UserId,
        /// Whether it wants none.
        muted: bool,
    },
    /// One of a direct channel's two blocks the other, or does so no longer.
    Block {
        /// The user who acts.
        by: UserId,
        /// The user who is blocked.
        user: UserId,
        /// Whether the block begins or ends.
        on: bool,
    },
}

impl ChannelOp {
    /// The channel-wide order that a send is part of: its sender and its name. Nothing else is ordered so (rule 7).
    #[must_use]
    pub fn sends(&self) -> Option<(UserId, ClientMsgId)> {
        match self {
            Self::Send(send) => Some((send.from, send.client_msg_id)),
            Self::Mark { .. }
            | Self::Create(_)
            | Self::AddMember { .. }
            | Self::RemoveMember { .. }
            | Self::Edit(_)
            | Self::Delete { .. }
            | Self::React(_)
            | Self::Typing { .. }
            | Self::Publish { .. }
            | Self::SetTitle { .. }
            | Self::SetMuted { .. }
            | Self::Block { .. } => None,
        }
    }

    /// Whether it is a send with media, or one that says so: nodes that know of none leave it out.
    #[must_use]
    pub(crate) fn sends_media(&self) -> bool {
        matches!(self, Self::Send(send) if send.kind.with(&send.media) == MessageKind::Media)
    }

    /// Notes what applications said of it. What is not asked about has no such thing.
    pub fn set_ruling(&mut self, said: Option<Ruling>) {
        if let Self::Send(SendOp { ruling, .. }) | Self::Edit(EditOp { ruling, .. }) = self {
            *ruling = said;
        }
    }

    /// Bytes of text that it brings, and of lists; of media all that their message says of them.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::Send(send) => {
                let lists = send.mentions.len() * 8 + send.media.len() * ATTACHMENT_BYTES_MAX as usize;
                send.body.len() + lists + ruling_bytes(send.ruling.as_ref())
            }
            Self::Create(create) => {
                let key_bytes = create.idempotency_key.as_ref().map_or(0, |key| key.len());
                create.title.len() + create.members.len() * 8 + key_bytes
            }
            Self::Edit(edit) => edit.body.len() + ruling_bytes(edit.ruling.as_ref()),
            Self::SetTitle { title, .. } => title.len(),
            Self::Publish { event, data, .. } => event.len() + data.len(),
            Self::Mark { .. }
            | Self::AddMember { .. }
            | Self::RemoveMember { .. }
            | Self::Delete { .. }
            | Self::React(_)
            | Self::Typing { .. }
            | Self::SetMuted { .. }
            | Self::Block { .. } => 0,
        }
    }
}

/// A message's text to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditOp {
    /// The user who acts.
    pub by: UserId,
    /// The message to be changed.
    pub seq: Seq,
    /// The client's name for it, as a `client_msg_id` is one.
    pub op_id: ClientMsgId,
    /// The revision that the client saw.
    pub base_revision: u32,
    /// The new text, checked against the limit by the session.
    pub body: Arc<str>,
    /// What applications said of it, if they did not let it pass as it is.
    pub ruling: Option<Ruling>,
}

/// An emoji to be put to a message, or taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactOp {
    /// The user who acts.
    pub by: UserId,
    /// The message to be changed.
    pub seq: Seq,
    /// The client's name for it, as a `client_msg_id` is one.
    pub op_id: ClientMsgId,
    /// The emoji, fully qualified.
    pub emoji: Emoji,
    /// Whether it is put there.
    pub on: bool,
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendOp {
    /// The user who sends it.
    pub from: UserId,
    /// The sender's name for it: the key of rule 1.
    pub client_msg_id: ClientMsgId,
    /// The kind, as clients name it.
    pub kind: MessageKind,
    /// Its text, checked against the limit by the session.
    pub body: Arc<str>,
    /// The message of the same channel that it answers.
    pub reply_to: Option<Seq>,
    /// Members whom it names, at most 50.
    pub mentions: Arc<[UserId]>,
    /// What applications said of it, if they did not let it pass as it is.
    pub ruling: Option<Ruling>,
    /// For whom it is, if it is a post: its sender's, in a channel of kind [`ChannelKind::Feed`]. A reply to one has any, to say
    /// that it is one, and is for who sees the post.
    pub audience: Option<Audience>,
    /// The sender's media that it carries, at most 10.
    pub media: Vec<MediaId>,
}

/// What applications said of a user's text before it is stored. A retry of what is stored already has its first reply,
/// whatever they say of it by then: so the home of the channel decides by it, after it has looked for that reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// This text is stored in its place. A retry is known by the text that the user sent.
    Change(Arc<str>),
    /// It is refused (125), and why: at most 200 characters, for the user.
    Refuse(Arc<str>),
    /// Nobody was asked, since its user was no member when that was looked at. If its user is one by now, it comes again
    /// (114) and is asked about.
    Unasked,
}

#[cfg(test)]
crate::testing::any_variants! { Ruling { Change { (text) } Refuse { (text) } Unasked {} } }

fn ruling_bytes(ruling: Option<&Ruling>) -> usize {
    match ruling {
        Some(Ruling::Change(text) | Ruling::Refuse(text)) => text.len(),
        Some(Ruling::Unasked) | None => 0,
    }
}

/// A channel to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateOp {
    /// The kind, as clients name it.
    pub kind: ChannelKind,
    /// Its title; empty for a direct one.
    pub title: Arc<str>,
    /// The creator: a member, and a group's owner.
    pub creator: UserId,
    /// The other members, without the creator and without repetition.
    pub members: Vec<UserId>,
    /// The client's `Idempotency-Key`, if it gave one: the same key gives the same channel for 24 h.
    pub idempotency_key: Option<Arc<str>>,
    /// The access of new members to what was sent before they joined.
    pub past: PastAccess,
}

/// The reply to an operation, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpReply {
    /// To [`ChannelOp::Send`].
    Sent {
        /// The message's place in the channel.
        seq: Seq,
        /// When its home accepted it.
        sent_ms: UnixMs,
        /// Whether it had been sent before.
        duplicate: bool,
    },
    /// To [`ChannelOp::Mark`].
    Marked {
        /// The mark after it.
        read_seq: Seq,
        /// Messages after the mark.
        unread: u64,
    },
    /// To [`ChannelOp::Create`].
    Created {
        /// The channel: for a direct one that existed, or a repeated key, that one.
        channel: ChannelId,
        /// Whether it was there before.
        existed: bool,
    },
    /// To what changes members, a title, a mute or a block.
    Changed {
        /// Whether anything changed.
        changed: bool,
    },
    /// To [`ChannelOp::Edit`] and [`ChannelOp::Delete`].
    Revised {
        /// The message's revision after it.
        revision: u32,
    },
    /// To [`ChannelOp::React`].
    Reacted {
        /// How many have put the emoji there, after it.
        count: u32,
    },
    /// To [`ChannelOp::Typing`] and [`ChannelOp::Publish`].
    Told,
}

/// The refusal of an operation or a command. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The error code, to branch on.
    pub code: ErrorCode,
    /// The text for a person: whose fault, which number, what to do.
    pub message: String,
    /// When the same request may be sent again, if it is temporary; 0 if at once.
    pub retry_after_ms: u32,
}

impl Refusal {
    /// A refusal with its text.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: 0 }
    }

    /// The same, with the time after which a retry makes sense.
    #[must_use]
    pub fn after_ms(mut self, retry_after_ms: u32) -> Self {
        self.retry_after_ms = retry_after_ms;
        self
    }
}
