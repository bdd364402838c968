//! News feeds beside the store: the fan-out of posts into their readers' feeds, and the reader of pages.
//!
//! Owns when a step of the fan-out is made, and what of a page is kept in memory. Owns no transaction: what a feed is, who
//! sees a post and what a step writes are `chat::timelines`' and `chat::posts`'. Knows no HTTP, session or socket. On
//! the wire a *timeline* is called a feed.
//!
//! ```text
//! worker   the fan-out, on a thread of its own      reader   pages of posts as one user sees them now
//! pacing   when it looks, and whose step is next    caches   what of it is kept, in five caches
//! counts   for /metrics                             cache    one cache within a number of bytes
//! ```

mod cache;
mod caches;
mod counts;
mod pacing;
mod reader;
mod worker;

pub use cache::Asked;
pub use caches::Author;
pub use chat::timelines::{Limits, Place};
pub use counts::Counts;
pub use reader::{FeedPage, Reader, RepliesPage, Shown};
pub use schema::emoji::LIKE;
pub use worker::{Parts, Running, start};

/// Rows that a node's fan-out writes in a second at most, unless the operator says otherwise.
///
/// As many as an embedded store on two cores writes while it does nothing else, so that a post to 5,000 friends is in the
/// last feed after some 0.2 s, rests included: docs/measurements.md, "News feeds".
pub const ROWS_PER_S: u32 = 50_000;
/// Bytes of all five caches of a node together, unless the operator says otherwise.
///
/// 128 MiB: some 6,000 heads of 100 entries, 60,000 posts of 500 characters and 200,000 pairs of users.
pub const CACHE_BYTES: u64 = 128 << 20;
