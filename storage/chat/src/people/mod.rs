//! Relations between users: friends, who follows whom, blocks, and who may see whose presence.
//!
//! Owns the rows `friend`, `follow` and `follower`, and `block` where the two have no direct channel: what goes through one changes in the order
//! of its messages, so that is its home's, by the appender. A friendship is two rows that mirror each other and always
//! change in one transaction; nobody is a friend of someone across a block, and nobody is told who blocks it.

mod blocks;
mod follows;
mod friends;
mod visibility;

pub use blocks::{BlockOutcome, block, blocks};
pub use follows::{Follower, follow, followed, followers, unfollow};
pub use friends::{friends, make_friends, put_friend, remove_friend};
pub use visibility::visible;

use schema::{ErrorCode, Refusal, UserId};

use crate::LayerError;
use crate::posts::ties::{Severed, Ties, keys_of};
use kv::transaction::Transaction;

/// Rows of one page of friends or blocks.
const PAGE_ROWS_MAX: u32 = 500;

/// Nobody is its own friend, nor blocks itself.
fn refuse_oneself(user: UserId, other: UserId) -> Result<(), Refusal> {
    if user == other {
        return Err(Refusal::new(ErrorCode::BadRequest, "that is you"));
    }
    Ok(())
}

fn no_such_user(user: UserId) -> Refusal {
    Refusal::new(ErrorCode::UnknownChannel, format!("no user {user}"))
}

/// What ties two users, for conflicts.
pub(crate) async fn ties<T: Transaction>(tx: &T, user: UserId, other: UserId) -> Result<Ties, LayerError> {
    let keys = keys_of(user, other);
    let rows = tx.get_all(&keys).await?;
    Ok(Ties::of_rows(&keys, [0, 1, 2].map(|at: usize| rows[at].as_ref()))?)
}

/// Ends what ended.
pub(crate) fn sever<T: Transaction>(tx: &mut T, severed: Severed) {
    severed.cleared.iter().for_each(|key| tx.clear(key));
    severed.counted.into_iter().for_each(|(counter, change)| counter.add(tx, change));
}
