//! What many readers ask of many posts at once: how many like and answer them, and whether one does.

use schema::record::TalliesRecord;
use schema::{ChannelId, Emoji, Seq, UserId};

use super::counters::{self, Counter};
use crate::{LayerError, keys, read, recent, unreadable};
use kv::join;
use kv::transaction::{Engine, Transaction};

/// How many have put an emoji to each of these posts, and how many replies each has, in their order, as a recent read
/// sees it.
///
/// # Errors
/// The store's.
pub async fn tallies<E: Engine>(
    engine: &E,
    places: &[(ChannelId, Seq)],
    emoji: &Emoji,
) -> Result<Vec<(u64, u64)>, LayerError> {
    let tally_keys: Vec<_> = places.iter().map(|&(channel, seq)| keys::tallies(channel, seq)).collect();
    let reply_keys: Vec<_> = places.iter().map(|&(channel, seq)| Counter::Replies(channel, seq).key()).collect();
    let read = read!(engine, recent(engine), |tx| {
        Ok(join::both(tx.snapshot_get_all(&tally_keys), tx.snapshot_get_all(&reply_keys)).await?)
    });
    let (tallies, replies) = read?;
    let likes = tally_keys.iter().zip(tallies).map(|(key, row)| {
        let tallies = unreadable::skip_or_default(key, row.as_ref(), TalliesRecord::decode);
        u64::from(tallies.count(emoji))
    });
    let replies = reply_keys.iter().zip(replies).map(|(key, row)| counters::value(key, row.as_ref()));
    Ok(likes.zip(replies).collect())
}

/// Whether a user has put an emoji to each of these posts, in their order, as a recent read sees it.
///
/// # Errors
/// The store's.
pub async fn has_reacted<E: Engine>(
    engine: &E,
    user: UserId,
    places: &[(ChannelId, Seq)],
    emoji: &Emoji,
) -> Result<Vec<bool>, LayerError> {
    let keys: Vec<_> = places.iter().map(|&(channel, seq)| keys::reaction(channel, seq, emoji, user)).collect();
    let rows = read!(engine, recent(engine), |tx| Ok(tx.snapshot_get_all(&keys).await?))?;
    Ok(rows.iter().map(Option::is_some).collect())
}
