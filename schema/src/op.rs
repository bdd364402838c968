//! What changes a channel: operations that its home carries out in order, and what they answer.
//!
//! Owns both. They come from a session or from the HTTP API, travel to the channel's home, and are committed by the
//! append transaction. Every operation is idempotent (I5).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::code::ErrorCode;
use crate::event::Role;
use crate::id::{ChannelId, ClientMsgId, Seq, UserId};
use crate::message::MessageKind;
use crate::time::UnixMs;

/// What a channel is. It never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// Two users, always the same channel for the same two.
    Direct,
    /// Up to 500 members, each message in each one's inbox.
    Group,
}

/// One operation on a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelOp {
    /// A user sends a message.
    Send(SendOp),
    /// A user read up to a seq. Clamped to the head; never goes back.
    Mark {
        /// Who.
        user: UserId,
        /// Up to where.
        read_seq: Seq,
    },
    /// The channel is made.
    Create(CreateOp),
    /// A member adds a user, or changes a member's role. Adding a member again with the same role changes nothing.
    AddMember {
        /// Who does it.
        by: UserId,
        /// Who is added.
        user: UserId,
        /// As what.
        role: Role,
    },
    /// A member removes a user, or, if both are the same, leaves. Removing who is no member changes nothing.
    RemoveMember {
        /// Who does it.
        by: UserId,
        /// Who is removed.
        user: UserId,
    },
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendOp {
    /// Who sends it.
    pub from: UserId,
    /// The sender's name for it: the key of rule 1.
    pub client_msg_id: ClientMsgId,
    /// What it is.
    pub kind: MessageKind,
    /// Its text, checked against the limit by the session.
    pub body: Arc<str>,
    /// What it answers.
    pub reply_to: Option<Seq>,
    /// Whom it names.
    pub mentions: Arc<[UserId]>,
}

/// A channel to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateOp {
    /// What it is.
    pub kind: ChannelKind,
    /// Its title; empty for a direct one.
    pub title: Arc<str>,
    /// Who makes it: a member, and a group's owner.
    pub creator: UserId,
    /// The other members, without the creator and without repetition.
    pub members: Vec<UserId>,
    /// The client's `Idempotency-Key`, if it gave one: the same key gives the same channel for 24 h.
    pub idempotency_key: Option<Arc<str>>,
}

/// What an operation answers when it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpReply {
    /// To [`ChannelOp::Send`].
    Sent {
        /// The message's seq.
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
    /// To [`ChannelOp::AddMember`] and [`ChannelOp::RemoveMember`].
    MemberChanged {
        /// Whether anything changed.
        changed: bool,
    },
}

/// Why an operation or a command was not carried out. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What the client branches on.
    pub code: ErrorCode,
    /// What a person reads: whose fault, which number, what to do.
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
