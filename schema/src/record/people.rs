//! Friends and blocked users. Packed.
//!
//! The rows are a pair's two sides, and who writes both is `chat::people`.

use serde::{Deserialize, Serialize};

use super::packed_records;
use crate::packed::packed_enums;
use crate::time::UnixMs;

/// The state of a friendship, as one side sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[derive(utoipa::ToSchema)]
pub enum FriendState {
    /// This user asked the other, who has not answered.
    Requested,
    /// The other asked, and this user has not answered.
    Asked,
    /// Both want it.
    Accepted,
}

impl FriendState {
    /// The same friendship as the other side sees it.
    #[must_use]
    pub fn mirrored(self) -> Self {
        match self {
            Self::Requested => Self::Asked,
            Self::Asked => Self::Requested,
            Self::Accepted => Self::Accepted,
        }
    }
}

/// `friend`: what one user is to another. The other's row is its mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FriendRecord {
    /// As this row's user sees it.
    pub state: FriendState,
    /// When the friendship came into this state.
    pub since_ms: UnixMs,
}

/// `block`: one user blocks another. Nobody is told who blocks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRecord {
    /// When the user was blocked.
    pub since_ms: UnixMs,
}

packed_enums! { FriendState { Requested = 1, Asked = 2, Accepted = 3 } }

packed_records! {
    FriendRecord "friend" format 1 { state, since_ms }
    BlockRecord "block" format 1 { since_ms }
}
