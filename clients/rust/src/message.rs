//! Messages, channels and people as they are on the wire.
//!
//! Owns the fields of PROTOCOL sections 1 to 3. Ids are 64-bit numbers that JSON bears as texts; times are Unix
//! milliseconds. What a later server says more is ignored, and a name that it has more becomes `Unknown`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(|_| de::Error::custom(format!("{text:?} is no id")))
            }
        }
    )*};
}

ids! {
    /// A channel: direct, group or large.
    ChannelId
    /// A picture, a video or another file.
    MediaId
    /// An account.
    UserId
}

/// A message's number in its channel, dense from 1. 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The client's own name for a message (`client_msg_id`) or a change (`op_id`): a UUID of version 7, made once and repeated
/// on every retry, so that the server does it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperationId(pub Uuid);

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl OperationId {
    /// One of a wall time, Unix milliseconds, and 74 bits of the rest.
    #[must_use]
    pub fn new(unix_ms: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
    }
}

/// A message as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// Channel that it was sent to.
    pub channel_id: ChannelId,
    /// Its place there.
    pub seq: Seq,
    /// 0 as sent; each change adds one. Of two states the one with the higher revision stands.
    #[serde(default)]
    pub revision: u32,
    /// User who sent it.
    pub from: UserId,
    /// Time at which the server took it; it never goes back within a channel.
    pub sent_ms: u64,
    /// The sender's name for it.
    pub client_msg_id: OperationId,
    /// `media` if it has any, else `text`; later servers may have others.
    #[serde(default = "text")]
    pub kind: String,
    /// Empty once it is deleted, and where its media say all.
    pub body: String,
    /// The message of the same channel that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// Members whom it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
    /// Time of its last edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_ms: Option<u64>,
    /// `true` if its text is gone. Its seq stays.
    #[serde(default)]
    pub deleted: bool,
    /// Each emoji with its count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Tally>,
    /// What it carries: pictures, videos and other files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Attachment>,
}

/// One picture, video or other file of a message: what can be shown before a byte of it is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attachment {
    /// Its name, by which `POST /v1/media/urls` gives the URLs of it.
    pub media_id: MediaId,
    /// What it is, by its first bytes.
    pub kind: MediaKind,
    /// Its media type: `image/jpeg`.
    pub content_type: String,
    /// Its file's name; empty if its sender gave none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Pixels from left to right; 0 where it is no picture.
    #[serde(default)]
    pub width: u32,
    /// Pixels from top to bottom, likewise.
    #[serde(default)]
    pub height: u32,
    /// A BlurHash to draw before it is loaded; empty where it is no picture.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub blurhash: String,
    /// The picture that stands for a video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poster: Option<MediaId>,
}

fn text() -> String {
    "text".to_owned()
}

/// One emoji of a message with its count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tally {
    /// The emoji, fully qualified.
    pub emoji: String,
    /// Number of users who put it there.
    pub count: u32,
    /// `true` if the reader is one of them. Told by [`history`](crate::Client::history) alone.
    #[serde(default)]
    pub mine: bool,
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// One of a later server.
            #[serde(other)]
            Unknown,
        }
    )*};
}

names! {
    /// The kind of a media.
    MediaKind {
        /// A picture, with thumbnails.
        Image
        /// A video.
        Video
        /// Sound.
        Audio
        /// Anything else.
        File
    }
    /// The kind of a channel.
    ChannelKind {
        /// Of two users.
        Direct
        /// Of members who are all told of each message.
        Group
        /// Of members who open it to be told.
        Large
    }
    /// Role of a member: what it may do.
    Role {
        /// Write.
        Member
        /// Add, remove and delete.
        Admin
        /// All of it.
        Owner
    }
    /// Change of a membership.
    MemberChange {
        /// The channel was made.
        Created
        /// The user is a member now.
        Added
        /// The user was removed.
        Removed
        /// The user has left.
        Left
        /// The user has another role.
        Role
        /// The channel has another title.
        Title
    }
    /// Presence of a user, over all devices.
    PresenceState {
        /// No device is connected, or the asker may not see it.
        Offline
        /// A device is connected, and nobody used one for a while.
        Away
        /// Somebody uses a device.
        Online
    }
}

/// One user's presence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PresenceEntry {
    /// User that it is about.
    pub user_id: UserId,
    /// State over all devices.
    pub state: PresenceState,
    /// Time at which they last did something, to within 5 minutes; 0 if unknown.
    pub last_active_ms: u64,
}

/// A channel in [`Event::Snapshot`](crate::Event::Snapshot).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SnapshotChannel {
    /// Channel that it is about.
    pub channel_id: ChannelId,
    /// Its kind.
    pub kind: ChannelKind,
    /// Its newest seq.
    pub head_seq: Seq,
    /// Up to where the account has read.
    pub read_seq: Seq,
    /// Messages after that.
    pub unread: u64,
}

/// A page of a channel's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryPage {
    /// Ascending by seq.
    pub messages: Vec<Message>,
    /// The channel's newest seq, or the last visible to one who left.
    pub head_seq: Seq,
    /// The oldest that this account may see.
    pub first_seq: Seq,
    /// `true` if there is more in the asked direction.
    pub more: bool,
}

/// The part of a history that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The newest.
    Newest,
    /// The last before a seq.
    Before(Seq),
    /// The first after a seq.
    After(Seq),
    /// With a seq in the middle.
    Around(Seq),
}

/// A search over the account's channels. See PROTOCOL section 9.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Search {
    /// Words, all of which a message must have. At most 200 characters.
    pub query: String,
    /// In this channel alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<ChannelId>,
    /// By this user alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<UserId>,
    /// Sent before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_ms: Option<u64>,
    /// Hits of a page, 50 at most.
    pub limit: u32,
    /// That of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Search {
    /// The first page of a query over all channels.
    #[must_use]
    pub fn new(query: impl Into<String>) -> Self {
        Self { query: query.into(), channel_id: None, from: None, before_ms: None, limit: 20, cursor: None }
    }
}

/// A page of what was found, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchPage {
    /// Messages that were found. It may be empty with more behind it.
    pub hits: Vec<SearchHit>,
    /// `true` if there may be more.
    pub more: bool,
    /// The `cursor` of the next page, if there is more.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// One message that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchHit {
    /// Channel of the message.
    pub channel_id: ChannelId,
    /// Place of the message: `history` with [`Window::Around`] shows what is about it.
    pub seq: Seq,
    /// The text about the first word found, cut.
    pub snippet: String,
    /// Time at which it was sent.
    pub sent_ms: u64,
    /// By whom.
    pub from: UserId,
}

/// State of a channel, as it is said when the channel is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Opened {
    /// The channel's newest seq.
    pub head_seq: Seq,
    /// Up to where the account has read.
    pub read_seq: Seq,
    /// Members who are online or away; of a large channel, those who have it open.
    pub online: u32,
    /// The members' marks, of direct channels and small groups.
    #[serde(default)]
    pub reads: Vec<ReadMark>,
}

/// Up to where a member has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReadMark {
    /// User whose mark it is.
    pub user_id: UserId,
    /// The newest message that the member has read.
    pub read_seq: Seq,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_texts_and_seqs_are_numbers() {
        let message = r#"{"channel_id":"18446744073709551615","seq":3,"from":"7","sent_ms":1,"body":"b",
            "client_msg_id":"01900000-0000-7000-8000-000000000001","later":{"field":1}}"#;
        let message: Message = serde_json::from_str(message).expect("a message");
        assert_eq!((message.channel_id, message.seq, message.from), (ChannelId(u64::MAX), Seq(3), UserId(7)));
        assert_eq!(serde_json::to_value(message.channel_id).expect("JSON"), "18446744073709551615");
        assert!(serde_json::from_str::<ChannelId>("5").is_err(), "a number would lose its digits elsewhere");
        assert_eq!((&*message.kind, message.media.len()), ("text", 0));
        assert_eq!(serde_json::from_str::<Role>("\"emperor\"").expect("a role"), Role::Unknown);
    }

    #[test]
    fn what_a_message_carries_is_read_whatever_a_later_server_says_of_it() {
        let message = r#"{"channel_id":"5","seq":3,"from":"7","sent_ms":1,"body":"","kind":"media",
            "client_msg_id":"01900000-0000-7000-8000-000000000001","media":[
            {"media_id":"8","kind":"video","content_type":"video/mp4","name":"a.mp4","bytes":9,"poster":"4"},
            {"media_id":"9","kind":"hologram","content_type":"model/x","bytes":1,"depth":3}]}"#;
        let message: Message = serde_json::from_str(message).expect("a message");
        let [video, later] = message.media.as_slice() else { panic!("{message:?}") };
        assert_eq!((video.media_id, video.kind, video.poster), (MediaId(8), MediaKind::Video, Some(MediaId(4))));
        assert_eq!((&*video.name, video.width, later.kind), ("a.mp4", 0, MediaKind::Unknown));
    }

    #[test]
    fn an_operation_id_bears_its_time() {
        let id = OperationId::new(0x0190_0000_0000, [0xff; 10]).to_string();
        assert_eq!(id, "01900000-0000-7fff-bfff-ffffffffffff");
    }
}
