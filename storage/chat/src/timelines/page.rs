//! Pages of a user's feed: rows of its timeline, and the logs of authors where there are none.
//!
//! Owns their order, and that none is in it twice (I15). Which of a page's posts are shown is judged by posts and people as
//! they are when they are read; so what was deleted, or ended, since a row was written is not shown.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use schema::record::{FriendRecord, FriendState, RecordError};
use schema::{ChannelId, UnixMs, UserId};

use super::refresh::{needs_refresh, refresh};
use super::{Limits, merge};
use crate::packed::{Phase, Place, TimelineRow};
use crate::posts::{self, Entry, Post, Relation};
use crate::{LayerError, keys, packed, read, recent, unreadable};
use kv::join;
use kv::transaction::{Engine, RangeRequest, Row, Transaction, key_after};

/// A page of a user's feed, to be judged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimelinePage {
    /// Posts that may be shown, the newest first.
    pub entries: Vec<Entry>,
    /// Where to go on, if there may be more.
    pub next: Option<Place>,
}

/// The posts of a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimelinePosts {
    /// The newest first.
    pub posts: Vec<Post>,
    /// Where to go on, if there may be more.
    pub next: Option<Place>,
}

/// The posts of a user's feed behind a place, at most `limit` of them, not judged yet: a caller shows those of which it
/// finds that they are there, and in the reader's feed ([`Relation::is_in_feed`]).
///
/// Writes first what is owed to the timeline.
///
/// # Errors
/// The store's, and damage.
pub async fn page<E: Engine>(
    engine: &E,
    reader: UserId,
    before: Option<Place>,
    limit: u32,
    (limits, wall): (&Limits, UnixMs),
) -> Result<TimelinePage, LayerError> {
    if needs_refresh(engine, reader, wall).await? {
        refresh(engine, reader, limits, wall).await?;
    }
    let page = read!(engine, recent(engine), |tx| read_page(&tx, reader, before, limit).await)?;
    let order = page.entries.iter().map(|entry| Some(entry.place));
    let in_order = [before].into_iter().chain(order).is_sorted_by(|one, next| one < next);
    assert!(in_order, "I15: a page of user {reader} behind {before:?} is not in order: {:?}", page.entries);
    Ok(page)
}

/// The same with the posts themselves, as many as are shown of `limit`, or more pages' where none are.
///
/// # Errors
/// The store's, and damage.
pub async fn posts<E: Engine>(
    engine: &E,
    reader: UserId,
    before: Option<Place>,
    limit: u32,
    (limits, wall): (&Limits, UnixMs),
) -> Result<TimelinePosts, LayerError> {
    let (mut found, mut next) = (Vec::new(), before);
    loop {
        let page = page(engine, reader, next, limit, (limits, wall)).await?;
        let entries = &page.entries;
        let shown = read!(engine, recent(engine), |tx| read_posts(&tx, reader, entries).await)?;
        for (entry, post) in entries.iter().zip(shown) {
            found.extend(post);
            if found.len() >= limit as usize {
                let is_last = page.next.is_none() && entries.last() == Some(entry);
                return Ok(TimelinePosts { posts: found, next: Some(entry.place).filter(|_| !is_last) });
            }
        }
        next = page.next;
        if next.is_none() {
            return Ok(TimelinePosts { posts: found, next });
        }
    }
}

async fn read_posts<T: Transaction>(
    tx: &T,
    reader: UserId,
    entries: &[Entry],
) -> Result<Vec<Option<Post>>, LayerError> {
    let mut authors: Vec<UserId> = entries.iter().map(|entry| entry.place.author).collect();
    authors.sort_unstable();
    authors.dedup();
    let relations = posts::relations_within(tx, reader, &authors).await?;
    let relations: BTreeMap<UserId, Relation> =
        relations.into_iter().map(|relation| (relation.author, relation)).collect();
    let places: Vec<_> = entries.iter().map(|entry| (entry.channel, entry.place.seq)).collect();
    let shown = posts::read_shown(tx, reader, &places).await?;
    let in_feed = |(entry, post): (&Entry, Option<Post>)| {
        post.filter(|post| relations[&entry.place.author].is_in_feed(post.audience))
    };
    Ok(entries.iter().zip(shown).map(in_feed).collect())
}

async fn read_page<T: Transaction>(
    tx: &T,
    reader: UserId,
    before: Option<Place>,
    limit: u32,
) -> Result<TimelinePage, LayerError> {
    let wanted = limit.max(1) as usize;
    let state_key = keys::timeline_state(reader);
    let heavies = keys::heavies_of(reader);
    let (state, heavies) = join::both(tx.snapshot_get(&state_key), tx.snapshot_get_range(&heavies)).await?;
    let state = state.and_then(|row| unreadable::skip(&state_key, packed::timeline_state(&row)));
    let whole = Whole::of(state);
    // One more, to know whether there are more.
    let rows = whole.range(reader, before).map(|range| range.rows(limit.saturating_add(1)));
    let heavy = |row: &Row| Ok((keys::heavy_of(&row.key)?.1, packed::direct(&row.value)?));
    let heavies = unreadable::readable(&heavies.rows, heavy);
    let rows = async {
        match rows {
            Some(range) => tx.snapshot_get_range(&range).await.map_err(LayerError::from),
            None => Ok(kv::transaction::Page::default()),
        }
    };
    let (rows, logs) = join::both(rows, merge::newest(tx, &heavies, before, wanted + 1, |_| true)).await?;
    let mut found: BTreeMap<Place, Entry> = unreadable::readable(&rows.rows, entry_of)
        .into_iter()
        .chain(logs.into_iter().filter(|entry| whole.has(entry.place)))
        .map(|entry| (entry.place, entry))
        .collect();
    if found.len() <= wanted
        && let Some(from) = whole.end(before)
    {
        let authors = authors(tx, reader).await?;
        let is_wanted = |entry: &Entry| authors.is_wanted(entry);
        let rest = merge::newest(tx, &authors.logs, from, wanted + 1 - found.len(), is_wanted).await?;
        found.extend(rest.into_iter().map(|entry| (entry.place, entry)));
    }
    let more = found.len() > wanted;
    let entries: Vec<Entry> = found.into_values().take(wanted).collect();
    let next = entries.last().map(|entry| entry.place).filter(|_| more);
    Ok(TimelinePage { entries, next })
}

/// Down to where a timeline's rows are all there are.
enum Whole {
    /// Nowhere.
    Nothing,
    /// Down to this place, and with it.
    Through(Place),
    /// To the end.
    All,
}

impl Whole {
    fn of(state: Option<TimelineRow>) -> Self {
        match state {
            Some(TimelineRow { phase: Phase::Whole, whole_through, .. }) => {
                whole_through.map_or(Self::All, Self::Through)
            }
            Some(TimelineRow { phase: Phase::Rebuilding | Phase::Dormant, .. }) | None => Self::Nothing,
        }
    }

    fn has(&self, place: Place) -> bool {
        match self {
            Self::Nothing => false,
            Self::Through(last) => place <= *last,
            Self::All => true,
        }
    }

    /// The rows behind a place that are all there are, if there may be any.
    fn range(&self, reader: UserId, before: Option<Place>) -> Option<RangeRequest> {
        let mut range = keys::timeline_of(reader);
        if let Some(before) = before {
            range.begin = key_after(&key_of(reader, before));
        }
        match self {
            Self::Nothing => return None,
            Self::Through(last) => range.end = key_after(&key_of(reader, *last)),
            Self::All => {}
        }
        (range.begin < range.end).then_some(range)
    }

    /// Behind which place the logs begin that are read for what is not there, if something may not be.
    fn end(&self, before: Option<Place>) -> Option<Option<Place>> {
        match self {
            Self::Nothing => Some(before),
            Self::Through(last) => Some(before.max(Some(*last))),
            Self::All => None,
        }
    }
}

/// The key of a post in a reader's timeline.
pub(super) fn key_of(reader: UserId, Place { sent_ms, author, seq }: Place) -> Vec<u8> {
    keys::timeline(reader, Reverse(sent_ms), author, Reverse(seq))
}

/// The post of a row of a timeline.
pub(super) fn entry_of(row: &Row) -> Result<Entry, RecordError> {
    let (_reader, Reverse(sent_ms), author, Reverse(seq)) = keys::timeline_fields(&row.key)?;
    let (channel, audience) = packed::timeline(&row.value)?;
    Ok(Entry { place: Place { sent_ms, author, seq }, channel, audience })
}

/// Whose posts are in a reader's feed.
pub(super) struct Authors {
    pub(super) logs: Vec<(UserId, ChannelId)>,
    /// Those of whom only public posts are, ascending.
    followed_alone: Vec<UserId>,
}

impl Authors {
    pub(super) fn is_wanted(&self, entry: &Entry) -> bool {
        match entry.audience {
            schema::Audience::Public => true,
            schema::Audience::Friends => self.followed_alone.binary_search(&entry.place.author).is_err(),
        }
    }
}

/// The friends of a reader, and whom it follows, those who have posts.
pub(super) async fn authors<T: Transaction>(tx: &T, reader: UserId) -> Result<Authors, LayerError> {
    let (friends, follows) = (keys::friends_after(reader, None), keys::follows_after(reader, None));
    let (friends, follows) = join::both(tx.snapshot_get_range(&friends), tx.snapshot_get_range(&follows)).await?;
    let friend = |row: &Row| {
        let is_friend = FriendRecord::decode(&row.value)?.state == FriendState::Accepted;
        Ok(is_friend.then_some(keys::friend_of(&row.key)?.1))
    };
    let mut users: Vec<UserId> = unreadable::readable(&friends.rows, friend).into_iter().flatten().collect();
    let mut followed_alone = unreadable::readable(&follows.rows, |row| Ok(keys::follow_of(&row.key)?.1));
    followed_alone.retain(|user| users.binary_search(user).is_err());
    users.extend(&followed_alone);
    let channels = posts::channels_within(tx, &users).await?;
    let logs = users.into_iter().zip(channels).filter_map(|(user, channel)| Some((user, channel?))).collect();
    Ok(Authors { logs, followed_alone })
}
