//! Relations of a reader to authors: whose posts it sees, and whose are in its feed.
//!
//! Owns the rule of who sees a post.

use bytes::Bytes;
use schema::record::{FriendRecord, FriendState, UserRecord};
use schema::{Audience, UserId};

use crate::{LayerError, keys, read, recent, unreadable};
use kv::transaction::{Engine, Transaction};

/// What an author is to a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation {
    /// The author.
    pub author: UserId,
    /// Whether they are one.
    pub is_self: bool,
    /// Whether they are friends.
    pub is_friend: bool,
    /// Whether the reader follows the author.
    pub follows: bool,
    /// Whether one of them blocks the other.
    pub is_blocked: bool,
    /// Whether the author's account is public.
    pub is_public: bool,
}

impl Relation {
    /// Whether the reader sees a post of the author that is for `audience`.
    #[must_use]
    pub fn sees(&self, audience: Audience) -> bool {
        let by_audience = match audience {
            Audience::Friends => false,
            Audience::Public => self.is_public,
        };
        self.is_self || (!self.is_blocked && (self.is_friend || by_audience))
    }

    /// Whether such a post is in the reader's feed: that of a friend, or of one whom it follows. A user's own posts are in
    /// no feed of its own.
    #[must_use]
    pub fn is_in_feed(&self, audience: Audience) -> bool {
        !self.is_self && self.sees(audience) && (self.is_friend || self.follows)
    }
}

/// Rows of one relation.
const ROWS: usize = 5;

fn keys_of(reader: UserId, author: UserId) -> [Vec<u8>; ROWS] {
    [
        keys::friend(author, reader),
        keys::follow(reader, author),
        keys::block(author, reader),
        keys::block(reader, author),
        keys::user(author),
    ]
}

fn of_rows(reader: UserId, author: UserId, keys: &[Vec<u8>], rows: &[Option<Bytes>]) -> Relation {
    // What cannot be read shows nothing, but for a block, which hides whatever it says.
    let friend = rows[0].as_ref().and_then(|row| unreadable::skip(&keys[0], FriendRecord::decode(row)));
    let account = rows[4].as_ref().and_then(|row| unreadable::skip(&keys[4], UserRecord::decode(row)));
    Relation {
        author,
        is_self: reader == author,
        is_friend: friend.is_some_and(|record| record.state == FriendState::Accepted),
        follows: rows[1].is_some(),
        is_blocked: rows[2].is_some() || rows[3].is_some(),
        is_public: account.is_some_and(|record| record.public),
    }
}

/// What each of these authors is to a reader, in their order, as a recent read sees it.
///
/// # Errors
/// The store's.
pub async fn relations<E: Engine>(engine: &E, reader: UserId, authors: &[UserId]) -> Result<Vec<Relation>, LayerError> {
    read!(engine, recent(engine), |tx| within(&tx, reader, authors).await)
}

/// The same within a transaction, without conflicts.
pub(crate) async fn within<T: Transaction>(
    tx: &T,
    reader: UserId,
    authors: &[UserId],
) -> Result<Vec<Relation>, LayerError> {
    let keys: Vec<Vec<u8>> = authors.iter().flat_map(|&author| keys_of(reader, author)).collect();
    let rows = tx.snapshot_get_all(&keys).await?;
    let each = authors.iter().zip(keys.chunks(ROWS).zip(rows.chunks(ROWS)));
    Ok(each.map(|(&author, (keys, rows))| of_rows(reader, author, keys, rows)).collect())
}
