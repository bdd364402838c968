//! Requests of clients.
//!
//! Owns every command's fields, which are those of the JSON, and what they are when a client leaves them out.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{ChannelId, ClientMsgId, DeviceId, MediaId, Seq, UserId};
use crate::message::{MessageKind, no_mentions};
use crate::place::MessagePlace;
use crate::time::UnixMs;

/// One command of a client, with the id under which it wants the reply; 0 wants none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The client's number for it.
    pub id: u32,
    /// The command with its fields.
    pub command: Command,
}

/// A command of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// The first command of a connection.
    Connect(Connect),
    /// A new token for the same session.
    Refresh {
        /// A signed access token of at most 4 KiB.
        token: String,
    },
    /// A message to a channel.
    Send(Send),
    /// A page of a channel's past.
    History(History),
    /// The user has read up to here.
    Mark {
        /// The channel whose mark moves.
        channel_id: ChannelId,
        /// The newest message that the user has read.
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
        /// The channel that is closed.
        channel_id: ChannelId,
    },
    /// Presence of users or of a channel's members.
    PresenceGet(PresenceGet),
    /// Sets the users whose presence is pushed.
    PresenceWatch {
        /// At most 500, in place of the earlier ones.
        #[serde(default)]
        user_ids: Vec<UserId>,
    },
    /// Messages with these words, over the account's own channels.
    Search(Search),
}

/// The fields of `edit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Edit {
    /// The channel of the message, or that the user writes in.
    pub channel_id: ChannelId,
    /// The message to be changed.
    pub seq: Seq,
    /// The client's name for the operation, repeated on every retry.
    pub op_id: ClientMsgId,
    /// The revision that the user saw.
    pub base_revision: u32,
    /// The new text, of at most 100,000 characters.
    pub body: Arc<str>,
}

/// The fields of `delete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Delete {
    /// The channel of the message, or that the user writes in.
    pub channel_id: ChannelId,
    /// The message to be changed.
    pub seq: Seq,
    /// The client's name for the operation, repeated on every retry.
    pub op_id: ClientMsgId,
}

/// The fields of `react`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct React {
    /// The channel of the message, or that the user writes in.
    pub channel_id: ChannelId,
    /// The message that bears the emoji.
    pub seq: Seq,
    /// The client's name for the operation, repeated on every retry.
    pub op_id: ClientMsgId,
    /// One emoji; the session refuses a text that is none.
    pub emoji: String,
    /// Whether to put it there or to take it away.
    pub on: bool,
}

/// The fields of `typing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Typing {
    /// The channel of the message, or that the user writes in.
    pub channel_id: ChannelId,
    /// Whether the user is writing.
    pub on: bool,
}

/// The fields of `open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Open {
    /// The channel that the user looks at.
    pub channel_id: ChannelId,
    /// Of a large one: the last message that the client has. Without it, from the newest on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_seq: Option<Seq>,
}

/// The fields of `presence_get`: users, or a page of a channel's members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PresenceGet {
    /// Users to be told of, at most 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_ids: Vec<UserId>,
    /// Members of this channel instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<ChannelId>,
    /// The page of 200 members, from 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub page: u32,
}

/// The fields of `search`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
    /// After this place alone: the `cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<MessagePlace>,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Connect {
    /// A signed access token of at most 4 KiB.
    pub token: String,
    /// The name that this installation gave itself.
    pub device_id: DeviceId,
    /// The last cursor received; absent to start at the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The name that the client gives itself; for logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

/// The fields of `send`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Send {
    /// The channel that the message is for.
    pub channel_id: ChannelId,
    /// The client's name for it, repeated on every retry.
    pub client_msg_id: ClientMsgId,
    /// The text, of at most 100,000 characters; with media it may be empty.
    pub body: Arc<str>,
    /// The message of the same channel that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// Members whom it names, at most 50.
    #[serde(default = "no_mentions", skip_serializing_if = "<[UserId]>::is_empty")]
    pub mentions: Arc<[UserId]>,
    /// `media` where it has any: an older server refuses that rather than send it without them.
    #[serde(default)]
    pub kind: MessageKind,
    /// Own media that are whole, at most 10, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<MediaId>,
}

/// The fields of `history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "HistoryFields", into = "HistoryFields")]
pub struct History {
    /// The channel whose past is asked for.
    pub channel_id: ChannelId,
    /// The part of it, counted from a seq or from the end.
    pub window: HistoryWindow,
    /// Messages at most; the server's limit is 200.
    pub limit: u32,
}

/// The window of a channel's past that is asked for.
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

/// The fields of `history`: at most one of `before`, `after` and `around`, and without one the newest.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
struct HistoryFields {
    /// The channel whose past is asked for.
    channel_id: ChannelId,
    /// The last messages before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Seq>,
    /// The first messages after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<Seq>,
    /// Messages with this one in their middle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    around: Option<Seq>,
    /// Messages at most; the server's limit is 200.
    #[serde(default = "default_limit")]
    limit: u32,
}

impl utoipa::PartialSchema for History {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        HistoryFields::schema()
    }
}

impl utoipa::ToSchema for History {
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        HistoryFields::schemas(schemas);
    }
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
