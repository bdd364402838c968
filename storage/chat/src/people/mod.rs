//! Relations between users: friends, blocks, and who may see whose presence.
//!
//! Owns the rows `friend`, and `block` where the two have no direct channel: what goes through one changes in the order
//! of its messages, so that is its home's, by the appender. A friendship is two rows that mirror each other and always
//! change in one transaction; nobody is a friend of someone across a block, and nobody is told who blocks it.

mod blocks;
mod friends;
mod visibility;

pub use blocks::{BlockOutcome, block, blocks};
pub(crate) use friends::clear as end_friendship;
pub use friends::{friends, make_friends, put_friend, remove_friend};
pub use visibility::visible;

use schema::{ErrorCode, Refusal, UserId};

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
