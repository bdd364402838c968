//! What users are to each other: friends, and whom they block. Packed.
//!
//! Owns both records and their bytes. The rows are a pair's two sides, and who writes both is `chat::people`.

use serde::{Deserialize, Serialize};

use super::RecordError;
use super::packed::{Reader, Writer};
use crate::time::UnixMs;

/// The format of both.
const FORMAT: u8 = 1;

/// What a user's row says of another: how each side sees a friendship.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FriendState {
    /// This user asked the other, who has not answered.
    Requested,
    /// The other asked, and this user has not answered.
    Asked,
    /// Both want it.
    Accepted,
}

impl FriendState {
    /// How the other side sees the same friendship.
    #[must_use]
    pub fn mirrored(self) -> Self {
        match self {
            Self::Requested => Self::Asked,
            Self::Asked => Self::Requested,
            Self::Accepted => Self::Accepted,
        }
    }

    /// Its number in the store, which never changes.
    fn byte(self) -> u8 {
        match self {
            Self::Requested => 1,
            Self::Asked => 2,
            Self::Accepted => 3,
        }
    }

    fn of_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Requested),
            2 => Some(Self::Asked),
            3 => Some(Self::Accepted),
            _ => None,
        }
    }
}

/// `friend`: what one user is to another. The other's row is its mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FriendRecord {
    /// As this row's user sees it.
    pub state: FriendState,
    /// Since when it is so.
    pub since_ms: UnixMs,
}

impl FriendRecord {
    /// Bytes of one.
    pub const BYTES: usize = 1 + 1 + 8;

    /// As it lies in the store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Writer::new(FORMAT, Self::BYTES).u8(self.state.byte()).u64(self.since_ms.0).finish()
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("friend", FORMAT, bytes)?;
        let state = reader.u8()?;
        let state =
            FriendState::of_byte(state).ok_or_else(|| reader.damaged(format!("no state of friends is {state}")))?;
        let record = Self { state, since_ms: UnixMs(reader.u64()?) };
        reader.finish().map(|()| record)
    }
}

/// `block`: one user blocks another. Nobody is told who blocks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRecord {
    /// Since when.
    pub since_ms: UnixMs,
}

impl BlockRecord {
    /// Bytes of one.
    pub const BYTES: usize = 1 + 8;

    /// As it lies in the store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Writer::new(FORMAT, Self::BYTES).u64(self.since_ms.0).finish()
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("block", FORMAT, bytes)?;
        let record = Self { since_ms: UnixMs(reader.u64()?) };
        reader.finish().map(|()| record)
    }
}
