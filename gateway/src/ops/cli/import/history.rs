//! What a chat has, whichever it is: users, channels and messages by the names that they have there.

use schema::UnixMs;
use schema::op::ChannelKind;
use serde::Deserialize;

/// Somebody.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct User {
    /// The name by which tokens of the issuer speak for this user.
    pub(super) id: String,
    /// What others see.
    #[serde(default)]
    pub(super) display_name: Option<String>,
    /// The URL of a picture.
    #[serde(default)]
    pub(super) picture: Option<String>,
}

/// A channel and who is in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Channel {
    pub(super) id: String,
    pub(super) kind: ChannelKind,
    #[serde(default)]
    pub(super) title: String,
    /// Users; the first made it unless somebody is named.
    pub(super) members: Vec<String>,
    #[serde(default)]
    pub(super) creator: Option<String>,
    #[serde(default)]
    pub(super) created_ms: Option<UnixMs>,
}

/// A message. Those of a channel come in the order in which they were sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    pub(super) channel: String,
    /// Of its channel alone.
    pub(super) id: String,
    pub(super) from: String,
    pub(super) sent_ms: UnixMs,
    pub(super) body: String,
    /// The id of an earlier one of the channel.
    #[serde(default)]
    pub(super) reply_to: Option<String>,
}
