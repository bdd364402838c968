//! Posts of users: where they are, who sees them, and what is counted of them.
//!
//! Owns the rows `feed of`, `post`, `reply` and `counter`, and who sees a post: its author, the author's friends, and of
//! public posts of a public account everybody; nobody across a block of either side. A user's posts are a channel of kind
//! `feed`, so who writes them is the appender, which judges by the same rows. What one may not see is as if it were not
//! there.
//!
//! ```text
//! log        an author's posts, the newest first     relation   what an author is to a reader
//! shown      posts, replies and likes as shown       counters   how many of something there are
//! ties       what ends when two users part           marks      counts and a reader's likes of many posts
//! ```

pub(crate) mod counters;
mod log;
mod marks;
mod relation;
mod shown;
pub(crate) mod ties;

pub use counters::{Counts, counts};
pub use log::{Entry, PostsPage, feed_of, feeds_of, posts_of};
pub(crate) use log::{behind, channels as channels_within, entries};
pub use marks::{has_reacted, tallies};
pub(crate) use relation::within as relations_within;
pub use relation::{Relation, relations};
pub(crate) use shown::read_shown;
pub use shown::{Post, RepliesPage, contents, likes, post, replies, shown};
