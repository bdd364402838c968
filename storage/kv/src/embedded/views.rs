//! The versions that can be read: the newest, and those that were newest lately.

use std::collections::VecDeque;
use std::sync::Arc;

use super::rows::View;
use crate::error::Error;
use crate::limits;
use crate::transaction::{Begin, Version};

/// Views kept for transactions that begin in the past. Bounds what 5 s of group commits could pile up: at 1,000 a
/// second all are kept; each is some 100 bytes here and an entry in fjall's table of snapshots.
const VIEWS_MAX: usize = 5_000;

/// Published by the committing threads, read by everybody who begins a transaction.
pub(super) struct Views {
    newest: Arc<View>,
    /// Oldest first, with the time when the next one took its place. No version between two is missing.
    older: VecDeque<(u64, Arc<View>)>,
}

impl Views {
    pub(super) fn new(view: View) -> Self {
        Self { newest: Arc::new(view), older: VecDeque::new() }
    }

    pub(super) fn newest(&self) -> &Arc<View> {
        &self.newest
    }

    /// Returns the views nobody can ask for any more, to be dropped where no lock is held.
    pub(super) fn publish(&mut self, now_ms: u64, view: Arc<View>) -> Vec<Arc<View>> {
        assert!(view.version > self.newest.version, "I3: {} was published after {}", view.version, self.newest.version);
        let before = std::mem::replace(&mut self.newest, view);
        self.older.push_back((now_ms, before));
        let outlived = |at_ms: u64| at_ms + limits::TRANSACTION_LIFE_MS < now_ms;
        let first_kept = self.older.partition_point(|(at_ms, _)| outlived(*at_ms));
        let first_kept = first_kept.max(self.older.len().saturating_sub(VIEWS_MAX));
        self.older.drain(..first_kept).map(|(_, view)| view).collect()
    }

    /// The view that `begin` asks for.
    pub(super) fn open(&self, begin: Begin) -> Result<(Version, Arc<View>), Error> {
        let durable = self.newest.version;
        match begin {
            Begin::At(asked) | Begin::AtLeast(asked) if asked > durable => Err(Error::FutureVersion { asked, durable }),
            Begin::At(asked) if asked < durable => {
                let after = self.older.partition_point(|(_, view)| view.version <= asked);
                let view = after.checked_sub(1).map(|at| &self.older[at].1);
                view.map(|view| (asked, Arc::clone(view))).ok_or(Error::TooOld)
            }
            Begin::Fresh | Begin::Cached | Begin::AtLeast(_) | Begin::At(_) => Ok((durable, Arc::clone(&self.newest))),
        }
    }
}
