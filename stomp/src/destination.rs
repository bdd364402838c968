//! Destinations: what `/channel/5` names.

use std::fmt;
use std::str::FromStr;

use schema::{ChannelId, UserId};

/// Destination that a client may send to or subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// `/channel/{id}`: both.
    Channel(ChannelId),
    /// `/app/send/{id}`: to send to alone.
    Send(ChannelId),
    /// `/app/refresh`: to send a new token to.
    Refresh,
    /// `/user/queue/inbox`: the account's inbox.
    Inbox,
    /// `/topic/presence.{user_id}`: one user's presence.
    Presence(UserId),
}

/// Text that is no destination.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no destination: there are /channel/ID, /app/send/ID, /app/refresh, /user/queue/inbox and /topic/presence.ID")]
pub(crate) struct UnknownDestination;

impl FromStr for Destination {
    type Err = UnknownDestination;

    fn from_str(text: &str) -> Result<Self, UnknownDestination> {
        let channel = |id: &str| id.parse().map_err(|_| UnknownDestination);
        match text {
            "/user/queue/inbox" => Ok(Self::Inbox),
            "/app/refresh" => Ok(Self::Refresh),
            text => {
                if let Some(id) = text.strip_prefix("/channel/") {
                    Ok(Self::Channel(channel(id)?))
                } else if let Some(id) = text.strip_prefix("/app/send/") {
                    Ok(Self::Send(channel(id)?))
                } else if let Some(id) = text.strip_prefix("/topic/presence.") {
                    Ok(Self::Presence(id.parse().map_err(|_| UnknownDestination)?))
                } else {
                    Err(UnknownDestination)
                }
            }
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(id) => write!(f, "/channel/{id}"),
            Self::Send(id) => write!(f, "/app/send/{id}"),
            Self::Refresh => f.write_str("/app/refresh"),
            Self::Inbox => f.write_str("/user/queue/inbox"),
            Self::Presence(id) => write!(f, "/topic/presence.{id}"),
        }
    }
}
