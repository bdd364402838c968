//! What clients say and hear: requests, replies, errors, pushes.
//!
//! Owns the meaning of PROTOCOL sections 1 to 3. The two encodings in `codec` carry these same values.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{EventBody, MemberChange, Role};
use crate::id::{ChannelId, ClientMsgId, DeviceId, Seq, SessionId, UserId};
use crate::limits;
use crate::message::{Message, MessageKind, no_mentions};
use crate::op::{ChannelKind, Refusal};
use crate::time::UnixMs;

/// One command of a client, with the id under which it wants the reply; 0 wants none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The client's number for it.
    pub id: u32,
    /// What it asks.
    pub command: Command,
}

/// What a client may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// The first command of a connection.
    Connect(Connect),
    /// A new token for the same session.
    Refresh {
        /// The access token.
        token: String,
    },
    /// A message to a channel.
    Send(Send),
    /// A page of a channel's past.
    History(History),
    /// The user has read up to here.
    Mark {
        /// Where.
        channel_id: ChannelId,
        /// Up to which message.
        read_seq: Seq,
    },
    /// Says the same back.
    Echo {
        /// At most 4 KiB.
        data: String,
    },
}

/// The fields of `connect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connect {
    /// The access token.
    pub token: String,
    /// Which device this is.
    pub device_id: DeviceId,
    /// The last cursor received; absent to start at the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// What the client calls itself; for logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

/// The fields of `send`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// Where to.
    pub channel_id: ChannelId,
    /// The client's name for it, repeated on every retry.
    pub client_msg_id: ClientMsgId,
    /// The text.
    pub body: Arc<str>,
    /// What it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// Whom it names.
    #[serde(default = "no_mentions", skip_serializing_if = "<[UserId]>::is_empty")]
    pub mentions: Arc<[UserId]>,
    /// What it is.
    #[serde(default)]
    pub kind: MessageKind,
}

/// The fields of `history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "HistoryFields", into = "HistoryFields")]
pub struct History {
    /// Of which channel.
    pub channel_id: ChannelId,
    /// Which part.
    pub window: HistoryWindow,
    /// Messages at most; the server's limit is 200.
    pub limit: u32,
}

/// Which part of a channel's past is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryWindow {
    /// The newest.
    Newest,
    /// The last before a seq.
    Before(Seq),
    /// The first after a seq.
    After(Seq),
    /// With a seq in the middle.
    Around(Seq),
}

#[derive(Serialize, Deserialize)]
struct HistoryFields {
    channel_id: ChannelId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    around: Option<Seq>,
    #[serde(default = "default_limit")]
    limit: u32,
}

/// Messages of a page when the client names no limit.
fn default_limit() -> u32 {
    50
}

/// More than one of `before`, `after` and `around`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give at most one of before, after and around")]
pub struct AmbiguousWindow;

impl HistoryWindow {
    /// From the three optional fields that clients may give, of which one at most may be there.
    ///
    /// # Errors
    /// If two or more are given.
    pub fn from_fields(before: Option<Seq>, after: Option<Seq>, around: Option<Seq>) -> Result<Self, AmbiguousWindow> {
        match (before, after, around) {
            (None, None, None) => Ok(Self::Newest),
            (Some(seq), None, None) => Ok(Self::Before(seq)),
            (None, Some(seq), None) => Ok(Self::After(seq)),
            (None, None, Some(seq)) => Ok(Self::Around(seq)),
            _ => Err(AmbiguousWindow),
        }
    }

    /// The three optional fields: before, after, around.
    #[must_use]
    pub fn to_fields(self) -> (Option<Seq>, Option<Seq>, Option<Seq>) {
        match self {
            Self::Newest => (None, None, None),
            Self::Before(seq) => (Some(seq), None, None),
            Self::After(seq) => (None, Some(seq), None),
            Self::Around(seq) => (None, None, Some(seq)),
        }
    }
}

impl TryFrom<HistoryFields> for History {
    type Error = AmbiguousWindow;
    fn try_from(fields: HistoryFields) -> Result<Self, AmbiguousWindow> {
        let window = HistoryWindow::from_fields(fields.before, fields.after, fields.around)?;
        Ok(Self { channel_id: fields.channel_id, window, limit: fields.limit })
    }
}

impl From<History> for HistoryFields {
    fn from(history: History) -> Self {
        let (before, after, around) = history.window.to_fields();
        Self { channel_id: history.channel_id, before, after, around, limit: history.limit }
    }
}

/// What a server sends in one envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFrame {
    /// The answer to the request with this id.
    Reply {
        /// The client's number.
        id: u32,
        /// What came of it.
        reply: Result<Reply, ErrorReply>,
    },
    /// What the client did not ask for.
    Push(Push),
}

/// The answer to a command that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The session lives.
    Connect(Connected),
    /// The new token counts.
    Refresh {
        /// Until when.
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
        /// Where it stands.
        read_seq: Seq,
        /// Messages after it.
        unread: u64,
    },
    /// What was said.
    Echo {
        /// The same.
        data: String,
    },
}

/// The fields of the reply to `connect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// Whose session it is.
    pub user_id: UserId,
    /// Its name in the server's logs.
    pub session_id: SessionId,
    /// The server's wall clock; clients make their ids with it.
    pub server_time_ms: UnixMs,
    /// Silence after which the server pings.
    pub ping_ms: u64,
    /// What the client must stay within.
    pub limits: ClientLimits,
    /// The given one, or the newest.
    pub cursor: String,
    /// How to connect again.
    pub retry: Retry,
}

/// Limits that a client must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// The first.
    pub base_ms: u32,
    /// The longest.
    pub cap_ms: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { base_ms: limits::RETRY_BASE_MS, cap_ms: limits::RETRY_CAP_MS }
    }
}

/// The fields of the reply to `history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// Ascending by seq.
    pub messages: Vec<Arc<Message>>,
    /// The newest seq that this account may see; 0 if there is none.
    pub head_seq: Seq,
    /// The oldest seq that this account may see; 1 if it may see all.
    pub first_seq: Seq,
    /// Whether there is more in the asked direction.
    pub more: bool,
}

/// The answer to a command that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// What to branch on.
    pub code: u16,
    /// What a person reads.
    pub message: String,
    /// Whether the same request may be sent again.
    pub temporary: bool,
    /// When; 0 if at once or never.
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

/// What a session is told unasked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Push {
    /// A message was sent to one of its channels.
    Message {
        /// The message.
        message: Arc<Message>,
        /// The place after it.
        cursor: String,
    },
    /// A membership changed.
    Membership {
        /// Where.
        channel_id: ChannelId,
        /// Whose.
        user_id: UserId,
        /// How.
        change: MemberChange,
        /// The role after it.
        role: Role,
        /// The place after it.
        cursor: String,
    },
    /// A mark moved: the account's own, with a cursor.
    Read {
        /// Where.
        channel_id: ChannelId,
        /// Whose.
        user_id: UserId,
        /// Up to where.
        read_seq: Seq,
        /// The place after it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// The cursor was too old: what the channels are now.
    Snapshot {
        /// A page of them.
        channels: Vec<SnapshotChannel>,
        /// Whether further pages follow.
        more: bool,
        /// On the last page alone: the place from which to go on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// The token's time is nearly over.
    TokenExpiring {
        /// When it is.
        expires_ms: UnixMs,
    },
    /// The node will stop: connect again after a random wait of up to `jitter_ms`.
    Drain {
        /// When it closes what is left.
        deadline_ms: UnixMs,
        /// What to spread over.
        jitter_ms: u32,
        /// Where to, if elsewhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
}

/// One channel of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotChannel {
    /// Which.
    pub channel_id: ChannelId,
    /// What it is.
    pub kind: ChannelKind,
    /// Its newest seq.
    pub head_seq: Seq,
    /// The account's mark.
    pub read_seq: Seq,
    /// Messages after the mark.
    pub unread: u64,
}

impl Push {
    /// An event of an inbox as its sessions see it, with the cursor after it.
    #[must_use]
    pub fn of_event(channel_id: ChannelId, body: &EventBody, cursor: String) -> Self {
        match body {
            EventBody::Message(message) => Self::Message { message: Arc::clone(message), cursor },
            &EventBody::Membership { user, change, role } => {
                Self::Membership { channel_id, user_id: user, change, role, cursor }
            }
            &EventBody::Read { user, read_seq } => {
                Self::Read { channel_id, user_id: user, read_seq, cursor: Some(cursor) }
            }
        }
    }
}
