//! Ties of two users: friendship, and who follows whom. What ends with them.
//!
//! Owns the rows that are cleared and the counters that change, for the layer of people and for the appender alike.

use schema::UserId;
use schema::record::{FriendRecord, FriendState, RecordError};

use super::counters::Counter;
use crate::{keys, unreadable};
use bytes::Bytes;

/// The ties of one user to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ties {
    /// A friendship, or a request; whether it is accepted.
    pub(crate) friend: Option<bool>,
    pub(crate) follows: bool,
    pub(crate) is_followed: bool,
}

/// Rows to clear, and counters with their changes.
#[derive(Debug, Default)]
pub(crate) struct Severed {
    pub(crate) cleared: Vec<Vec<u8>>,
    pub(crate) counted: Vec<(Counter, i64)>,
}

/// The rows of the ties of two users, in the order in which [`Ties::of_rows`] takes them.
pub(crate) fn keys_of(user: UserId, other: UserId) -> [Vec<u8>; 3] {
    [keys::friend(user, other), keys::follow(user, other), keys::follow(other, user)]
}

impl Ties {
    /// # Errors
    /// Damage in the friendship's row.
    pub(crate) fn of_rows(keys: &[Vec<u8>; 3], rows: [Option<&Bytes>; 3]) -> Result<Self, RecordError> {
        let friend = unreadable::refuse_some(&keys[0], rows[0], FriendRecord::decode)?;
        let friend = friend.map(|record| record.state == FriendState::Accepted);
        Ok(Self { friend, follows: rows[1].is_some(), is_followed: rows[2].is_some() })
    }

    /// What ends with the friendship, or the request.
    pub(crate) fn unfriended(self, user: UserId, other: UserId) -> Severed {
        let mut severed = Severed::default();
        severed.end_friendship(self, user, other);
        severed.end_reading(self.follows, user, other);
        severed.end_reading(self.is_followed, other, user);
        severed
    }

    /// What ends when one blocks the other.
    pub(crate) fn severed(self, user: UserId, other: UserId) -> Severed {
        let mut severed = Severed::default();
        severed.end_friendship(self, user, other);
        if self.follows {
            severed.end_following(user, other);
        }
        if self.is_followed {
            severed.end_following(other, user);
        }
        severed.end_reading(false, user, other);
        severed.end_reading(false, other, user);
        severed
    }

    /// What ends when the user follows the other no longer.
    pub(crate) fn unfollowed(self, user: UserId, author: UserId) -> Severed {
        let mut severed = Severed::default();
        severed.end_following(user, author);
        severed.end_reading(self.friend == Some(true), user, author);
        severed
    }
}

impl Severed {
    fn end_friendship(&mut self, ties: Ties, user: UserId, other: UserId) {
        let Some(is_accepted) = ties.friend else { return };
        self.cleared.extend([keys::friend(user, other), keys::friend(other, user)]);
        if is_accepted {
            self.counted.extend([(Counter::Friends(user), -1), (Counter::Friends(other), -1)]);
        }
    }

    fn end_following(&mut self, user: UserId, author: UserId) {
        self.cleared.extend([keys::follow(user, author), keys::follower(author, user)]);
        self.counted.extend([(Counter::Following(user), -1), (Counter::Followers(author, user), -1)]);
    }

    /// One reads the other's posts no longer in its feed, unless there is another tie. Rows of its timeline stay, and are
    /// not shown.
    fn end_reading(&mut self, still: bool, reader: UserId, author: UserId) {
        if !still {
            let owed = keys::timeline_owed(reader, author);
            self.cleared.extend([owed, keys::heavy(reader, author), keys::heavy_rest(author, reader)]);
        }
    }
}
