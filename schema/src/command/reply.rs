//! Replies to clients.
//!
//! Owns every reply's fields, the error among them, and the envelope that bears a reply or a push.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Push;
use crate::code::ErrorCode;
use crate::id::{ChannelId, Seq, SessionId, UserId};
use crate::limits;
use crate::message::Message;
use crate::op::Refusal;
use crate::place::MessagePlace;
use crate::presence::PresenceEntry;
use crate::time::UnixMs;

/// A server frame: the content of one envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFrame {
    /// The answer to the request with this id.
    Reply {
        /// The client's number of the request.
        id: u32,
        /// The reply, or why the command was refused.
        reply: Result<Reply, ErrorReply>,
    },
    /// A push, which answers no request.
    Push(Push),
}

/// The answer to a command that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The session lives.
    Connect(Connected),
    /// The new token counts.
    Refresh {
        /// When the new token counts no longer.
        expires_ms: UnixMs,
    },
    /// The message is durable.
    Send {
        /// Its place in the channel.
        seq: Seq,
        /// When it was accepted.
        sent_ms: UnixMs,
        /// Whether it had been sent before.
        duplicate: bool,
    },
    /// The page asked for.
    History(HistoryPage),
    /// The mark is durable.
    Mark {
        /// The mark, which never goes back.
        read_seq: Seq,
        /// Messages after the mark.
        unread: u64,
    },
    /// The same data.
    Echo {
        /// The data of the request.
        data: String,
    },
    /// The edit is durable.
    Edit {
        /// The message's revision after it.
        revision: u32,
    },
    /// The deletion is durable.
    Delete {
        /// The message's revision after it.
        revision: u32,
    },
    /// The reaction is durable.
    React {
        /// How many have put the emoji there, after it.
        count: u32,
    },
    /// Others were told.
    Typing {},
    /// The channel is open.
    Open(Opened),
    /// The channel is closed.
    Close {},
    /// Presence as it is.
    PresenceGet {
        /// In the order asked for.
        entries: Vec<PresenceEntry>,
    },
    /// Presence as it is; changes are pushed.
    PresenceWatch {
        /// In the order asked for.
        entries: Vec<PresenceEntry>,
    },
    /// The hits.
    Search(SearchPage),
}

/// The fields of the reply to `open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Opened {
    /// The channel's newest seq, or the last that this account may see if it has left; 0 if there is none.
    pub head_seq: Seq,
    /// Up to where the account has read.
    pub read_seq: Seq,
    /// Members who are online or away. Of a large channel: those who have it open.
    pub online: u32,
    /// The members' marks, of direct channels and groups of up to 20 members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<ReadMark>,
}

/// Up to where a member has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReadMark {
    /// The member whose mark it is.
    pub user_id: UserId,
    /// The newest message that the member has read.
    pub read_seq: Seq,
}

/// The fields of the reply to `search`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SearchPage {
    /// Newest first.
    pub hits: Vec<SearchHit>,
    /// Whether there may be older ones. A page may be short, or empty, with more behind it.
    pub more: bool,
    /// The `cursor` of the next page, if there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<MessagePlace>,
}

/// One message that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SearchHit {
    /// The channel of the message.
    pub channel_id: ChannelId,
    /// Its seq; `history` with `around` shows the messages about it.
    pub seq: Seq,
    /// When its home accepted it.
    pub sent_ms: UnixMs,
    /// The user who sent it.
    pub from: UserId,
    /// The text about the first word found, cut.
    pub snippet: String,
}

/// The fields of the reply to `connect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Connected {
    /// The account of the session.
    pub user_id: UserId,
    /// Its name in the server's logs.
    pub session_id: SessionId,
    /// The server's wall clock; clients make their ids with it.
    pub server_time_ms: UnixMs,
    /// Silence after which the server pings.
    pub ping_ms: u64,
    /// The limits that the client must keep.
    pub limits: ClientLimits,
    /// The given one, or the newest.
    pub cursor: String,
    /// The pauses before connecting again.
    pub retry: Retry,
}

/// Limits that a client must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClientLimits {
    /// Characters of a message's text.
    pub body_chars_max: u32,
    /// Bytes of one WebSocket message.
    pub frame_bytes_max: u32,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self { body_chars_max: limits::BODY_CHARS_MAX, frame_bytes_max: limits::MESSAGE_BYTES_MAX }
    }
}

/// Pauses before connecting again: `random(0, min(cap, base · 2^n))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Retry {
    /// Bound of the first pause, which each failure doubles.
    pub base_ms: u32,
    /// Bound of every pause.
    pub cap_ms: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { base_ms: limits::RETRY_BASE_MS, cap_ms: limits::RETRY_CAP_MS }
    }
}

/// The fields of the reply to `history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HistoryPage {
    /// Ascending by seq.
    pub messages: Vec<Arc<Message>>,
    /// The channel's newest seq, or the last that this account may see if it has left; 0 if there is none.
    pub head_seq: Seq,
    /// The oldest seq that this account may see, 1 if it may see all; the one after `head_seq` if it may see none.
    pub first_seq: Seq,
    /// Whether there is more in the asked direction.
    pub more: bool,
}

/// The answer to a command that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorReply {
    /// The error code, to branch on.
    #[schema(value_type = ErrorCode)]
    pub code: u16,
    /// The text for a person.
    pub message: String,
    /// Whether the same request may be sent again.
    pub temporary: bool,
    /// The wait before that; 0 if at once or never.
    pub retry_after_ms: u32,
}

impl From<Refusal> for ErrorReply {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code.into(),
            temporary: refusal.code.is_temporary(),
            message: refusal.message,
            retry_after_ms: refusal.retry_after_ms,
        }
    }
}
