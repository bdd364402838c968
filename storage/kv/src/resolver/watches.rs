//! Watches: who waits for which key to change.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::recent::GroupWrites;
use crate::limits;

/// Watches by key. `W` is how the engine knows the waiter.
#[derive(Debug)]
pub(super) struct Watches<W> {
    by_key: BTreeMap<Bytes, Vec<W>>,
    len: usize,
}

impl<W> Watches<W> {
    pub(super) fn new() -> Self {
        Self { by_key: BTreeMap::new(), len: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.len >= limits::WATCHES_MAX
    }

    pub(super) fn insert(&mut self, key: Bytes, waiter: W) {
        self.by_key.entry(key).or_default().push(waiter);
        self.len += 1;
    }

    /// Drops the waiters that `keep` does not name.
    pub(super) fn retain(&mut self, keep: impl Fn(&W) -> bool) {
        self.by_key.retain(|_, waiters| {
            waiters.retain(&keep);
            !waiters.is_empty()
        });
        self.len = self.by_key.values().map(Vec::len).sum();
    }

    /// Takes out the waiters for what `group` wrote.
    pub(super) fn fire(&mut self, group: &GroupWrites) -> Vec<W> {
        if self.by_key.is_empty() {
            return Vec::new();
        }
        let mut fired: Vec<W> = group.keys().filter_map(|key| self.by_key.remove(key)).flatten().collect();
        if !group.ranges().is_empty() {
            let touched = self.by_key.extract_if(.., |key, _| group.ranges().contains(key));
            fired.extend(touched.flat_map(|(_, waiters)| waiters));
        }
        self.len -= fired.len();
        fired
    }
}
