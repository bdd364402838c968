//! The five caches of a node's reader: what each keeps, and what makes it worthless.
//!
//! Owns the keys and values, how the bytes are shared out, and that a post which many ask for has a place of its own,
//! from which those that are asked for once do not drive it out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chat::posts::{Entry, Post, Relation};
use schema::media::Attachment;
use schema::{ChannelId, Instant, Message, Seq, UserId};

use crate::cache::{Asked, Cache, Ticket, Weigh};

/// Hits within [`BELIEVED_MS`](crate::cache::BELIEVED_MS) from which on a post is hot.
const HOT_FROM: u32 = 8;

/// A post's place.
pub(crate) type PostKey = (ChannelId, Seq);

/// The head of a feed: the newest entries.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) entries: Vec<Entry>,
    /// Whether the feed goes on behind them.
    pub(crate) more: bool,
}

impl Weigh for Head {
    fn bytes(&self) -> u64 {
        size_of_val(&*self.entries) as u64
    }
}

/// A post's content, or that it is not there.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) post: Option<Post>,
    asked: AtomicU32,
}

impl Weigh for Content {
    fn bytes(&self) -> u64 {
        let media = |media: &Attachment| {
            let texts = [&media.content_type, &media.name, &media.blurhash];
            size_of::<Attachment>() + texts.iter().map(|text| text.len()).sum::<usize>()
        };
        let content = |Post { message, .. }: &Post| {
            let media: usize = message.media.iter().map(media).sum();
            size_of::<Message>() + message.body.len() + message.mentions.len() * 8 + media
        };
        (size_of::<Self>() + self.post.as_ref().map_or(0, content)) as u64
    }
}

/// Who wrote a post, as pages show it. Both names are empty of an account that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Author {
    /// The username.
    pub username: String,
    /// The display name.
    pub display_name: String,
    /// The URL of a picture.
    pub picture: Option<String>,
    /// Whether the account is public.
    pub public: bool,
}

/// A user, or what one is to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum GraphKey {
    Author(UserId),
    Between { reader: UserId, author: UserId },
}

#[derive(Debug)]
pub(crate) enum Graph {
    Author(Arc<Author>),
    Between(Relation),
}

impl Weigh for Graph {
    fn bytes(&self) -> u64 {
        let texts = match self {
            Self::Author(author) => {
                author.username.len() + author.display_name.len() + author.picture.as_ref().map_or(0, String::len)
            }
            Self::Between(_) => 0,
        };
        (size_of::<Self>() + size_of::<Author>() + texts) as u64
    }
}

/// How many like a post, and have answered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tallies {
    pub(crate) likes: u64,
    pub(crate) replies: u64,
}

impl Weigh for Tallies {
    fn bytes(&self) -> u64 {
        size_of::<Self>() as u64
    }
}

#[derive(Debug)]
pub(crate) struct Caches {
    pub(crate) heads: Cache<UserId, Head>,
    content: Cache<PostKey, Content>,
    hot: Cache<PostKey, Content>,
    pub(crate) graph: Cache<GraphKey, Graph>,
    pub(crate) actions: Cache<(UserId, ChannelId, Seq), bool>,
    pub(crate) counters: Cache<PostKey, Tallies>,
}

impl Caches {
    /// Of so many bytes together.
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            heads: Cache::new(bytes / 4, 5_000),
            content: Cache::new(bytes / 4, 500),
            hot: Cache::new(bytes / 8, 500),
            graph: Cache::new(bytes / 4, 100),
            actions: Cache::new(bytes / 16, 1),
            counters: Cache::new(bytes / 16, 16),
        }
    }

    /// Each by its name in `/metrics`.
    pub(crate) fn asked(&self) -> Vec<(&'static str, Asked)> {
        vec![
            ("feed", self.heads.asked()),
            ("content", self.content.asked()),
            ("hot", self.hot.asked()),
            ("graph", self.graph.asked()),
            ("actions", self.actions.asked()),
            ("counters", self.counters.asked()),
        ]
    }

    pub(crate) fn content(&self, key: &PostKey, now: Instant) -> Option<Arc<Content>> {
        if let Some((found, _)) = self.hot.find(key, now) {
            self.hot.count(true);
            return Some(found);
        }
        // Taken before the look at the other one: what changes in between is not carried over.
        let ticket = self.hot.ticket(key, now);
        let found = self.content.find(key, now);
        self.content.count(found.is_some());
        let (found, read_at) = found?;
        if found.asked.fetch_add(1, Ordering::Relaxed) + 1 >= HOT_FROM {
            self.hot.keep_shared(ticket.read_at(read_at), *key, Arc::clone(&found));
        }
        Some(found)
    }

    /// To be taken before the content of a post is read.
    pub(crate) fn content_ticket(&self, key: &PostKey, now: Instant) -> [Ticket; 2] {
        [self.content.ticket(key, now), self.hot.ticket(key, now)]
    }

    /// What was hot stays so when it is read again.
    pub(crate) fn keep_content(&self, [cold, hot]: [Ticket; 2], key: PostKey, post: Option<Post>) -> Arc<Content> {
        let content = Content { post, asked: AtomicU32::new(0) };
        if self.hot.has(&key) { self.hot.keep(hot, key, content) } else { self.content.keep(cold, key, content) }
    }

    /// A post has changed. The cold one first: what is carried over from there has looked before.
    pub(crate) fn forget_content(&self, key: &PostKey) {
        self.content.forget(key);
        self.hot.forget(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: PostKey = (ChannelId(1), Seq(1));

    fn at_ms(ms: u64) -> Instant {
        Instant::default().plus_ms(ms)
    }

    #[test]
    fn a_post_that_many_ask_for_has_a_place_of_its_own() {
        let caches = Caches::new(1 << 24);
        let hits = |of: &str| caches.asked().into_iter().find(|(name, _)| *name == of).map(|(_, asked)| asked.hits);
        caches.keep_content(caches.content_ticket(&KEY, at_ms(0)), KEY, None);
        for _ in 0..20 {
            assert!(caches.content(&KEY, at_ms(1)).is_some());
        }
        assert_eq!((hits("content"), hits("hot")), (Some(u64::from(HOT_FROM)), Some(20 - u64::from(HOT_FROM))));
        // It was read when it was read: being asked for makes it no younger.
        assert!(caches.content(&KEY, at_ms(2_001)).is_none());
        caches.keep_content(caches.content_ticket(&KEY, at_ms(2_001)), KEY, None);
        assert!(caches.content(&KEY, at_ms(2_001)).is_some());
        assert_eq!(hits("hot"), Some(21 - u64::from(HOT_FROM)), "it is hot again at once");
        caches.forget_content(&KEY);
        assert!(caches.content(&KEY, at_ms(2_001)).is_none());
    }
}
