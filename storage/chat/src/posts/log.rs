//! Logs of authors: the posts of each, the newest first.
//!
//! Owns where a feed is and the ranges of its posts by their place among those of all authors.

use std::cmp::Reverse;

use schema::record::RecordError;
use schema::{Audience, ChannelId, UserId};

use crate::packed::Place;
use crate::{LayerError, keys, packed, read, recent, unreadable};
use kv::transaction::{Begin, Engine, RangeRequest, Row, Transaction, key_after};

/// A post among others: where it is, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its place among the posts of all authors.
    pub place: Place,
    /// The author's feed.
    pub channel: ChannelId,
    /// For whom it is.
    pub audience: Audience,
}

/// Posts of one author.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PostsPage {
    /// The newest first, none that was deleted when this was read.
    pub entries: Vec<Entry>,
    /// Whether there are more behind the last of these.
    pub more: bool,
}

/// The channel of a user's posts, if it has one.
///
/// # Errors
/// The store's, and damage.
pub async fn feed_of<E: Engine>(engine: &E, user: UserId) -> Result<Option<ChannelId>, LayerError> {
    let key = keys::feed_of(user);
    let row = read!(engine, Begin::Fresh, |tx| Ok(tx.get(&key).await?))?;
    Ok(unreadable::refuse_some(&key, row.as_ref(), packed::feed)?.map(|feed| feed.channel))
}

/// The same of each of these users, as a recent read sees it.
///
/// # Errors
/// The store's.
pub async fn feeds_of<E: Engine>(engine: &E, users: &[UserId]) -> Result<Vec<Option<ChannelId>>, LayerError> {
    read!(engine, recent(engine), |tx| channels(&tx, users).await)
}

/// The same within a transaction, without conflicts.
pub(crate) async fn channels<T: Transaction>(tx: &T, users: &[UserId]) -> Result<Vec<Option<ChannelId>>, LayerError> {
    let keys: Vec<_> = users.iter().map(|&user| keys::feed_of(user)).collect();
    let rows = tx.snapshot_get_all(&keys).await?;
    let feed = |(key, row): (&Vec<u8>, Option<bytes::Bytes>)| unreadable::skip(key, packed::feed(&row?));
    Ok(keys.iter().zip(rows).map(|row| feed(row).map(|feed| feed.channel)).collect())
}

/// The posts of an author behind a place, at most `limit` of them, as a recent read sees them. Whoever asks judges who
/// sees them.
///
/// # Errors
/// The store's.
pub async fn posts_of<E: Engine>(
    engine: &E,
    (author, channel): (UserId, ChannelId),
    before: Option<Place>,
    limit: u32,
) -> Result<PostsPage, LayerError> {
    // One more, to know whether there are more.
    let range = behind(author, channel, before).rows(limit.saturating_add(1));
    read!(engine, recent(engine), |tx| {
        let page = tx.snapshot_get_range(&range).await?;
        let mut entries = entries(author, &page.rows);
        let more = entries.len() > limit as usize;
        entries.truncate(limit as usize);
        Ok(PostsPage { entries, more })
    })
}

/// The posts of an author that come behind a place, the newest first.
pub(crate) fn behind(author: UserId, channel: ChannelId, place: Option<Place>) -> RangeRequest {
    let Some(place) = place else { return keys::posts(channel) };
    match author.cmp(&place.author) {
        std::cmp::Ordering::Less => keys::posts_before(channel, place.sent_ms),
        std::cmp::Ordering::Greater => keys::posts_through(channel, place.sent_ms),
        std::cmp::Ordering::Equal => {
            let last = keys::post(channel, Reverse(place.sent_ms), Reverse(place.seq));
            RangeRequest { begin: key_after(&last), ..keys::posts(channel) }
        }
    }
}

/// The posts of these rows of `post`, those that can be read.
pub(crate) fn entries(author: UserId, rows: &[Row]) -> Vec<Entry> {
    unreadable::readable(rows, |row| entry(author, row))
}

fn entry(author: UserId, row: &Row) -> Result<Entry, RecordError> {
    let (channel, Reverse(sent_ms), Reverse(seq)) = keys::post_place(&row.key)?;
    Ok(Entry { place: Place { sent_ms, author, seq }, channel, audience: packed::post(&row.value)? })
}
