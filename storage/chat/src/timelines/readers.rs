//! Readers of an author: who becomes one, and who is marked to look into its posts.
//!
//! Owns what the transaction that ties two users writes for the one who reads. It reads the author's `feed of`, which says
//! whether readers are marked, for conflicts: so none falls between those who are marked by the walk over all, and
//! those who mark themselves.

use schema::{ChannelId, UserId};

use crate::{LayerError, keys, packed, unreadable};
use kv::transaction::Transaction;

/// Authors into whose posts one reader's pages look: as many ranges of a page's read.
pub(super) const HEAVY_MAX: u32 = 50;

/// The user reads the author's posts from here on: those that are there already are owed to it.
pub(crate) async fn begin_reading<T: Transaction>(
    tx: &mut T,
    reader: UserId,
    author: UserId,
) -> Result<(), LayerError> {
    let key = keys::feed_of(author);
    let row = tx.get(&key).await?;
    // One without a feed has no posts, and those that come find this reader.
    let Some(feed) = unreadable::refuse_some(&key, row.as_ref(), packed::feed)? else { return Ok(()) };
    let looks = feed.is_marked && mark(tx, reader, (author, feed.channel), HEAVY_MAX).await?;
    if !looks {
        tx.set(&keys::timeline_owed(reader, author), packed::MARK);
    }
    Ok(())
}

/// Marks a reader of an author. Whether its pages look into the author's posts from here on: else they look into as many
/// others, and it has rows.
pub(super) async fn mark<T: Transaction>(
    tx: &mut T,
    reader: UserId,
    (author, channel): (UserId, ChannelId),
    heavy_max: u32,
) -> Result<bool, LayerError> {
    let (key, rest_key) = (keys::heavy(reader, author), keys::heavy_rest(author, reader));
    // For conflicts: of two authors that mark one reader at once, one tries again.
    let marked = tx.get_range(&keys::heavies_of(reader).rows(heavy_max)).await?;
    if marked.rows.iter().any(|row| *row.key == *key) {
        return Ok(true);
    }
    let looks = marked.rows.len() < heavy_max as usize;
    if looks {
        tx.set(&key, &packed::direct_row(channel));
        tx.clear(&rest_key);
    } else {
        tx.set(&rest_key, packed::MARK);
    }
    Ok(looks)
}
