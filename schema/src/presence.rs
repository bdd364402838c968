//! Presence of users.
//!
//! Owns what is said of a user's presence. How it is found out is the router's.

use serde::{Deserialize, Serialize};

use crate::id::UserId;
use crate::time::UnixMs;

/// The presence of a user, over all of its devices.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PresenceState {
    /// No device is connected, and none was for the grace.
    #[default]
    Offline,
    /// A device is connected, and nobody used one for a while.
    Away,
    /// Somebody uses a device.
    Online,
}

/// One user's presence, as those who may see it are told. To those who may not, everyone is offline and never was
/// active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PresenceEntry {
    /// The user that it is about.
    pub user_id: UserId,
    /// Online, away or offline, over all of the user's devices.
    pub state: PresenceState,
    /// When the user last did something, to within 5 minutes; 0 if that is not known.
    pub last_active_ms: UnixMs,
}

impl PresenceEntry {
    /// Of someone whose presence the asker may not see, or of whom nothing is known.
    #[must_use]
    pub fn unknown(user_id: UserId) -> Self {
        Self { user_id, state: PresenceState::Offline, last_active_ms: UnixMs(0) }
    }
}
