//! Counters: how many of something there are, changed by atomic adds in the transaction of what they count.
//!
//! Owns their kinds and slots. An add reads nothing, so none fails for another; a counter that thousands may change at
//! once is in 16 slots, by who changes it, and whoever reads it adds them up. The row that says whether something is
//! counted is read in the same transaction, so nothing is counted twice.

use bytes::Bytes;
use schema::{ChannelId, Seq, UserId};

use crate::{LayerError, keys, packed, read, recent, unreadable};
use kv::transaction::{Atomic, Engine, Transaction};

/// Slots of a counter that many change at once.
const SLOTS: u64 = 16;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    /// A user's posts.
    Posts(UserId),
    /// A user's friends.
    Friends(UserId),
    /// Whom a user follows.
    Following(UserId),
    /// Who follows an author: the slot is this user's.
    Followers(UserId, UserId),
    /// Replies to a post.
    Replies(ChannelId, Seq),
}

const POSTS: u8 = 0;
const FRIENDS: u8 = 1;
const FOLLOWING: u8 = 2;
const FOLLOWERS: u8 = 3;
const REPLIES: u8 = 4;

impl Counter {
    pub(crate) fn key(self) -> Vec<u8> {
        match self {
            Self::Posts(user) => keys::counter(POSTS, user.0, Seq::ZERO, 0),
            Self::Friends(user) => keys::counter(FRIENDS, user.0, Seq::ZERO, 0),
            Self::Following(user) => keys::counter(FOLLOWING, user.0, Seq::ZERO, 0),
            Self::Followers(author, by) => keys::counter(FOLLOWERS, author.0, Seq::ZERO, slot(by)),
            Self::Replies(channel, post) => keys::counter(REPLIES, channel.0, post, 0),
        }
    }

    /// Counts more, or fewer.
    pub(crate) fn add<T: Transaction>(self, tx: &mut T, change: i64) {
        tx.atomic(Atomic::Add, &self.key(), &packed::counter_change(change));
    }
}

/// All that is counted of a user.
pub(crate) fn of_user_ranges(user: UserId) -> impl Iterator<Item = kv::transaction::RangeRequest> {
    [POSTS, FRIENDS, FOLLOWING, FOLLOWERS].into_iter().map(move |kind| keys::slots(kind, user.0))
}

/// The slot of a user's changes.
fn slot(by: UserId) -> u8 {
    // Ids of users differ in their lowest bits, where they are random.
    u8::try_from(by.0 % SLOTS).expect("below 16")
}

/// What a counter's row says: never less than nothing, whatever was not counted when it began.
pub(crate) fn value(key: &[u8], row: Option<&Bytes>) -> u64 {
    let stored = row.and_then(|row| unreadable::skip(key, packed::counter(row))).unwrap_or_default();
    u64::try_from(stored.cast_signed()).unwrap_or_default()
}

/// What is counted of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Its posts, without those that were deleted.
    pub posts: u64,
    /// Who follows it.
    pub followers: u64,
    /// Whom it follows.
    pub following: u64,
    /// Its friends, those that were made since friends are counted.
    pub friends: u64,
}

/// What is counted of each of these users, as a recent read sees it.
///
/// # Errors
/// The store's.
pub async fn counts<E: Engine>(engine: &E, users: &[UserId]) -> Result<Vec<Counts>, LayerError> {
    read!(engine, recent(engine), |tx| {
        let all = users.iter().map(|&user| of_user(&tx, user));
        kv::join::try_all(all).await
    })
}

/// The same within a transaction, without conflicts.
pub(crate) async fn of_user<T: Transaction>(tx: &T, user: UserId) -> Result<Counts, LayerError> {
    let single = [Counter::Posts(user), Counter::Following(user), Counter::Friends(user)].map(Counter::key);
    let slots = keys::slots(FOLLOWERS, user.0);
    let (rows, slots) = kv::join::both(tx.snapshot_get_all(&single), tx.snapshot_get_range(&slots)).await?;
    let [posts, following, friends] = [0, 1, 2].map(|at: usize| value(&single[at], rows[at].as_ref()));
    let sum = slots.rows.iter().filter_map(|row| unreadable::skip(&row.key, packed::counter(&row.value)));
    // A slot alone may be below nothing: who comes and who goes are different users only where a store was changed by hand.
    let followers = u64::try_from(sum.fold(0, u64::wrapping_add).cast_signed()).unwrap_or_default();
    Ok(Counts { posts, followers, following, friends })
}
