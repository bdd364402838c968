//! The rows of the memory engine, each with the versions that may still be read.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, ControlFlow};

use bytes::Bytes;

use crate::resolver::Write;
use crate::transaction::Version;

/// Every row's history, oldest first; `None` is a row removed.
#[derive(Debug, Default)]
pub(super) struct Rows {
    histories: BTreeMap<Bytes, Vec<(Version, Option<Bytes>)>>,
    /// Keys whose history became longer, with the version that did it: what [`Self::prune`] looks at.
    grown: VecDeque<(Version, Bytes)>,
    /// Keys written and not synced.
    unsynced: Vec<Bytes>,
}

impl Rows {
    pub(super) fn get(&self, key: &[u8], version: Version) -> Option<Bytes> {
        as_of(self.histories.get(key)?, version)
    }

    pub(super) fn scan(
        &self,
        begin: &[u8],
        end: &[u8],
        reverse: bool,
        version: Version,
        row: &mut dyn FnMut(Bytes, Bytes) -> ControlFlow<()>,
    ) {
        let mut visit = |(key, history): (&Bytes, &Vec<_>)| match as_of(history, version) {
            Some(value) => row(key.clone(), value),
            None => ControlFlow::Continue(()),
        };
        let mut within = self.histories.range::<[u8], _>((Bound::Included(begin), Bound::Excluded(end)));
        let _all_or_broken = match reverse {
            false => within.try_for_each(&mut visit),
            true => within.rev().try_for_each(&mut visit),
        };
    }

    /// Applies a write at `version`, which is no less than any before.
    pub(super) fn apply(&mut self, version: Version, write: Write) {
        match write {
            Write::Set(key, value) => self.put(version, key, Some(value)),
            Write::Clear(key) => self.put(version, key, None),
            Write::ClearRange(begin, end) => {
                let present = self.histories.range(begin..end);
                let present = present.filter(|(_, history)| newest(history).is_some());
                let keys: Vec<Bytes> = present.map(|(key, _)| key.clone()).collect();
                keys.into_iter().for_each(|key| self.put(version, key, None));
            }
            Write::Atomic(op, key, operand) => {
                let below = self.histories.get(&key).and_then(|history| newest(history));
                let value = op.apply(below.map(Bytes::as_ref), &operand);
                self.put(version, key, Some(value));
            }
        }
    }

    fn put(&mut self, version: Version, key: Bytes, value: Option<Bytes>) {
        self.unsynced.push(key.clone());
        let history = self.histories.entry(key.clone()).or_default();
        match history.last_mut() {
            Some((last, there)) if *last == version => *there = value,
            Some(_) => {
                history.push((version, value));
                self.grown.push_back((version, key));
            }
            None => {
                // A row removed that never was still holds its place until it is pruned.
                if value.is_none() {
                    self.grown.push_back((version, key));
                }
                history.push((version, value));
            }
        }
    }

    /// Everything written so far survives a power loss.
    pub(super) fn sync(&mut self) {
        self.unsynced.clear();
    }

    /// Takes back what was written after `synced` and not synced.
    pub(super) fn drop_unsynced(&mut self, synced: Version) {
        for key in self.unsynced.drain(..) {
            if let Some(history) = self.histories.get_mut(&key) {
                history.retain(|(version, _)| *version <= synced);
                if history.is_empty() {
                    self.histories.remove(&key);
                }
            }
        }
    }

    /// Forgets what no read at `floor` or later can see.
    pub(super) fn prune(&mut self, floor: Version) {
        while let Some((_, key)) = self.grown.pop_front_if(|(version, _)| *version <= floor) {
            let Some(history) = self.histories.get_mut(&key) else { continue };
            let seen = history.partition_point(|(version, _)| *version <= floor);
            history.drain(..seen.saturating_sub(1));
            // A removal that everybody sees is as good as no history.
            if seen > 0 && matches!(history.first(), Some((_, None))) {
                history.remove(0);
            }
            if history.is_empty() {
                self.histories.remove(&key);
            }
        }
    }
}

fn as_of(history: &[(Version, Option<Bytes>)], version: Version) -> Option<Bytes> {
    let (_, value) = history.iter().rev().find(|(at, _)| *at <= version)?;
    value.clone()
}

fn newest(history: &[(Version, Option<Bytes>)]) -> Option<&Bytes> {
    history.last()?.1.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes `k=v` (or `k` to remove, `a-c` to remove a range) as versions 1, 2, …, prunes to `floor`, and compares
    /// all that is kept: `k@1=v k@3`.
    fn check(writes: &str, floor: u64, kept: &str) {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let mut rows = Rows::default();
        for (version, write) in (1..).map(Version).zip(writes.split_whitespace()) {
            let write = match (write.split_once('='), write.split_once('-')) {
                (Some((key, value)), _) => Write::Set(bytes(key), bytes(value)),
                (None, Some((begin, end))) => Write::ClearRange(bytes(begin), bytes(end)),
                (None, None) => Write::Clear(bytes(write)),
            };
            rows.apply(version, write);
        }
        rows.prune(Version(floor));
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).expect("letters");
        let mut found = Vec::new();
        for (key, history) in &rows.histories {
            found.extend(history.iter().map(|(version, value)| match value {
                Some(value) => format!("{}@{version}={}", text(key), text(value)),
                None => format!("{}@{version}", text(key)),
            }));
        }
        assert_eq!(found.join(" "), kept, "{writes} pruned to {floor}");
    }

    #[test]
    fn pruning_keeps_what_the_floor_can_see() {
        check("a=x a=y a=z", 0, "a@1=x a@2=y a@3=z");
        check("a=x a=y a=z", 1, "a@1=x a@2=y a@3=z");
        check("a=x a=y a=z", 2, "a@2=y a@3=z");
        check("a=x a=y a=z", 9, "a@3=z");
        check("a=x a", 1, "a@1=x a@2");
        check("a=x a", 2, "");
        check("a b=x", 2, "b@2=x");
        check("a=x b=y a-c b=z", 3, "b@4=z");
        check("a=x b=y a-c b=z", 4, "b@4=z");
        check("a=x a a=y", 2, "a@3=y");
    }
}
