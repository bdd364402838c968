//! Logs of many authors, read as one.
//!
//! Owns the order in which their posts come: that of [`Place`]. Each log is read as far as its posts are wanted.

use std::collections::{BTreeMap, VecDeque};

use schema::{ChannelId, UserId};

use crate::LayerError;
use crate::packed::Place;
use crate::posts::{self, Entry};
use kv::join;
use kv::transaction::{RangeRequest, Transaction};

/// Logs that are read at once.
const LOGS_AT_ONCE: usize = 256;

/// One author's posts, as far as they were read.
struct Log {
    author: UserId,
    read: VecDeque<Entry>,
    /// What is left of it.
    rest: Option<RangeRequest>,
}

/// The first posts of these authors behind a place for which `is_wanted`, at most `wanted` of them, in order.
///
/// Reads at least one post of each author, so its cost is that of their number.
pub(super) async fn newest<T: Transaction>(
    tx: &T,
    authors: &[(UserId, ChannelId)],
    behind: Option<Place>,
    wanted: usize,
    is_wanted: impl Fn(&Entry) -> bool,
) -> Result<Vec<Entry>, LayerError> {
    // As many as there would be of each if all wrote as often, and one to know that there are more.
    let first = u32::try_from(wanted / authors.len().max(1) + 2).unwrap_or(u32::MAX);
    let more = u32::try_from(wanted.clamp(16, 200)).expect("200 at most");
    let mut logs = Vec::with_capacity(authors.len());
    for authors in authors.chunks(LOGS_AT_ONCE) {
        let read = authors.iter().map(|&(author, channel)| async move {
            let range = posts::behind(author, channel, behind).rows(first);
            let mut log = Log { author, read: VecDeque::new(), rest: Some(range) };
            log.read_on(tx, first).await?;
            Ok::<_, LayerError>(log)
        });
        logs.extend(join::try_all(read).await?);
    }
    let next = |at: usize, log: &Log| log.read.front().map(|entry| (entry.place, at));
    let mut heads: BTreeMap<Place, usize> = logs.iter().enumerate().filter_map(|(at, log)| next(at, log)).collect();
    let mut found: Vec<Entry> = Vec::new();
    while found.len() < wanted
        && let Some((_, at)) = heads.pop_first()
    {
        let log = &mut logs[at];
        let entry = log.read.pop_front().expect("it was its head");
        if is_wanted(&entry) {
            found.push(entry);
        }
        if log.read.is_empty() {
            log.read_on(tx, more).await?;
        }
        heads.extend(next(at, log));
    }
    Ok(found)
}

impl Log {
    /// Reads on, until there is a post or nothing is left.
    async fn read_on<T: Transaction>(&mut self, tx: &T, rows: u32) -> Result<(), LayerError> {
        while self.read.is_empty()
            && let Some(range) = self.rest.take()
        {
            let range = range.rows(rows);
            let page = tx.snapshot_get_range(&range).await?;
            self.read.extend(posts::entries(self.author, &page.rows));
            self.rest = range.after(&page);
        }
        Ok(())
    }
}
