//! Posts as they are shown: with their content, counts, and what the reader did to them.
//!
//! Owns who is shown what: a reply is for those who see its post. What was deleted, and what one may not see, is not there.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use schema::record::{ChannelRecord, MessageRecord};
use schema::{Audience, ChannelId, Emoji, ErrorCode, Message, Refusal, Seq, UserId};

use super::counters::{self, Counter};
use super::relation::{self, Relation};
use crate::{LayerError, UsersPage, content, keys, read, recent, unreadable};
use kv::join;
use kv::transaction::{Engine, Row, Transaction};

/// A post, or a reply to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Whose feed it is in: who wrote the post, also of a reply to it.
    pub owner: UserId,
    /// For whom the post is.
    pub audience: Audience,
    /// Its content. Which reactions are the reader's own is marked where a reader was named.
    pub message: Arc<Message>,
    /// Replies to it; none of a reply.
    pub replies: u64,
}

impl Post {
    /// The post that this is a reply to.
    #[must_use]
    pub fn reply_to(&self) -> Option<Seq> {
        self.message.reply_to
    }
}

/// Posts and replies at these places, in their order, as a recent read sees them, whoever may see them: those that are
/// there and were not deleted, nor the post that they answer.
///
/// # Errors
/// The store's.
pub async fn contents<E: Engine>(engine: &E, places: &[(ChannelId, Seq)]) -> Result<Vec<Option<Post>>, LayerError> {
    read!(engine, recent(engine), |tx| read_contents(&tx, places).await)
}

/// The same for one reader: those that it sees, its own reactions marked.
///
/// # Errors
/// The store's.
pub async fn shown<E: Engine>(
    engine: &E,
    reader: UserId,
    places: &[(ChannelId, Seq)],
) -> Result<Vec<Option<Post>>, LayerError> {
    read!(engine, recent(engine), |tx| read_shown(&tx, reader, places).await)
}

/// One post or reply for a reader.
///
/// # Errors
/// 123 if there is none that it sees; the store's.
pub async fn post<E: Engine>(engine: &E, reader: UserId, place: (ChannelId, Seq)) -> Result<Post, LayerError> {
    let found = shown(engine, reader, &[place]).await?.pop().flatten();
    found.ok_or_else(|| no_such_post(place.1).into())
}

fn no_such_post(seq: Seq) -> Refusal {
    Refusal::new(ErrorCode::NoSuchMessage, format!("no post {seq} for this reader"))
}

pub(crate) async fn read_shown<T: Transaction>(
    tx: &T,
    reader: UserId,
    places: &[(ChannelId, Seq)],
) -> Result<Vec<Option<Post>>, LayerError> {
    let mut posts = read_contents(tx, places).await?;
    let relations = relations_of(tx, reader, posts.iter().flatten()).await?;
    for post in &mut posts {
        let is_shown = |post: &Post| is_shown(&relations, reader, post);
        *post = post.take().filter(is_shown);
    }
    let messages = posts.iter().flatten().map(|post| Arc::clone(&post.message)).collect();
    let mut marked = content::with_mine(tx, reader, messages).await?.into_iter();
    for post in posts.iter_mut().flatten() {
        post.message = marked.next().expect("one for each post");
    }
    Ok(posts)
}

/// Whether a reader sees it: its post, and who wrote it, unless a block is between them.
fn is_shown(relations: &BTreeMap<UserId, Relation>, reader: UserId, post: &Post) -> bool {
    let from = &relations[&post.message.from];
    relations[&post.owner].sees(post.audience) && (!from.is_blocked || post.message.from == reader)
}

async fn relations_of<T: Transaction>(
    tx: &T,
    reader: UserId,
    posts: impl Iterator<Item = &Post>,
) -> Result<BTreeMap<UserId, Relation>, LayerError> {
    let mut users: Vec<UserId> = posts.flat_map(|post| [post.owner, post.message.from]).collect();
    users.sort_unstable();
    users.dedup();
    let relations = relation::within(tx, reader, &users).await?;
    Ok(relations.into_iter().map(|relation| (relation.author, relation)).collect())
}

async fn read_contents<T: Transaction>(tx: &T, places: &[(ChannelId, Seq)]) -> Result<Vec<Option<Post>>, LayerError> {
    let channel_keys: Vec<_> = places.iter().map(|&(channel, _)| keys::channel(channel)).collect();
    let reply_keys: Vec<_> = places.iter().map(|&(channel, seq)| Counter::Replies(channel, seq).key()).collect();
    let message_keys: Vec<_> = places.iter().map(|&(channel, seq)| keys::message(channel, seq)).collect();
    let small = async {
        let rows = join::both(tx.snapshot_get_all(&channel_keys), tx.snapshot_get_all(&reply_keys)).await?;
        Ok::<_, LayerError>(rows)
    };
    // A place that a reader names need not be there, which is no damage.
    let there = tx.snapshot_get_all(&message_keys).await?;
    let known: Vec<_> = places.iter().zip(&there).filter(|(_, row)| row.is_some()).map(|(&place, _)| place).collect();
    let ((channels, replies), placed) = join::both(small, content::rows(tx, &known)).await?;
    let audiences = audiences(tx, placed.iter().flatten().map(|placed| (placed.place, &placed.record))).await?;
    let mut messages = content::messages(tx, placed).await?.into_iter();
    let mut posts = Vec::with_capacity(places.len());
    for (at, (&place, there)) in places.iter().zip(&there).enumerate() {
        let message = there.as_ref().and_then(|_| messages.next().expect("one for each that is there"));
        let owner = channels[at].as_ref().and_then(|row| owner(&channel_keys[at], row));
        let replies = counters::value(&reply_keys[at], replies[at].as_ref());
        posts.push(match (message, owner, audiences.get(&place)) {
            (Some(message), Some(owner), Some(&audience)) if !message.deleted => {
                Some(Post { owner, audience, message, replies })
            }
            _ => None,
        });
    }
    Ok(posts)
}

/// Whose feed a channel is, if it is one.
fn owner(key: &[u8], row: &Bytes) -> Option<UserId> {
    let record = unreadable::skip(key, ChannelRecord::decode(row))?;
    (record.kind == schema::op::ChannelKind::Feed).then_some(record.creator)
}

/// For whom each of these messages is: a post as it says, a reply as its post does. None of one whose post was deleted.
async fn audiences<T: Transaction>(
    tx: &T,
    records: impl Iterator<Item = ((ChannelId, Seq), &MessageRecord)>,
) -> Result<BTreeMap<(ChannelId, Seq), Audience>, LayerError> {
    let (mut audiences, mut replies) = (BTreeMap::new(), Vec::new());
    for (place, record) in records {
        match (record.audience, record.reply_to) {
            (Some(audience), _) => {
                audiences.insert(place, audience);
            }
            (None, Some(post)) => replies.push((place, keys::message(place.0, post))),
            (None, None) => {}
        }
    }
    let wanted: Vec<_> = replies.iter().map(|(_, key)| key.clone()).collect();
    let rows = tx.snapshot_get_all(&wanted).await?;
    for ((place, key), row) in replies.into_iter().zip(rows) {
        let post = row.and_then(|row| unreadable::skip(&key, MessageRecord::decode(&row)));
        if let Some(audience) = post.filter(|post| !post.deleted).and_then(|post| post.audience) {
            audiences.insert(place, audience);
        }
    }
    Ok(audiences)
}

/// Replies to a post.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepliesPage {
    /// The oldest first, those that the reader sees.
    pub replies: Vec<Post>,
    /// Behind which reply to go on, if there are more.
    pub next: Option<Seq>,
}

/// The replies to a post behind one, for a reader: of at most `limit`, those that it sees.
///
/// # Errors
/// 123 if there is no such post that it sees; the store's.
pub async fn replies<E: Engine>(
    engine: &E,
    reader: UserId,
    (channel, seq): (ChannelId, Seq),
    after: Option<Seq>,
    limit: u32,
) -> Result<RepliesPage, LayerError> {
    // One more, to know whether there are more.
    let range = keys::replies_after(channel, seq, after).rows(limit.saturating_add(1));
    read!(engine, recent(engine), |tx| {
        if read_shown(&tx, reader, &[(channel, seq)]).await?.pop().flatten().is_none() {
            return Err(no_such_post(seq).into());
        }
        let page = tx.snapshot_get_range(&range).await?;
        let place = |row: &Row| keys::reply_place(&row.key).map(|(channel, _post, seq)| (channel, seq));
        let mut places = unreadable::readable(&page.rows, place);
        let more = places.len() > limit as usize;
        places.truncate(limit as usize);
        let replies = read_shown(&tx, reader, &places).await?.into_iter().flatten().collect();
        Ok(RepliesPage { replies, next: places.last().map(|&(_, seq)| seq).filter(|_| more) })
    })
}

/// Who put an emoji to a post or a reply, after one, ascending by id, at most `limit`.
///
/// # Errors
/// 123 if there is none that the reader sees; the store's.
pub async fn likes<E: Engine>(
    engine: &E,
    reader: UserId,
    (channel, seq): (ChannelId, Seq),
    emoji: &Emoji,
    after: Option<UserId>,
    limit: u32,
) -> Result<UsersPage<()>, LayerError> {
    let range = keys::reactors_after(channel, seq, emoji, after).rows(limit.saturating_add(1));
    read!(engine, recent(engine), |tx| {
        if read_shown(&tx, reader, &[(channel, seq)]).await?.pop().flatten().is_none() {
            return Err(no_such_post(seq).into());
        }
        let page = tx.snapshot_get_range(&range).await?;
        let user = |row: &Row| keys::reaction_of(&row.key).map(|(_, _, _, user)| (user, ()));
        let mut users = unreadable::readable(&page.rows, user);
        let more = users.len() > limit as usize;
        users.truncate(limit as usize);
        Ok(UsersPage { users, more })
    })
}
