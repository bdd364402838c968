//! The reader of news feeds: pages of posts as one user sees them now.
//!
//! Owns what is kept of what it read ([`Caches`]), and in which order the rest is asked for: the feed's entries, then
//! posts, their authors, counts and the reader's own likes, each of all posts at once. Whatever a page shows is judged
//! by the post and the people as they are: a post that was deleted, or whose author is no friend any more, is left out.
//! They are as of now for what was changed through this node, whose routes say so ([`Reader::changed`] and the others),
//! and at most 2 s old for what another changed. The store is read at a version that this process has not seen a newer
//! one than, so nobody is shown less than it has written through this node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant as Clock;

use chat::posts::{self, Entry, Post, PostsPage, Relation};
use chat::timelines::{self, Limits, Place};
use chat::{LayerError, accounts};
use kv::{Engine, join};
use schema::{Audience, ChannelId, Emoji, Instant, Message, Seq, UnixMs, UserId};
use tokio::sync::Notify;

use crate::LIKE;
use crate::caches::{Author, Caches, Graph, GraphKey, Head, PostKey, Tallies};
use crate::counts::Counts;

/// Entries of a feed that are kept: five pages of 20, so that who scrolls asks the store once, or the largest, and one more
/// that tells whether there are more.
const HEAD_ROWS: u32 = 101;
/// Entries of a read behind the first of a page.
const ROUND_ROWS: u32 = 500;
/// Reads of a page before it is answered as it is. What is left out is judged by entries alone, and 32,000 of one author's
/// in a row are a year of as many as it may post.
const ROUNDS_MAX: u32 = 64;

/// A post, or a reply to one, as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Who wrote it.
    pub author: Arc<Author>,
    /// Its content. Its reactions are those of when it was read: see `likes`.
    pub message: Arc<Message>,
    /// For whom it is; `None` of a reply, which is for those who see its post.
    pub audience: Option<Audience>,
    /// Users who like it.
    pub likes: u64,
    /// Whether the reader does.
    pub liked: bool,
    /// Replies to it.
    pub replies: u64,
}

/// A page of posts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeedPage {
    /// Newest first.
    pub posts: Vec<Shown>,
    /// Where to go on, if there may be more.
    pub next: Option<Place>,
}

/// A page of replies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepliesPage {
    /// Oldest first.
    pub replies: Vec<Shown>,
    /// Behind which one to go on, if there are more.
    pub next: Option<Seq>,
}

/// Where a page's posts come from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// A user's feed.
    Feed { wall: UnixMs },
    /// What one user has posted.
    Log { author: UserId, channel: ChannelId },
}

/// Reads feeds for the users of a node.
#[derive(Debug)]
pub struct Reader<E> {
    engine: E,
    limits: Limits,
    like: Emoji,
    origin: Clock,
    caches: Arc<Caches>,
    counts: Arc<Counts>,
    wake: Arc<Notify>,
}

impl<E: Engine> Reader<E> {
    /// A reader whose caches are empty and hold so many bytes at most.
    ///
    /// # Panics
    /// If the emoji of a like is none.
    #[must_use]
    pub fn new(engine: E, limits: Limits, cache_bytes: u64, counts: Arc<Counts>) -> Self {
        let caches = Arc::new(Caches::new(cache_bytes));
        let shown = Arc::clone(&caches);
        counts.show_caches(move || shown.asked());
        let like = LIKE.parse().expect("an emoji");
        Self { engine, limits, like, origin: Clock::now(), caches, counts, wake: Arc::default() }
    }

    fn now(&self) -> Instant {
        Instant::default().plus(self.origin.elapsed())
    }

    /// A page of a user's feed: of its friends' posts and of public ones of those whom it follows, those behind a place,
    /// at most `rows`.
    ///
    /// # Errors
    /// The store's, and damage.
    pub async fn feed(
        &self,
        reader: UserId,
        before: Option<Place>,
        rows: u32,
        wall: UnixMs,
    ) -> Result<FeedPage, LayerError> {
        let began = Clock::now();
        let page = self.page(reader, before, rows, Source::Feed { wall }).await;
        self.counts.page_read(began.elapsed());
        page
    }

    /// A page of what of a user's posts another may see, those behind a place, at most `rows`.
    ///
    /// # Errors
    /// The store's, and damage.
    pub async fn feed_of(
        &self,
        reader: UserId,
        author: UserId,
        before: Option<Place>,
        rows: u32,
    ) -> Result<FeedPage, LayerError> {
        let (relations, _) = self.people(reader, &[author]).await?;
        if ![Audience::Friends, Audience::Public].iter().any(|&audience| relations[&author].sees(audience)) {
            return Ok(FeedPage::default());
        }
        let Some(channel) = posts::feed_of(&self.engine, author).await? else { return Ok(FeedPage::default()) };
        self.page(reader, before, rows, Source::Log { author, channel }).await
    }

    /// Reads entries until one more of them is shown than is wanted, or there are no more. Where to go on is the place of the
    /// last that is shown, if another follows: nobody learns from a cursor that there is something else.
    async fn page(
        &self,
        reader: UserId,
        before: Option<Place>,
        rows: u32,
        source: Source,
    ) -> Result<FeedPage, LayerError> {
        let is_shown: fn(&Relation, Audience) -> bool = match source {
            Source::Feed { .. } => Relation::is_in_feed,
            Source::Log { .. } => Relation::sees,
        };
        let (mut found, mut place) = (Vec::new(), before);
        let mut wanted = rows.saturating_add(1);
        for _ in 0..ROUNDS_MAX {
            let (entries, next) = match source {
                Source::Feed { wall } => self.entries(reader, place, wanted, wall).await?,
                Source::Log { author, channel } => self.log(author, channel, place, wanted).await?,
            };
            let shown = self.show(reader, &entries, is_shown).await?;
            found.extend(entries.iter().zip(shown).filter_map(|(entry, post)| Some((entry.place, post?))));
            place = next;
            if found.len() > rows as usize || next.is_none() {
                break;
            }
            wanted = wanted.max(ROUND_ROWS);
        }
        let more = found.len() > rows as usize;
        found.truncate(rows as usize);
        let next = found.last().map(|&(place, _)| place).filter(|_| more);
        Ok(FeedPage { posts: found.into_iter().map(|(_, post)| post).collect(), next })
    }

    /// The posts of an author behind a place, and where to go on.
    async fn log(
        &self,
        author: UserId,
        channel: ChannelId,
        before: Option<Place>,
        rows: u32,
    ) -> Result<(Vec<Entry>, Option<Place>), LayerError> {
        let PostsPage { entries, more } = posts::posts_of(&self.engine, (author, channel), before, rows).await?;
        let next = entries.last().map(|entry| entry.place).filter(|_| more);
        Ok((entries, next))
    }

    /// The entries of a feed behind a place, from its head where that reaches so far, and where to go on.
    async fn entries(
        &self,
        reader: UserId,
        before: Option<Place>,
        rows: u32,
        wall: UnixMs,
    ) -> Result<(Vec<Entry>, Option<Place>), LayerError> {
        let head = match self.caches.heads.get(&reader, self.now()) {
            Some(head) => Some(head),
            None if before.is_none() => {
                let ticket = self.caches.heads.ticket(&reader, self.now());
                let page = timelines::page(&self.engine, reader, None, HEAD_ROWS, (&self.limits, wall)).await?;
                let head = Head { entries: page.entries, more: page.next.is_some() };
                Some(self.caches.heads.keep(ticket, reader, head))
            }
            None => None,
        };
        if let Some(page) = head.and_then(|head| within(&head, before, rows as usize)) {
            return Ok(page);
        }
        let page = timelines::page(&self.engine, reader, before, rows, (&self.limits, wall)).await?;
        Ok((page.entries, page.next))
    }

    /// What of these posts is shown to a reader, in their order.
    async fn show(
        &self,
        reader: UserId,
        entries: &[Entry],
        is_shown: fn(&Relation, Audience) -> bool,
    ) -> Result<Vec<Option<Shown>>, LayerError> {
        let mut authors: Vec<UserId> = entries.iter().map(|entry| entry.place.author).collect();
        authors.sort_unstable();
        authors.dedup();
        let (relations, authors) = self.people(reader, &authors).await?;
        // Of what the reader does not see anyway nothing is read.
        let is_seen = |entry: &Entry| is_shown(&relations[&entry.place.author], entry.audience);
        let key = |entry: &Entry| (entry.channel, entry.place.seq);
        let keys: Vec<PostKey> = entries.iter().filter(|entry| is_seen(entry)).map(key).collect();
        let (posts, liked) = join::both(self.contents(&keys), self.liked(reader, &keys)).await?;
        let tallies = self.tallies(&keys).await?;
        let shown = entries.iter().map(|entry| {
            let (key, author) = (key(entry), entry.place.author);
            let post = posts.get(&key)?.clone()?;
            let is_its = post.owner == author && is_shown(&relations[&author], post.audience);
            is_its.then(|| shown(post, Arc::clone(&authors[&author]), tallies[&key], liked[&key]))
        });
        Ok(shown.collect())
    }

    /// One post or reply, if the reader sees it.
    ///
    /// # Errors
    /// The store's.
    pub async fn one(&self, reader: UserId, channel: ChannelId, seq: Seq) -> Result<Option<Shown>, LayerError> {
        let key = (channel, seq);
        let posts = self.contents(&[key]).await?;
        let Some(post) = posts[&key].clone() else { return Ok(None) };
        let (owner, from) = (post.owner, post.message.from);
        let (relations, authors) = self.people(reader, &[owner, from]).await?;
        if !relations[&owner].sees(post.audience) || (relations[&from].is_blocked && from != reader) {
            return Ok(None);
        }
        let (liked, tallies) = join::both(self.liked(reader, &[key]), self.tallies(&[key])).await?;
        Ok(Some(shown(post, Arc::clone(&authors[&from]), tallies[&key], liked[&key])))
    }

    /// The replies to a post behind one, at most `rows`, those that the reader sees.
    ///
    /// # Errors
    /// 123 if there is no such post that it sees; the store's.
    pub async fn replies(
        &self,
        reader: UserId,
        post: PostKey,
        after: Option<Seq>,
        rows: u32,
    ) -> Result<RepliesPage, LayerError> {
        let page = posts::replies(&self.engine, reader, post, after, rows).await?;
        let mut from: Vec<UserId> = page.replies.iter().map(|reply| reply.message.from).collect();
        from.sort_unstable();
        from.dedup();
        let authors = self.authors(&from).await?;
        let replies = page.replies.into_iter().map(|reply| {
            let author = Arc::clone(&authors[&reply.message.from]);
            // Read just now, with the reader's own reactions marked.
            let tallies = self.tallies_of(&reply);
            let liked = reply.message.reactions.iter().any(|tally| tally.emoji == self.like && tally.mine);
            shown(reply, author, tallies, liked)
        });
        Ok(RepliesPage { replies: replies.collect(), next: page.next })
    }

    fn tallies_of(&self, post: &Post) -> Tallies {
        let likes = post.message.reactions.iter().find(|tally| tally.emoji == self.like);
        Tallies { likes: likes.map_or(0, |tally| tally.count.into()), replies: post.replies }
    }

    async fn contents(&self, keys: &[PostKey]) -> Result<BTreeMap<PostKey, Option<Post>>, LayerError> {
        let now = self.now();
        let (mut found, mut missing) = (BTreeMap::new(), Vec::new());
        for &key in keys {
            match self.caches.content(&key, now) {
                Some(content) => drop(found.insert(key, content.post.clone())),
                None => {
                    missing.push((key, self.caches.content_ticket(&key, now), self.caches.counters.ticket(&key, now)))
                }
            }
        }
        let wanted: Vec<PostKey> = missing.iter().map(|(key, ..)| *key).collect();
        if wanted.is_empty() {
            return Ok(found);
        }
        let read = posts::contents(&self.engine, &wanted).await?;
        for ((key, ticket, counted), post) in missing.into_iter().zip(read) {
            let tallies = post.as_ref().map(|post| self.tallies_of(post)).unwrap_or_default();
            self.caches.counters.keep(counted, key, tallies);
            found.insert(key, self.caches.keep_content(ticket, key, post).post.clone());
        }
        Ok(found)
    }

    async fn tallies(&self, keys: &[PostKey]) -> Result<BTreeMap<PostKey, Tallies>, LayerError> {
        let now = self.now();
        let (mut found, mut missing) = (BTreeMap::new(), Vec::new());
        for &key in keys {
            match self.caches.counters.get(&key, now) {
                Some(tallies) => drop(found.insert(key, *tallies)),
                None => missing.push((key, self.caches.counters.ticket(&key, now))),
            }
        }
        let wanted: Vec<PostKey> = missing.iter().map(|(key, _)| *key).collect();
        if wanted.is_empty() {
            return Ok(found);
        }
        let read = posts::tallies(&self.engine, &wanted, &self.like).await?;
        for ((key, ticket), (likes, replies)) in missing.into_iter().zip(read) {
            found.insert(key, *self.caches.counters.keep(ticket, key, Tallies { likes, replies }));
        }
        Ok(found)
    }

    async fn liked(&self, reader: UserId, keys: &[PostKey]) -> Result<BTreeMap<PostKey, bool>, LayerError> {
        let now = self.now();
        let (mut found, mut missing) = (BTreeMap::new(), Vec::new());
        for &key in keys {
            let action = (reader, key.0, key.1);
            match self.caches.actions.get(&action, now) {
                Some(liked) => drop(found.insert(key, *liked)),
                None => missing.push((key, action, self.caches.actions.ticket(&action, now))),
            }
        }
        let wanted: Vec<PostKey> = missing.iter().map(|(key, ..)| *key).collect();
        if wanted.is_empty() {
            return Ok(found);
        }
        let read = posts::has_reacted(&self.engine, reader, &wanted, &self.like).await?;
        for ((key, action, ticket), liked) in missing.into_iter().zip(read) {
            found.insert(key, *self.caches.actions.keep(ticket, action, liked));
        }
        Ok(found)
    }

    /// What these users are to a reader, and who they are. Whether an account is public is kept once, since that changes for
    /// all its readers at once.
    async fn people(
        &self,
        reader: UserId,
        users: &[UserId],
    ) -> Result<(BTreeMap<UserId, Relation>, BTreeMap<UserId, Arc<Author>>), LayerError> {
        let (mut relations, authors) = join::both(self.relations(reader, users), self.authors(users)).await?;
        for (user, relation) in &mut relations {
            relation.is_public = authors[user].public;
        }
        Ok((relations, authors))
    }

    async fn relations(&self, reader: UserId, authors: &[UserId]) -> Result<BTreeMap<UserId, Relation>, LayerError> {
        let now = self.now();
        let (mut found, mut missing) = (BTreeMap::new(), Vec::new());
        for &author in authors {
            let key = GraphKey::Between { reader, author };
            match self.caches.graph.get(&key, now).as_deref() {
                Some(&Graph::Between(relation)) => drop(found.insert(author, relation)),
                Some(Graph::Author(_)) | None => missing.push((author, self.caches.graph.ticket(&key, now))),
            }
        }
        let wanted: Vec<UserId> = missing.iter().map(|&(author, _)| author).collect();
        if wanted.is_empty() {
            return Ok(found);
        }
        let read = posts::relations(&self.engine, reader, &wanted).await?;
        for ((author, ticket), relation) in missing.into_iter().zip(read) {
            self.caches.graph.keep(ticket, GraphKey::Between { reader, author }, Graph::Between(relation));
            found.insert(author, relation);
        }
        Ok(found)
    }

    async fn authors(&self, users: &[UserId]) -> Result<BTreeMap<UserId, Arc<Author>>, LayerError> {
        let now = self.now();
        let (mut found, mut missing) = (BTreeMap::new(), Vec::new());
        for &user in users {
            let key = GraphKey::Author(user);
            match self.caches.graph.get(&key, now).as_deref() {
                Some(Graph::Author(author)) => drop(found.insert(user, Arc::clone(author))),
                Some(Graph::Between(_)) | None => missing.push((user, self.caches.graph.ticket(&key, now))),
            }
        }
        let wanted: Vec<UserId> = missing.iter().map(|&(user, _)| user).collect();
        if wanted.is_empty() {
            return Ok(found);
        }
        let read = accounts::by_ids(&self.engine, &wanted).await?;
        for ((user, ticket), record) in missing.into_iter().zip(read) {
            let author = record.map(|record| Author {
                username: record.username,
                display_name: record.display_name,
                picture: record.picture,
                public: record.public,
            });
            let author = Arc::new(author.unwrap_or_default());
            self.caches.graph.keep(ticket, GraphKey::Author(user), Graph::Author(Arc::clone(&author)));
            found.insert(user, author);
        }
        Ok(found)
    }
}

/// What has changed: to be said after the store has answered, and before whoever asked is answered.
impl<E> Reader<E> {
    /// Somebody has posted, whose fan-out may begin.
    pub fn posted(&self) {
        self.wake.notify_one();
    }

    /// What the fan-out of this node waits for, beside its own looks.
    #[must_use]
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// A post has another text.
    pub fn changed(&self, channel: ChannelId, seq: Seq) {
        self.caches.forget_content(&(channel, seq));
    }

    /// A post or a reply was deleted, which its post counts no longer.
    pub fn deleted(&self, channel: ChannelId, seq: Seq, reply_to: Option<Seq>) {
        self.changed(channel, seq);
        if let Some(post) = reply_to {
            self.replied(channel, post);
        }
    }

    /// A post has one reply more, or one less.
    pub fn replied(&self, channel: ChannelId, post: Seq) {
        self.caches.counters.forget(&(channel, post));
    }

    /// A user likes a post, or does so no longer.
    pub fn reacted(&self, user: UserId, channel: ChannelId, seq: Seq) {
        self.caches.actions.forget(&(user, channel, seq));
        self.caches.counters.forget(&(channel, seq));
    }

    /// Two users are something else to each other than before: friends, blocked, one who is followed.
    pub fn related(&self, one: UserId, other: UserId) {
        for (reader, author) in [(one, other), (other, one)] {
            self.caches.graph.forget(&GraphKey::Between { reader, author });
            self.caches.heads.forget(&reader);
        }
    }

    /// An account has another name or picture, is public or no longer, or is gone.
    pub fn account_changed(&self, user: UserId) {
        self.caches.graph.forget(&GraphKey::Author(user));
    }

    /// A post has come into the feeds of these users.
    pub fn grew(&self, users: &[UserId]) {
        users.iter().for_each(|user| self.caches.heads.forget(user));
    }
}

/// The entries of a head behind a place, as many as are wanted, if it reaches so far.
fn within(head: &Head, before: Option<Place>, wanted: usize) -> Option<(Vec<Entry>, Option<Place>)> {
    let from = before.map_or(0, |before| head.entries.partition_point(|entry| entry.place <= before));
    // Behind its last entry it says nothing, unless there is nothing.
    if from + wanted > head.entries.len() && head.more {
        return None;
    }
    let entries: Vec<Entry> = head.entries[from..].iter().take(wanted).copied().collect();
    let is_end = from + entries.len() >= head.entries.len() && !head.more;
    let next = entries.last().map(|entry| entry.place).filter(|_| !is_end);
    Some((entries, next))
}

fn shown(post: Post, author: Arc<Author>, Tallies { likes, replies }: Tallies, liked: bool) -> Shown {
    let audience = post.reply_to().is_none().then_some(post.audience);
    Shown { author, message: post.message, audience, likes, liked, replies }
}
