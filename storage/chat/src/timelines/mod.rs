//! Timelines: for each user the posts of its friends and of those whom it follows, the newest first.
//!
//! Owns the rows `timeline`, `timeline state`, `timeline owed`, `fanned`, `fan due`, `heavy` and `heavy rest`. A post comes
//! into the timelines of its readers behind the append that marked its feed as due, in steps of one transaction each,
//! under the fence of the feed's owner (I7). What a reader's pages hold is no more than what posts and people say when they
//! are read, and no less (I15), by these rules:
//!
//! - A step writes rows for whoever is a reader at its version. Whoever becomes one has an author's posts *owed*, in the
//!   transaction that makes it one, and a read of the feed writes them first.
//! - Who was not seen for long is *dormant*, which a step notes; from then on it gets no rows. One that comes back notes
//!   that first, and is then given the rows of its authors' newest posts at a later version. So whatever falls between is
//!   in a log that is read, or in a row that is written.
//! - An author of very many readers has no rows written: its readers are *marked* before, and their pages look into the
//!   author's log. A page is the union of rows and logs by the posts' places, so nothing is missing or doubled
//!   whichever way a post came.
//! - A timeline is *whole* down to a place, above which its rows are all there are. Further down pages are read from the
//!   logs of all authors.
//!
//! ```text
//! fan        one step of a post's way     readers   who becomes a reader, and who is marked
//! refresh    seen, owed, rebuilt          page      reading      merge   logs of many authors as one
//! active     readers known not to be dormant                     trim    what is forgotten
//! ```

mod active;
mod fan;
mod merge;
mod page;
mod readers;
mod refresh;
mod trim;

pub use active::Active;
pub use fan::{Fanned, due, fan};
pub use page::{TimelinePage, TimelinePosts, page, posts};
pub(crate) use readers::begin_reading;
pub use refresh::refresh;
pub use trim::{Trimmed, trim};

pub use crate::packed::{ParsePostPlaceError, Place};

/// Bounds of timelines. Smaller ones are for tests; a store's nodes go by the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Readers of one step, each of which is a row: 180 KB of a transaction, some milliseconds.
    pub step_readers: u32,
    /// Readers above which an author's posts are looked up where they are and not written for each. Below nine tenths of it
    /// they are written again.
    pub read_fanout_from: u64,
    /// Authors into whose posts one reader's pages look; of further ones it has rows.
    pub heavy_max: u32,
    /// Days after which one that was not seen gets no rows.
    pub dormant_days: u32,
    /// Posts of an author that one who becomes its reader is given. Where there are more, the timeline is whole down to the last
    /// of these alone: so as many as a timeline has rows, and one author of many makes no reader's pages slow.
    pub backfill_posts: u32,
    /// Rows that one who comes back is given.
    pub rebuilt_rows: u32,
    /// Rows of a timeline.
    pub rows_max: u32,
    /// Days for which a row is kept.
    pub kept_days: u32,
    /// The newest rows that are kept whatever their age, so that the first pages of one whose authors seldom write are read
    /// from rows too.
    pub kept_rows: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            step_readers: 1_000,
            read_fanout_from: 5_000,
            heavy_max: readers::HEAVY_MAX,
            dormant_days: 14,
            backfill_posts: 1_000,
            rebuilt_rows: 500,
            rows_max: 1_000,
            kept_days: 30,
            kept_rows: 200,
        }
    }
}
