//! What clients say and hear: requests, replies, errors, pushes.
//!
//! Owns the meaning of PROTOCOL sections 1 to 3. The two encodings in `codec` carry these same values.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::emoji::Emoji;
use crate::event::{EventBody, MemberChange, Role};
use crate::id::{ChannelId, ClientMsgId, DeviceId, Seq, SessionId, UserId};
use crate::limits;
use crate::message::{Message, MessageKind, no_mentions};
use crate::op::{ChannelKind, Refusal};
use crate::presence::PresenceEntry;
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
    /// Another text for an own message.
    Edit(Edit),
    /// A message's text goes; its seq stays.
    Delete(Delete),
    /// An emoji to a message, or away from it.
    React(React),
    /// The user is writing, or has stopped. Usually without a number: nobody needs the reply.
    Typing(Typing),
    /// The user looks at a channel: its members' presence, and, of a large one, live delivery.
    Open(Open),
    /// The user looks away.
    Close {
        /// From which channel.
        channel_id: ChannelId,
    },
    /// Who is there?
    PresenceGet(PresenceGet),
    /// Whose presence is pushed from now on.
    PresenceWatch {
        /// At most 500, in place of the earlier ones.
        user_ids: Vec<UserId>,
    },
    /// Messages with these words, over the account's own channels.
    Search(Search),
}

/// The fields of `edit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// In which channel.
    pub channel_id: ChannelId,
    /// Which message.
    pub seq: Seq,
    /// The client's name for the operation, repeated on every retry.
    pub op_id: ClientMsgId,
    /// The revision that the user saw.
    pub base_revision: u32,
    /// The new text.
    pub body: Arc<str>,
}

/// The fields of `delete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// In which channel.
    pub channel_id: ChannelId,
    /// Which message.
    pub seq: Seq,
    /// The client's name for the operation, repeated on every retry.
    pub op_id: ClientMsgId,
}

/// The fields of `react`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct React {
    /// In which channel.
    pub channel_id: ChannelId,
    /// To which message.
    pub seq: Seq,
    /// The client's name for the operation, repeated on every retry.
    pub op_id: ClientMsgId,
    /// What should be one emoji; the session says so if it is none.
    pub emoji: String,
    /// Whether to put it there or to take it away.
    pub on: bool,
}

/// The fields of `typing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typing {
    /// In which channel.
    pub channel_id: ChannelId,
    /// Whether the user is writing.
    pub on: bool,
}

/// The fields of `open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Which channel.
    pub channel_id: ChannelId,
    /// Of a large one: the last message that the client has. Without it, from the newest on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_seq: Option<Seq>,
}

/// The fields of `presence_get`: users, or a page of a channel's members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceGet {
    /// At most 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_ids: Vec<UserId>,
    /// Members of this channel instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<ChannelId>,
    /// Which 200 of them, from 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub page: u32,
}

/// The fields of `search`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// Words, all of which a message must have. At most 200 characters.
    pub query: String,
    /// In this channel alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<ChannelId>,
    /// By this user alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<UserId>,
    /// Sent before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_ms: Option<UnixMs>,
    /// Hits at most; the server's limit is 50.
    #[serde(default = "default_hits")]
    pub limit: u32,
}

/// Hits of a page when the client names no limit.
fn default_hits() -> u32 {
    20
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a field by reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
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
    /// Who is there.
    PresenceGet {
        /// In the order asked for.
        entries: Vec<PresenceEntry>,
    },
    /// Who is there now; changes are pushed.
    PresenceWatch {
        /// In the order asked for.
        entries: Vec<PresenceEntry>,
    },
    /// What was found.
    Search(SearchPage),
}

/// The fields of the reply to `open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The newest seq that this account may see; 0 if there is none.
    pub head_seq: Seq,
    /// The account's mark.
    pub read_seq: Seq,
    /// Members who are online or away. Of a large channel: those who have it open.
    pub online: u32,
    /// The members' marks, of direct channels and groups of up to 20 members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<ReadMark>,
}

/// Up to where a member has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMark {
    /// Who.
    pub user_id: UserId,
    /// Up to which message.
    pub read_seq: Seq,
}

/// The fields of the reply to `search`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchPage {
    /// Newest first.
    pub hits: Vec<SearchHit>,
    /// Whether there are older ones: ask again with `before_ms` of the last.
    pub more: bool,
}

/// One message that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchHit {
    /// Where.
    pub channel_id: ChannelId,
    /// Which; `history` with `around` shows what is about it.
    pub seq: Seq,
    /// When it was sent.
    pub sent_ms: UnixMs,
    /// Who sent it.
    pub from: UserId,
    /// The text about the first word found, cut.
    pub snippet: String,
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
        /// Where.
        channel_id: ChannelId,
        /// Which.
        seq: Seq,
        /// The revision after it.
        revision: u32,
        /// As of a message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// An emoji was put to a message, or taken away.
    Reaction {
        /// Where.
        channel_id: ChannelId,
        /// To which message.
        seq: Seq,
        /// Which emoji.
        emoji: Emoji,
        /// How many have put it there, after this.
        count: u32,
        /// Who did it.
        user_id: UserId,
        /// Whether it was put there.
        on: bool,
        /// As of a message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
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
        /// As of a message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// A mark moved: the account's own, with a cursor, or that of another member of a direct channel or small group, live
    /// alone.
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
    /// A large channel that is not open has grown.
    Head {
        /// Which.
        channel_id: ChannelId,
        /// Its newest seq.
        head_seq: Seq,
    },
    /// The presence of users who are watched has changed.
    Presence {
        /// Each user once, as it is now.
        entries: Vec<PresenceEntry>,
    },
    /// A member is writing, or has stopped.
    Typing {
        /// Where.
        channel_id: ChannelId,
        /// Who.
        user_id: UserId,
        /// Whether it is writing.
        on: bool,
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
            | Self::Typing { .. } => None,
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
            | Self::Typing { .. } => None,
        }
    }
}
